# SPDX-License-Identifier: Apache-2.0
"""What a command reads: text, bytes, a descriptor, or what is written while it runs."""

import base64
import hashlib
import os
import socket
import tempfile

import pytest

import wire

KIB, MIB = 1 << 10, 1 << 20


def b64(data):
    return base64.b64encode(data).decode("ascii")


# Given with the call


def test_nothing_is_the_default(shared_client):
    for extra in ({}, {"stdin": None}):
        r = shared_client.run("sh", "-c", "cat; readlink /proc/self/fd/0", **extra)
        assert r.out == b"/dev/null\n" and r["exit_code"] == 0
        assert r["stdin_open"] is False


@pytest.mark.parametrize("how", ["string", "text", "base64"])
def test_text_arrives_and_ends(shared_client, how):
    text = "line\nä€ without end"
    stdin = {"string": text, "text": {"text": text}, "base64": {"base64": b64(text.encode())}}
    r = shared_client.run("cat", stdin=stdin[how])
    assert r.out == text.encode() and r["exit_code"] == 0


def test_bytes_arrive_as_they_are(shared_client):
    data = bytes(range(256)) * 300
    r = shared_client.call("process.run", {"argv": ["cat"], "stdin": {"base64": b64(data)},
                                           "max_output_bytes": MIB})
    assert r.out == data


@pytest.mark.parametrize("stdin", [{"base64": "a"}, {"base64": "****"}, {"text": 1}, {"nope": 1},
                                   {}, 7, True, [], {"open": True, "text": "x"},
                                   {"open": False}, {"fd": False}])
def test_other_things_are_refused(shared_client, stdin):
    e = shared_client.refused("process.run", {"argv": ["cat"], "stdin": stdin})
    assert e.code == "invalid_input" and e.field.split(".")[0] == "stdin"


def test_much_text_does_not_block_with_much_output(shared_client):
    """More than a pipe holds, both ways, and the command answers before it reads."""
    data = bytes(i * 7 % 251 for i in range(1 << 16)) * 32  # 2 MiB
    r = shared_client.call("process.start", {
        "command": f"yes | head -c {4 * MIB} >&2; cat; yes | head -c {4 * MIB} >&2",
        "stdin": {"base64": b64(data)}, "ring_bytes": 4 * MIB})
    got, lost = shared_client.read_all(r["id"])
    assert (len(got), lost) == (len(data), 0)
    assert hashlib.sha256(got).digest() == hashlib.sha256(data).digest()
    end = shared_client.wait(r["id"], "empty")
    assert end["exit_code"] == 0 and end["stderr_bytes"] == 8 * MIB


def test_text_that_nobody_reads_blocks_nothing(shared_client):
    r = shared_client.run("sh", "-c", "exit 3", stdin={"base64": b64(b"x" * (2 * MIB))})
    assert r["exit_code"] == 3 and r["closed"] is True
    r = shared_client.run("sh", "-c", "head -c 5", stdin={"base64": b64(b"12345" * 400000)})
    assert r.out == b"12345" and r["exit_code"] == 0


# Written while it runs


def write(client, id_, data=b"", **params):
    return client.call("process.write", {"id": id_, "data": b64(data), "encoding": "base64",
                                         **params})


def taken(reply):
    return reply["bytes"]


def write_all(client, id_, data):
    """Writes all of data, in as many calls as it takes, while the command reads."""
    at = 0
    while at < len(data):
        n = taken(write(client, id_, data[at: at + MIB]))
        assert 0 <= n <= len(data) - at
        at += n
        if n == 0:
            # Full: the command must have echoed something before there is room.
            client.call("process.read", {"id": id_, "stream": "stdout", "max_bytes": 1,
                                         "wait_ms": 100, "offset": 0})


def test_an_open_stdin_takes_what_is_written(shared_client):
    r = shared_client.start("cat", stdin={"open": True})
    assert r["state"] in ("starting", "running") and r["stdin_open"] is True
    id_ = r["id"]
    assert taken(shared_client.call("process.write", {"id": id_, "data": "one\n"})) == 4
    shared_client.read_until(id_, b"one\n")
    assert taken(write(shared_client, id_, b"\0\xff\n")) == 3
    shared_client.read_until(id_, b"\0\xff\n")
    assert shared_client.call("process.stats", {"id": id_})["stdin_open"] is True
    shared_client.call("process.write", {"id": id_, "data": "last", "close": True})
    end = shared_client.wait(id_)
    assert end.out == b"one\n\0\xff\nlast"
    assert end["exit_code"] == 0 and end["stdin_open"] is False


@pytest.mark.limit(60)
def test_more_than_the_pipe_holds_goes_through_while_it_prints(shared_client):
    data = os.urandom(1 << 16) * 48  # 3 MiB
    id_ = shared_client.start("cat", stdin={"open": True}, ring_bytes=4 * MIB)["id"]
    write_all(shared_client, id_, data)
    write(shared_client, id_, close=True)
    got, lost = shared_client.read_all(id_)
    assert lost == 0 and hashlib.sha256(got).digest() == hashlib.sha256(data).digest()
    assert shared_client.wait(id_, "empty")["exit_code"] == 0


def test_what_nobody_reads_is_bounded_and_blocks_no_other_call(shared_client):
    id_ = shared_client.start("sleep", "1000", stdin={"open": True})["id"]
    calls = [shared_client.begin("process.write", {"id": id_, "data": b64(b"x" * MIB),
                                                   "encoding": "base64"}) for _ in range(16)]
    with pytest.raises(wire.Refused) as e:
        shared_client.end(calls[-1])
    assert e.value.code == "quota", "input that nobody reads must not be kept without limit"
    assert shared_client.run("echo", "hello").out == b"hello\n"
    shared_client.cancel(calls[1])
    with pytest.raises(wire.Refused) as e:
        shared_client.end(calls[1])
    assert e.value.code == "cancelled"
    assert shared_client.kill(id_, signal="SIGKILL")["gone"] is True
    # The first was partly taken, by the pipe; the others not at all.
    assert 0 < taken(shared_client.end(calls[0])) < MIB
    with pytest.raises(wire.Refused) as e:
        shared_client.end(calls[2])
    assert e.value.code == "conflict"


def test_a_repeated_write_id_is_written_once(shared_client):
    id_ = shared_client.start("cat", stdin={"open": True})["id"]
    first = shared_client.call("process.write", {"id": id_, "data": "a\n", "write_id": "w1"})
    again = shared_client.call("process.write", {"id": id_, "data": "a\n", "write_id": "w1"})
    assert taken(again) == taken(first) == 2
    shared_client.call("process.write", {"id": id_, "data": "b\n", "write_id": "w2"})
    shared_client.call("process.write", {"id": id_, "data": "c\n"})
    shared_client.call("process.write", {"id": id_, "data": "c\n", "close": True})
    assert shared_client.wait(id_).out == b"a\nb\nc\nc\n"


# Reads nothing until SIGUSR1, then all.
RELUCTANT = "sleep 1000 & s=$!; trap : USR1; echo up; wait; kill $s; exec cat"


def start_reluctant(c):
    id_ = c.start("sh", "-c", RELUCTANT, stdin={"open": True}, ring_bytes=4 * MIB)["id"]
    c.read_until(id_, b"up\n")
    return id_


def persuade(c, id_):
    c.call("process.signal", {"id": id_, "signal": "USR1", "scope": "process"})


@pytest.mark.parametrize("wait_ms", [0, 50])
def test_a_write_that_nobody_reads_says_so_in_time(shared_client, wait_ms):
    id_ = start_reluctant(shared_client)
    data = os.urandom(MIB)
    r = write(shared_client, id_, data, wait_ms=wait_ms, close=True)
    assert (r["timed_out"], r["closed"], r["repeated"]) == (True, False, False)
    assert r["bytes"] < MIB
    # What was left is neither lost nor written twice.
    persuade(shared_client, id_)
    got, lost = shared_client.read_all(id_)
    assert lost == 0 and got == b"up\n" + data
    assert shared_client.wait(id_, "empty")["exit_code"] == 0


def test_the_same_write_id_waits_on(shared_client):
    id_ = start_reluctant(shared_client)
    data = os.urandom(MIB)
    first = write(shared_client, id_, data, wait_ms=50, write_id="w", close=True)
    assert first["timed_out"] is True
    params = {"id": id_, "write_id": "w", "close": True}
    again = shared_client.call("process.write", {**params, "wait_ms": 50})
    assert again["timed_out"] is True and again["repeated"] is True
    calls = [shared_client.begin("process.write", params) for _ in range(3)]
    persuade(shared_client, id_)
    for n in calls:
        r = shared_client.end(n)
        assert (r["bytes"], r["timed_out"], r["repeated"], r["closed"]) == (MIB, False, True, True)
    assert shared_client.read_all(id_)[0] == b"up\n" + data
    shared_client.wait(id_, "empty")


def test_a_write_whose_caller_is_gone_can_be_asked_for_again(shared_engine, shared_client, backend):
    id_ = start_reluctant(shared_client)
    data = os.urandom(MIB)
    with shared_engine.connect(backend) as lost:
        lost.begin("process.write", {"id": id_, "write_id": "w", "close": True}, raw=data)
        cancelled = lost.begin("process.write", {"id": id_, "write_id": "w"})
        lost.cancel(cancelled)
        with pytest.raises(wire.Refused):
            lost.end(cancelled)
    again = shared_client.begin("process.write", {"id": id_, "write_id": "w"}, raw=data)
    persuade(shared_client, id_)
    r = shared_client.end(again)
    assert (r["bytes"], r["repeated"], r["timed_out"]) == (MIB, True, False)
    after = shared_client.call("process.write", {"id": id_, "write_id": "w"})
    assert (after["bytes"], after["repeated"]) == (MIB, True)
    assert shared_client.read_all(id_)[0] == b"up\n" + data
    shared_client.wait(id_, "empty")


def test_a_closed_stdin_takes_no_more(shared_client):
    id_ = shared_client.start("sh", "-c", "cat; exec sleep 1000", stdin={"open": True})["id"]
    shared_client.call("process.write", {"id": id_, "data": "x", "close": True})
    shared_client.read_until(id_, b"x")
    e = shared_client.refused("process.write", {"id": id_, "data": "more"})
    assert e.code == "conflict"
    shared_client.kill(id_, signal="SIGKILL")


def test_writing_where_stdin_is_not_open_is_a_conflict(shared_client):
    r = shared_client.run("true")
    assert shared_client.refused("process.write", {"id": r["id"], "data": "x"}).code == "conflict"
    id_ = shared_client.start("sleep", "1000")["id"]
    assert shared_client.refused("process.write", {"id": id_, "data": "x"}).code == "conflict"
    shared_client.kill(id_, signal="SIGKILL")


# A descriptor of the caller


def with_fd(client, fd, *argv, **params):
    return client.call("process.run", {"argv": list(argv), "stdin": {"fd": True}, **params},
                       fds=[fd])


def test_a_file_is_read_from_where_the_caller_stands(shared_client):
    with tempfile.TemporaryFile() as f:
        f.write(b"0123456789" * 1000)
        f.flush()
        f.seek(5)
        r = with_fd(shared_client, f.fileno(), "cat")
    assert r.out == (b"0123456789" * 1000)[5:]


def test_a_pipe_that_stays_open_holds_nobody(shared_client):
    r, w = os.pipe()
    os.write(w, b"some\n")
    try:
        reply = with_fd(shared_client, r, "head", "-n", "1")
        assert reply.out == b"some\n" and reply["exit_code"] == 0
    finally:
        os.close(r)
        os.close(w)


def test_a_pipe_ends_when_the_caller_closes_it(shared_client):
    r, w = os.pipe()
    call = shared_client.begin("process.run", {"argv": ["cat"], "stdin": {"fd": True}}, fds=[r])
    os.close(r)
    os.write(w, b"some")
    os.close(w)  # nobody in between may hold a copy of the writing end
    assert shared_client.end(call).out == b"some"


def test_a_reader_that_left_is_seen_by_the_caller(shared_client):
    r, w = os.pipe()
    reply = with_fd(shared_client, r, "true")
    os.close(r)
    assert reply["exit_code"] == 0
    with pytest.raises(BrokenPipeError):  # the engine and the keeper kept no copy
        os.write(w, b"x")
    os.close(w)


def test_a_socket_and_dev_null_are_taken(shared_client):
    a, b = socket.socketpair()
    a.sendall(b"by socket")
    a.shutdown(socket.SHUT_WR)
    with a, b:
        assert with_fd(shared_client, b.fileno(), "cat").out == b"by socket"
    with open("/dev/null", "rb") as null:
        assert with_fd(shared_client, null.fileno(), "cat").out == b""


def test_other_descriptors_are_refused(shared_client, place):
    master, slave = os.openpty()
    directory = os.open(place, os.O_RDONLY)
    zero = os.open("/dev/zero", os.O_RDONLY)
    path_only = os.open("/etc/passwd", os.O_PATH)
    memory = os.eventfd(0)
    try:
        for fd in (slave, master, directory, zero, path_only, memory):
            e = shared_client.refused("process.run", {"argv": ["true"], "stdin": {"fd": True}},
                                      fds=[fd])
            assert (e.code, e.field) == ("invalid_input", "stdin")
    finally:
        for fd in (master, slave, directory, zero, path_only, memory):
            os.close(fd)


def test_a_descriptor_that_was_promised_must_come(shared_client):
    e = shared_client.refused("process.run", {"argv": ["true"], "stdin": {"fd": True}})
    assert (e.code, e.field) == ("invalid_input", "stdin")


def test_descriptors_that_nobody_asked_for_are_closed(shared_engine, shared_client):
    def count():
        return len(os.listdir(f"/proc/{shared_engine.pid}/fd"))

    shared_client.run("true")
    before = count()
    r, w = os.pipe()
    for _ in range(10):
        try:
            shared_client.call("process.run", {"argv": ["true"]}, fds=[w, w, w])
        except Exception as e:  # refusing them is as good
            assert getattr(e, "code", None) == "invalid_input"
    os.close(w)
    assert os.read(r, 1) == b"", "somebody holds the descriptor"
    os.close(r)
    # Boxes of ended commands stay open for reading: one each at most.
    assert count() <= before + 12


# The command line


def test_run_passes_stdin_on(shared_engine):
    data = os.urandom(1 << 20)
    r = shared_engine.cli("run", "--", "sha256sum", stdin=data)
    assert r.stdout.split()[0] == hashlib.sha256(data).hexdigest().encode()


def test_run_of_a_command_that_reads_nothing_does_not_hang(shared_engine):
    r, w = os.pipe()  # stays open and empty
    try:
        p = shared_engine.cli("run", "--", "true", stdin=r)
        assert p.returncode == 0
    finally:
        os.close(r)
        os.close(w)


@pytest.mark.limit(120)
def test_the_command_line_is_more_patient_than_one_write(engine, everything):
    if not everything:
        pytest.skip("the long forms: PROCTOR_TEST_ALL=1")
    data = os.urandom(MIB // 2)  # more than the pipe and a read of it hold
    r = engine.cli("run", "--profile", "trusted-host", "--", "sh", "-c",
                   "sleep 33; exec sha256sum", stdin=data, patience=100)
    assert r.stdout.split()[0] == hashlib.sha256(data).hexdigest().encode(), r.stderr
    with engine.connect("host") as c:
        id_ = c.start("sh", "-c", "sleep 33; exec sha256sum", stdin={"open": True})["id"]
        assert engine.cli("write", id_, "--close", stdin=data, patience=100).returncode == 0
        assert c.wait(id_).out.split()[0] == hashlib.sha256(data).hexdigest().encode()
