# SPDX-License-Identifier: Apache-2.0
"""
What is no frame, no hello or no call ends its own connection and nothing else:
a witness connection with a call in flight must not notice.
"""

import json
import os
import random
import socket
import struct

import pytest

import wire

HELLO = wire.pack(wire.HELLO, 0, {"version": 1, "client": "test/1"})


@pytest.fixture
def witness(shared_engine, native):
    """A connection whose call is in flight during the test and must end well after it."""
    with shared_engine.connect(native) as c:
        id_ = c.start("sh", "-c", "read x; exit 42", stdin={"open": True})["id"]
        call = c.begin("process.wait", {"id": id_, "wait_ms": 600000})
        yield c
        c.call("process.write", {"id": id_, "data": "\n"})
        assert c.end(call)["exit_code"] == 42
    assert shared_engine.running()


def ending(conn, patience=15):
    """Reads until the connection ends; the frames that came before."""
    frames = []
    try:
        while True:
            frames.append(conn.recv(patience))
    except wire.Gone:
        return frames


def must_end(engine, data, greet=True, fds=()):
    """Sends bytes; the engine must close the connection. Returns the error it told."""
    with engine.raw() as c:
        if greet:
            c.greet()
        try:
            c.send_bytes(data, fds)
        except wire.Gone:
            pass  # closed while we were still sending: as good
        frames = ending(c)
    errors = [f.json["error"] for f in frames if "error" in f.json]
    assert len(frames) == len(errors) <= 1, frames
    return errors[0] if errors else None


def head(length, type_=wire.CALL, flags=0, zero=0, call=1, json_len=0):
    return wire.HEAD.pack(length, type_, flags, zero, call, json_len)


# Frames


BAD_FRAMES = {
    "length 0": head(0),
    "length below the head": head(11),
    "length above the limit": head(wire.FRAME_MAX + 1),
    "largest length": head(0xFFFFFFFF),
    "type 0": head(12, type_=0),
    "unknown type": head(12, type_=6),
    "largest type": head(12, type_=255),
    "reserved bytes": head(12, zero=1),
    "JSON beyond the frame": head(12, json_len=1),
    "largest JSON length": head(12, json_len=0xFFFFFFFF),
    "too many descriptors": head(12, flags=4),
    "descriptors that do not come": head(14, flags=1, json_len=2) + b"{}",
    "call number 0": head(14, call=0, json_len=2) + b"{}",
    "reply to the engine": wire.pack(wire.REPLY, 1, {"result": {}}),
    "event to the engine": wire.pack(wire.EVENT, 1, {"kind": "output"}),
    "cancel of call 0": wire.pack(wire.CANCEL, 0, text=b""),
    "second hello": HELLO,
    "text": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" * 4,
    "zeros": bytes(64),
    "ones": b"\xff" * 64,
}


@pytest.mark.parametrize("name", BAD_FRAMES)
def test_a_bad_frame_ends_its_connection(shared_engine, witness, name):
    error = must_end(shared_engine, BAD_FRAMES[name])
    assert error is None or error["code"] in ("invalid_input", "conflict"), error


BAD_JSON = {
    "no JSON": b"",
    "no object": b"[]",
    "a number": b"1",
    "cut": b'{"op": "process.list"',
    "two values": b'{"op": "process.list"} {}',
    "no UTF-8": b'{"op": "process.list", "params": {"label": "\xff\xfe"}}',
    "a NUL": b'{"op": "process.list\0"}',
    "a NUL escaped": b'{"op": "process.list", "params": {"label": "a\\u0000b"}}',
    "a lone surrogate": b'{"op": "process.list", "params": {"label": "\\ud800"}}',
    "duplicate keys": b'{"op": "process.list", "params": {"limit": 1, "limit": 2}}',
    "too deep": b'{"op": "process.list", "params": ' + b'{"a":' * 2000 + b"1" + b"}" * 2001,
    "many values": b'{"op": "process.list", "params": {"x": [' + b"1," * 600000 + b"1]}}",
    "many containers": b'{"op": "process.list", "params": {"x": [' + b"{}," * 100000 + b"{}]}}",
    "no operation": b'{"params": {}}',
    "operation is no text": b'{"op": 1}',
    "params is no object": b'{"op": "process.list", "params": []}',
    "unknown key": b'{"op": "process.list", "more": 1}',
    "unknown operation": b'{"op": "process.nothing"}',
    "infinite number": b'{"op": "process.list", "params": {"limit": 1e999}}',
    "NaN": b'{"op": "process.list", "params": {"limit": NaN}}',
}


@pytest.mark.parametrize("name", BAD_JSON)
def test_bad_json_is_refused_and_the_connection_lives(shared_engine, witness, name):
    with shared_engine.connect("native") as c:
        c.send_bytes(wire.pack(wire.CALL, 7, text=BAD_JSON[name]))
        f = c.recv(15)
        assert f.json["error"]["code"] in ("invalid_input", "not_found"), f
        assert (f.type, f.call) == (wire.REPLY, 7)
        assert "processes" in c.call("process.list")


def test_frames_in_any_pieces_are_understood(shared_engine, witness):
    data = wire.pack(wire.HELLO, 0, {"version": 1, "client": "test/1"}) + b"".join(
        wire.pack(wire.CALL, n, {"op": "process.list", "params": {"limit": n}})
        for n in range(1, 6))
    for size in (1, 2, 3, 7, 64, len(data)):
        with shared_engine.raw() as c:
            for at in range(0, len(data), size):
                c.send_bytes(data[at: at + size])
            assert c.recv().type == wire.HELLO
            for n in range(1, 6):
                f = c.recv()
                assert (f.type, f.call) == (wire.REPLY, n) and "result" in f.json


def test_a_half_frame_holds_nobody(shared_engine, witness):
    whole = wire.pack(wire.CALL, 1, {"op": "process.list"})
    halves = []
    for n in range(1, len(whole)):
        c = shared_engine.raw()
        c.greet()
        c.send_bytes(whole[:n])
        halves.append(c)
    assert "processes" in witness.call("process.list")
    for c in halves:
        c.close()
    assert "processes" in witness.call("process.list")


def test_a_client_that_reads_nothing_holds_nobody(shared_engine, witness):
    with shared_engine.connect("native") as c:
        c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        c.sock.setblocking(False)
        n = 0
        try:
            for n in range(1, 20000):
                c.sock.send(wire.pack(wire.CALL, n, {"op": "daemon.doctor"}))
        except (BlockingIOError, BrokenPipeError, ConnectionResetError):
            pass
        assert 0 < n < 19999, "the engine takes calls without limit from who reads nothing"
        assert "processes" in witness.call("process.list")


# Hellos


BAD_HELLOS = {
    "empty": {},
    "version 0": {"version": 0},
    "version is text": {"version": "1"},
    "version too large": {"version": 65536},
    "unknown key": {"version": 1, "more": True},
    "client is no text": {"version": 1, "client": 5},
    "client with control characters": {"version": 1, "client": "a\nb"},
    "relative workspace": {"version": 1, "workspace": "tmp"},
    "missing workspace": {"version": 1, "workspace": "/no/such/folder"},
    "workspace is a file": {"version": 1, "workspace": "/etc/passwd"},
    "workspace is everything": {"version": 1, "workspace": "/"},
    "unknown profile": {"version": 1, "profiles": ["no-such-profile"]},
    "profiles is no list": {"version": 1, "profiles": "default"},
    "unknown operation": {"version": 1, "operations": ["process.nothing"]},
    "unknown limit": {"version": 1, "limits": {"more": 1}},
    "limit out of range": {"version": 1, "limits": {"open_files": 1}},
}


@pytest.mark.parametrize("name", BAD_HELLOS)
def test_a_bad_hello_ends_its_connection(shared_engine, witness, name):
    error = must_end(shared_engine, wire.pack(wire.HELLO, 0, BAD_HELLOS[name]), greet=False)
    assert error, "the reason must be told"
    assert error["code"] in ("invalid_input", "not_found", "denied", "unsupported"), error


def test_a_newer_client_is_answered_with_our_version(shared_engine):
    with shared_engine.raw() as c:
        c.greet(version=2)
        assert c.hello["version"] == 1


def test_the_hello_tells_who_answers(shared_engine):
    with shared_engine.connect("native") as c:
        assert c.hello["version"] == 1
        assert c.hello["pid"] == shared_engine.pid
        assert c.hello["engine"].startswith("proctord/")


@pytest.mark.parametrize("first", [
    wire.pack(wire.CALL, 1, {"op": "process.list"}), wire.pack(wire.CANCEL, 1),
    wire.pack(wire.HELLO, 0, text=b"hello"), wire.pack(wire.HELLO, 1, {"version": 1}),
    b"\0" * 16, os.urandom(64)])
def test_something_else_than_a_hello_ends_the_connection(shared_engine, witness, first):
    must_end(shared_engine, first, greet=False)


def test_a_connection_that_says_nothing_is_closed(shared_engine, witness):
    with shared_engine.raw() as silent, shared_engine.raw() as slow:
        slow.send_bytes(HELLO[:10])
        for c in (silent, slow):
            assert len(ending(c, patience=20)) <= 1


# Calls


def test_a_call_number_in_use_ends_the_connection(shared_engine, witness):
    with shared_engine.connect("native") as c:
        id_ = c.start("sleep", "1000")["id"]
        call = c.begin("process.wait", {"id": id_, "wait_ms": 60000})
        c.send(wire.CALL, call, {"op": "process.list"})
        for f in ending(c):
            assert "error" in f.json
    witness.kill(id_, signal="SIGKILL")


def test_calls_in_flight_are_limited(shared_engine, witness):
    with shared_engine.connect("native") as c:
        id_ = c.start("sleep", "1000")["id"]
        calls = [c.begin("process.wait", {"id": id_, "wait_ms": 600000}) for _ in range(65)]
        with pytest.raises(wire.Refused) as e:
            c.end(calls[-1])
        assert e.value.code == "quota"
        witness.kill(id_, signal="SIGKILL")
        for call in calls[:-1]:
            assert c.end(call)["exited"] is True


def test_a_cancel_of_nothing_is_no_fault(shared_engine):
    with shared_engine.connect("native") as c:
        for call in (1, 77, 0xFFFFFFFF):
            c.cancel(call)
        assert "processes" in c.call("process.list")


@pytest.mark.limit(60)
def test_connections_are_limited_and_given_back(shared_engine, witness):
    many = []
    try:
        refused = 0
        for _ in range(300):
            try:
                many.append(shared_engine.connect("native"))
            except (wire.Gone, wire.Refused, ConnectionError):
                refused += 1
                break
        assert refused, "300 connections of one client"
        assert len(many) >= 200
        assert "processes" in witness.call("process.list")
    finally:
        for c in many:
            c.close()
    for _ in range(1000):  # each look is a round trip by the witness
        witness.call("process.list", {"limit": 1})
        try:
            shared_engine.connect("native").close()
            return
        except (wire.Gone, wire.Refused, ConnectionError):
            pass
    raise AssertionError("no connection is taken any more")


# Descriptors


def test_descriptors_without_a_frame_are_closed(shared_engine, witness):
    for data, flags in ((HELLO, 0), (wire.pack(wire.CALL, 1, {"op": "process.list"}), 0)):
        r, w = os.pipe()
        must_end(shared_engine, data, greet=data is not HELLO, fds=[w])
        os.close(w)
        assert os.read(r, 1) == b"", "the engine holds a descriptor that it refused"
        os.close(r)
        assert flags == 0


def test_more_descriptors_than_said_end_the_connection(shared_engine, witness):
    r, w = os.pipe()
    data = wire.pack(wire.CALL, 1, {"op": "process.list"}, flags=1)
    must_end(shared_engine, data, fds=[w, w])
    must_end(shared_engine, data, fds=[w] * 60)
    os.close(w)
    assert os.read(r, 1) == b""
    os.close(r)


# Fuzz


def seeds():
    def c(n, op, **params):
        return wire.pack(wire.CALL, n, {"op": op, "params": params})
    return [
        HELLO + c(1, "process.list", limit=5, state="all"),
        HELLO + c(1, "process.run", argv=["true"]) + c(2, "daemon.status"),
        HELLO + c(1, "process.start", command=":", label="fuzz", pty={"cols": 80, "rows": 24}),
        HELLO + c(1, "process.read", id="p_" + "0" * 32, offset=0, stream="both"),
        HELLO + c(1, "process.write", id="p_" + "0" * 32, data="AAAA", encoding="base64"),
        HELLO + c(1, "events.watch", kinds=["start"]) + wire.pack(wire.CANCEL, 1),
        HELLO + c(1, "policy.check", argv=["true"], limits={"open_files": 64}),
        wire.pack(wire.HELLO, 0, {"version": 1, "operations": ["process.list"], "path": "/bin"}),
    ]


def mutate(rng, data):
    data = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        kind = rng.randrange(7)
        at = rng.randrange(len(data)) if data else 0
        if kind == 0 and data:
            data[at] = rng.randrange(256)
        elif kind == 1 and data:
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 2:
            data[at:at] = bytes(rng.randrange(256) for _ in range(rng.randrange(1, 9)))
        elif kind == 3 and data:
            del data[at: at + rng.randrange(1, 9)]
        elif kind == 4 and len(data) >= at + 4:
            struct.pack_into("<I", data, at, rng.choice(
                (0, 1, 11, 12, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, wire.FRAME_MAX)))
        elif kind == 5 and data:
            data += data[at: at + rng.randrange(1, 64)]
        elif kind == 6:
            del data[at:]
        if not data:
            break
    return bytes(data)


@pytest.mark.limit(120)
def test_mutated_connections_do_not_hurt(shared_engine, witness, everything):
    seed = int(os.environ.get("PROCTOR_TEST_SEED", random.SystemRandom().randrange(1 << 32)))
    print(f"PROCTOR_TEST_SEED={seed}")
    rng = random.Random(seed)
    corpus = seeds()
    for n in range(40000 if everything else 4000):
        data = mutate(rng, rng.choice(corpus))
        with shared_engine.raw() as c:
            try:
                c.send_bytes(data)
                c.sock.shutdown(socket.SHUT_WR)
                ending(c, patience=20)
            except (wire.Gone, OSError):
                pass
            except wire.Silent:
                raise AssertionError(f"seed {seed}, round {n}: no end after our end") from None
        if n % 50 == 0:
            assert shared_engine.running(), f"seed {seed}, round {n}: the engine died"
            assert "processes" in witness.call("process.list", {"limit": 1})
    assert shared_engine.running(), f"seed {seed}"
    status = witness.call("daemon.status")
    assert status["pid"] == shared_engine.pid
    json.dumps(dict(status))
    for p in witness.call("process.list", {"label": "fuzz", "limit": 1000})["processes"]:
        witness.kill(p["id"], signal="SIGKILL")
