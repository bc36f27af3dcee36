# SPDX-License-Identifier: Apache-2.0
"""What a command prints is recorded: bounded, with exact offsets, whoever reads."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import time

import pytest

import engine as engines
import wire

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
LINE = b"0123456\n"  # of `yes 0123456`: a byte's offset says what it must be


def pattern(offset, length):
    """What `yes 0123456` has at this offset."""
    n = length // len(LINE) + 2
    return (LINE * n)[offset % len(LINE):][:length]


def keeper_of(record):
    """The host's pid of the keeper of a running command."""
    pid = record["pid"]
    for _ in range(4):
        p = engines.Process(pid)
        if engines.is_ours(p):
            return p.pid
        pid = p.ppid
    raise AssertionError(f"no keeper above {record['pid']}")


def box_use(engine, id_):
    """Bytes on disk and apparent size of a black box."""
    st = engine.box(id_).stat()
    return st.st_blocks * 512, st.st_size


# Much


@pytest.mark.limit(400)
def test_output_without_end_stays_in_its_ring(engine, client, everything):
    size = 10 * GIB if everything else 1 * GIB
    ring = 64 * KIB
    r = client.call("process.start", {
        "command": f"yes 0123456 | head -c {size}; echo done >&2; read x",
        "stdin": {"open": True}, "ring_bytes": ring})
    id_ = r["id"]
    client.read_until(id_, b"", offset=0)  # it runs: its first bytes are there
    keeper = keeper_of(client.call("process.stats", {"id": id_}))
    before = engines.memory_kib(engine.pid), engines.memory_kib(keeper)

    client.read_until(id_, b"done", stream="stderr", patience=300)
    after = engines.memory_kib(engine.pid), engines.memory_kib(keeper)
    assert after[0] - before[0] < 1024, "the engine grew with the output"
    assert after[1] - before[1] < 64, "the keeper grew with the output"
    used, length = box_use(engine, id_)
    assert length <= 4096 + 2 * ring
    assert used <= length + 64 * KIB

    got, lost = read_rest(client, id_, 0)
    assert lost + len(got) == size
    assert len(got) <= ring
    assert len(got) >= ring // 2
    assert got == pattern(lost, len(got))
    client.call("process.write", {"id": id_, "data": "\n", "close": True})
    end = client.wait(id_, "empty")
    assert end["exit_code"] == 0
    assert end["stdout_bytes"] == size
    assert end["stdout_lost"] == lost


def read_rest(client, id_, offset, stream="stdout"):
    """What is there now from offset on: (bytes, lost)."""
    data, lost = b"", 0
    while True:
        r = client.call("process.read", {"id": id_, "stream": stream, "offset": offset,
                                         "max_bytes": MIB, "wait_ms": 0})
        got = r.err if stream == "stderr" else r.out
        lost += r["lost_bytes"]
        data += got
        assert r["offset"] == offset + r["lost_bytes"]
        assert r["next_offset"] == r["offset"] + len(got)
        offset = r["next_offset"]
        if not got:
            return data, lost


@pytest.mark.limit(120)
def test_readers_that_are_late_slow_or_leave_disturb_nobody(engine, client, backend):
    size = 64 * MIB
    ring = 64 * KIB
    r = client.call("process.start", {"command": f"read x; yes 0123456 | head -c {size}",
                                      "stdin": {"open": True}, "ring_bytes": ring})
    id_ = r["id"]
    with engine.connect(backend) as slow, engine.connect(backend) as leaver, \
            engine.connect(backend) as steady:
        slow_call = slow.begin("process.attach", {"id": id_})
        leaver_call = leaver.begin("process.attach", {"id": id_})
        steady_call = steady.begin("process.attach", {"id": id_})
        client.call("process.write", {"id": id_, "data": "go\n"})
        leaver.event(leaver_call, "output")
        leaver.close()
        end = client.wait(id_)  # while `slow` and `steady` have taken nothing
        assert end["exit_code"] == 0 and end["stdout_bytes"] == size

        for c, call in ((slow, slow_call), (steady, steady_call)):
            at = 0
            last = c.end(call)
            for e in last.events:
                if e.kind != "output" or e.json["stream"] != "stdout":
                    continue
                at += e.lost
                assert e.json["offset"] == at
                assert e.raw == pattern(at, len(e.raw))
                at += len(e.raw)
            assert at == size
            assert last["exit_code"] == 0

    got, lost = read_rest(client, id_, 0)  # the late one
    assert lost + len(got) == size == client.wait(id_)["stdout_bytes"]
    assert got == pattern(lost, len(got))


def test_an_offset_that_was_overwritten_is_told_as_lost(client):
    r = client.call("process.run", {"command": "yes 0123456 | head -c 300000",
                                    "ring_bytes": 8192, "max_output_bytes": 4096})
    assert r["stdout_bytes"] == 300000
    assert r["stdout_lost"] == 300000 - 8192
    part = client.call("process.read", {"id": r["id"], "stream": "stdout", "offset": 1000,
                                        "max_bytes": 100})
    assert part["offset"] == r["stdout_lost"]
    assert part["lost_bytes"] == r["stdout_lost"] - 1000
    assert part.out == pattern(part["offset"], 100)
    assert part["next_offset"] == part["offset"] + 100
    assert part["eof"] is False
    e = client.refused("process.read", {"id": r["id"], "stream": "stdout", "offset": 300001})
    assert (e.code, e.field) == ("invalid_input", "offset")
    end = client.call("process.read", {"id": r["id"], "stream": "stdout", "offset": 300000})
    assert end["eof"] is True and end.out == b""


def test_head_and_tail_are_given_when_there_is_more(client):
    size = 200000
    r = client.call("process.run", {"command": f"yes 0123456 | head -c {size}",
                                    "max_output_bytes": 1000})
    assert len(r.out) == 1000
    assert r["raw"]["stdout"]["omitted"] == size - 1000
    head = r["raw"]["stdout"]["head"]
    assert 0 < head < 1000
    assert r.out[:head] == pattern(0, head)
    assert r.out[head:] == pattern(size - (1000 - head), 1000 - head)
    none = client.call("process.run", {"command": "echo hello", "max_output_bytes": 0})
    assert none.out == b"" and none["stdout_bytes"] == 6


# Exactly


def bytes_of(client, engine, data, **params):
    (engine.workspace / "blob").write_bytes(data)
    r = client.call("process.run", {"argv": ["cat", "blob"], "ring_bytes": 4 * MIB, **params})
    assert r["stdout_bytes"] == len(data) and r["stdout_lost"] == 0
    return r


@pytest.mark.parametrize("what", ["not_utf8", "nul", "every_byte", "long_line", "empty"])
def test_bytes_are_bytes(shared_engine, shared_client, what):
    data = {
        "not_utf8": b"\xff\xfe\xc3(\xa0\xa1\xe2(\xa1\xf0\x28\x8c\x28" * 40,
        "nul": b"a\0b\0\0c\n" * 3000,
        "every_byte": bytes(range(256)) * 256,
        "long_line": b"x" * MIB,
        "empty": b"",
    }[what]
    r = bytes_of(shared_client, shared_engine, data, max_output_bytes=MIB)
    assert r.out == data
    assert shared_client.read_all(r["id"]) == (data, 0)


def test_a_character_split_by_reads_is_whole_again(shared_engine, shared_client):
    text = ("€" * 1000).encode()
    r = bytes_of(shared_client, shared_engine, text)
    got, at = b"", 0
    while True:
        part = shared_client.call("process.read", {"id": r["id"], "stream": "stdout",
                                                   "offset": at, "max_bytes": 7})
        assert part["offset"] == at and len(part.out) <= 7
        got += part.out
        at = part["next_offset"]
        if not part.out:
            break
    assert got == text


def test_a_character_split_by_writes_is_shown_as_text(shared_engine, shared_client):
    r = shared_client.call("process.start", {
        "command": "printf '\\342'; echo one >&2; read x; printf '\\202\\254'",
        "stdin": {"open": True}})
    shared_client.read_until(r["id"], b"one", stream="stderr")
    first = shared_client.call("process.read", {"id": r["id"], "stream": "stdout", "offset": 0,
                                                "wait_ms": 20000})
    assert first.out == b"\xe2" and first["next_offset"] == 1
    shared_client.call("process.write", {"id": r["id"], "data": "\n"})
    end = shared_client.wait(r["id"])
    assert end.out == "€".encode()
    shown = shared_engine.cli("logs", r["id"])
    assert shown.stdout == "€".encode()


def test_both_streams_in_one_keep_their_order(shared_client):
    r = shared_client.call("process.run", {
        "command": "for i in 1 2 3 4 5; do echo o$i; echo e$i >&2; done", "capture": "combined"})
    assert r.out == b"".join(b"o%d\ne%d\n" % (i, i) for i in range(1, 6))
    assert r["capture"] == "combined" and r["stderr_bytes"] == 0
    got = shared_client.call("process.read", {"id": r["id"], "stream": "both"})
    assert got.out == r.out
    # stderr of such a command says where to read
    try:
        note = json.dumps(dict(shared_client.call("process.read", {
            "id": r["id"], "stream": "stderr"})))
    except wire.Refused as e:
        note = e.message
    assert "stdout" in note


def test_discarded_output_is_not_kept(shared_engine, shared_client):
    r = shared_client.call("process.run", {"command": "yes | head -c 3000000",
                                           "capture": "discard"})
    assert r["exit_code"] == 0 and r.out == b""
    assert shared_client.read_all(r["id"]) == (b"", 0)
    used, _ = box_use(shared_engine, r["id"])
    assert used <= 4 * KIB + 2 * 64 * KIB, "no more than the first blocks of a box"


def test_reads_by_tail(shared_client):
    r = shared_client.sh("seq 1 1000")
    whole = b"".join(b"%d\n" % i for i in range(1, 1001))
    tail = shared_client.call("process.read", {"id": r["id"], "stream": "stdout",
                                               "tail_lines": 3})
    assert tail.out == b"998\n999\n1000\n"
    assert tail["offset"] == len(whole) - len(tail.out)
    tail = shared_client.call("process.read", {"id": r["id"], "stream": "stdout",
                                               "tail_bytes": 10})
    assert tail.out == whole[-10:]
    both = shared_client.refused("process.read", {"id": r["id"], "stream": "stdout",
                                                  "tail_bytes": 10, "offset": 0})
    assert both.code == "invalid_input"


@pytest.mark.limit(180)
def test_no_read_sleeps_over_bytes_that_come_as_it_begins(shared_client, everything):
    c = shared_client
    id_ = c.start("sh", "-c", "while read x; do echo line; done", stdin={"open": True})["id"]
    offset = 0
    for _ in range(40000 if everything else 2000):
        c.call("process.write", {"id": id_, "data": "\n"})
        before = offset
        while offset < before + 5:
            begin = time.monotonic()
            offset = c.call("process.read", {"id": id_, "stream": "stdout", "offset": offset,
                                             "wait_ms": 10000})["next_offset"]
            assert time.monotonic() - begin < 8, f"byte {offset} came, and nobody was told"
    assert c.kill(id_, signal="SIGKILL")["gone"]


def test_a_read_waits_for_bytes_and_for_a_text(shared_client):
    r = shared_client.call("process.start", {"command": "read x; echo first; read x; "
                                             "echo second READY; read x",
                                             "stdin": {"open": True}})
    id_ = r["id"]
    call = shared_client.begin("process.read", {"id": id_, "stream": "stdout", "offset": 0,
                                                "wait_ms": 25000, "until": "READY"})
    shared_client.call("process.write", {"id": id_, "data": "\n"})
    first = shared_client.call("process.read", {"id": id_, "stream": "stdout", "offset": 0,
                                                "wait_ms": 25000})
    assert first.out == b"first\n"
    shared_client.call("process.write", {"id": id_, "data": "\n"})
    got = shared_client.end(call)
    assert b"READY" in got.out and got.out.startswith(b"first\n")
    over = shared_client.call("process.read", {"id": id_, "stream": "stdout",
                                               "offset": got["next_offset"], "until": "NEVER",
                                               "wait_ms": 50})
    assert b"NEVER" not in over.out and over["exited"] is False
    shared_client.call("process.write", {"id": id_, "data": "\n", "close": True})
    shared_client.wait(id_, "empty")


# overflow: block


def drain(conn, call, digest, at, until=None):
    """Takes output events, which must follow each other without a hole, up to `until`
    bytes or to the reply. Returns (offset, reply or None)."""
    while until is None or at < until:
        f = conn.next_of(call, patience=60)
        if f.type == wire.REPLY:
            return at, conn.result(f)
        if f.kind == "output" and f.json["stream"] == "stdout":
            assert f.lost == 0 and f.json["offset"] == at
            digest.update(f.raw)
            at += len(f.raw)
    return at, None


def model_digest(size):
    d, step = hashlib.sha256(), len(LINE) << 17
    for at in range(0, size, step):
        d.update(pattern(at, min(step, size - at)))
    return d.hexdigest()


@pytest.mark.limit(90)
def test_blocking_loses_nothing(engine, client, backend, everything):
    size = (1024 if everything else 64) * MIB
    r = client.call("process.start", {
        "command": f"read x; yes 0123456 | head -c {size}", "stdin": {"open": True},
        "overflow": "block", "consumer": "reader", "ring_bytes": 64 * KIB})
    digest = hashlib.sha256()
    with engine.connect(backend) as c:
        call = c.begin("process.attach", {"id": r["id"], "consumer": "reader"})
        client.call("process.write", {"id": r["id"], "data": "\n"})
        at, last = drain(c, call, digest, 0)
    assert at == size and last["exit_code"] == 0 and last["stdout_bytes"] == size
    assert digest.hexdigest() == model_digest(size)


def test_blocking_really_blocks(engine, client, backend):
    ring = 64 * KIB
    r = client.call("process.start", {
        "command": f"yes 0123456 | head -c {8 * MIB}; echo finished >&2",
        "overflow": "block", "consumer": "reader", "ring_bytes": ring})
    id_ = r["id"]
    # With no consumer nothing beyond ring and pipes can be written.
    over = client.call("process.read", {"id": id_, "stream": "stderr", "offset": 0,
                                        "wait_ms": 700})
    assert over.err == b"" and over["exited"] is False
    assert client.call("process.stats", {"id": id_})["stdout_bytes"] <= ring
    digest = hashlib.sha256()
    with engine.connect(backend) as c:
        call = c.begin("process.attach", {"id": id_, "consumer": "reader"})
        at, last = drain(c, call, digest, 0)
    assert at == 8 * MIB and last["exit_code"] == 0
    assert digest.hexdigest() == model_digest(8 * MIB)


@pytest.mark.limit(90)
def test_blocking_loses_nothing_when_the_engine_is_killed(engine, client, backend):
    size = 32 * MIB
    id_ = client.call("process.start", {
        "command": f"yes 0123456 | head -c {size}", "overflow": "block",
        "consumer": "reader", "ring_bytes": 64 * KIB})["id"]
    digest, at = hashlib.sha256(), 0
    for stop_at in (size // 5, size // 2, None):
        with engine.connect(backend) as c:
            call = c.begin("process.attach", {"id": id_, "consumer": "reader",
                                              "stdout_offset": at})
            at, last = drain(c, call, digest, at, stop_at)
            if stop_at is None:
                break
            engine.kill9()
            # What it has sent counts as received: it lies in our socket.
            with pytest.raises(wire.Gone):
                while True:
                    at, last = drain(c, call, digest, at, at + 1)
        engine.start()
    assert at == size
    assert last["exit_code"] == 0 and last["stdout_bytes"] == size
    assert digest.hexdigest() == model_digest(size)


@pytest.mark.limit(120)
def test_blocking_falls_back_when_its_consumer_is_gone(engine, client, backend, everything):
    if backend == "native" and not everything:
        pytest.skip("waits a minute: PROCTOR_TEST_ALL=1 runs it for both backends")
    size = 4 * MIB
    id_ = client.call("process.start", {
        "command": f"yes 0123456 | head -c {size}", "overflow": "block",
        "consumer": "reader", "ring_bytes": 64 * KIB})["id"]
    with engine.connect(backend) as c:
        call = c.begin("process.attach", {"id": id_, "consumer": "reader"})
        drain(c, call, hashlib.sha256(), 0, MIB)
    # gone; the command is held until the stated time (60 s) is over
    end = client.wait(id_, "empty", wait_ms=100000)
    assert end["exit_code"] == 0 and end["stdout_bytes"] == size
    assert end["duration_ms"] >= 30000, "it did not wait for its consumer"
    assert end["stdout_lost"] > 0
    got, lost = read_rest(client, id_, 0)
    assert lost + len(got) == size and got == pattern(lost, len(got))


# A disk that is full


def small_disk(path, size):
    path.mkdir(mode=0o700, exist_ok=True)
    r = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs",
                        str(path)], capture_output=True, check=False)
    if r.returncode != 0:
        pytest.skip(f"mount of a tmpfs: {r.stderr.decode(errors='replace').strip()}")


@pytest.mark.limit(60)
def test_a_full_disk_costs_bytes_and_no_command(as_root, place, make_engine, backend):
    eng = make_engine()
    small_disk(eng.state, 24 * MIB)
    try:
        eng.start()
        with eng.connect(backend) as c:
            full_disk(eng, c)
        assert eng.stop() == 0
        assert not eng.leftovers()
    finally:
        eng.kill9()
        subprocess.run(["umount", "-l", str(eng.state)], check=True)


def full_disk(eng, c):
    size = 12 * MIB
    id_ = c.call("process.start", {"command": f"read x; yes 0123456 | head -c {size}; exit 6",
                                   "stdin": {"open": True}, "ring_bytes": 8 * MIB})["id"]
    # It runs; now the disk fills up.
    filler = eng.state / "filler"
    with open(filler, "wb", buffering=0) as f:
        try:
            while True:
                f.write(b"\0" * 4096)
        except OSError:
            pass
    assert shutil.disk_usage(eng.state).free < 4096
    c.call("process.write", {"id": id_, "data": "\n"})
    end = c.wait(id_, "empty")
    assert end["exit_code"] == 6, "the command must not notice"
    assert end["stdout_bytes"] == size
    assert end["stdout_lost"] > size - 8 * MIB, "the loss must be counted"
    assert end["disk_full"] is True
    got, lost = read_rest(c, id_, 0)
    assert lost == end["stdout_lost"] and lost + len(got) == size
    assert got == pattern(lost, len(got))
    # A new command either runs, or is refused with a reason; then all is well again.
    try:
        assert c.run("true")["exit_code"] == 0
    except wire.Refused as e:
        assert e.code == "unavailable"
    filler.unlink()
    r = c.run("echo", "again")
    assert (r.out, r["exit_code"]) == (b"again\n", 0)


# The command line as a reader


@pytest.mark.limit(60)
def test_run_passes_much_output_on_with_flat_memory(shared_engine, backend):
    size = 256 * MIB
    p = subprocess.Popen(
        [str(engines.bindir() / "proctor"), "run", "--profile", engines.PROFILES[backend],
         "--overflow", "block", "--", "sh", "-c", f"yes 0123456 | head -c {size}"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=shared_engine.env(),
        cwd=shared_engine.workspace)
    digest, n, peak = hashlib.sha256(), 0, 0
    with p.stdout:
        while True:
            data = p.stdout.read(MIB)
            if not data:
                break
            digest.update(data)
            n += len(data)
            if n % (32 * MIB) == 0 and n < size:
                peak = max(peak, engines.memory_kib(p.pid))
    assert p.wait(30) == 0
    assert n == size and digest.hexdigest() == model_digest(size)
    # AddressSanitizer keeps up to 256 MiB of freed memory in quarantine.
    assert 0 < peak < (320 if engines.sanitized() else 16) * 1024


def test_run_whose_reader_leaves_lets_the_command_run_on(shared_engine, shared_client, backend):
    label = f"leaver-{backend}"
    r, w = os.pipe()
    p = subprocess.Popen(
        [str(engines.bindir() / "proctor"), "run", "--profile", engines.PROFILES[backend],
         "--label", label, "--", "sh", "-c", "trap '' PIPE; yes | head -c 2000000; exit 3"],
        stdin=subprocess.DEVNULL, stdout=w, stderr=subprocess.DEVNULL,
        env=shared_engine.env(), cwd=shared_engine.workspace)
    os.close(w)
    os.read(r, 1)
    os.close(r)
    assert p.wait(20) == 128 + signal.SIGPIPE
    found = shared_client.call("process.list", {"label": label, "state": "all"})["processes"]
    assert len(found) == 1
    end = shared_client.wait(found[0]["id"])
    assert end["exit_code"] == 3 and end["stdout_bytes"] == 2000000
