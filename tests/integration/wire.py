# SPDX-License-Identifier: Apache-2.0
"""
wire - a client of the engine's socket that shares no code with libproctor

A frame is u32 length (of all that follows), u8 type, u8 flags (the number of
descriptors that travel with it), u16 0, u32 call, u32 length of the JSON, the
JSON, raw bytes to the end; little-endian, at most 4 MiB. See docs/protocol.md.

    with wire.connect(socket_path, workspace=ws, profiles=["default"]) as c:
        r = c.call("process.run", {"argv": ["true"]})
        assert r["exit_code"] == 0

A call that the engine refuses raises wire.Refused with code, field and message.
A connection that ends raises wire.Gone. Nothing here waits without a limit.
"""

import json
import os
import select
import socket
import struct
import time

HELLO, CALL, REPLY, EVENT, CANCEL = 1, 2, 3, 4, 5
FRAME_MAX = 4 << 20  # of all that follows the length
HEAD = struct.Struct("<IBBHII")
VERSION = 1

# How long a test waits for one frame before it says that none came. It is a
# limit on a broken engine, nothing is measured by it.
PATIENCE = 30.0


class Gone(Exception):
    """The engine closed the connection."""


class Silent(Exception):
    """No frame came in time."""


class Refused(Exception):
    """The engine answered with an error."""

    def __init__(self, error, op=None):
        self.code = error.get("code")
        self.field = error.get("field")
        self.message = error.get("message", "")
        self.error = error
        super().__init__(f"{op or 'hello'}: {self.code} [{self.field}] {self.message}")


class Frame:
    def __init__(self, type_, call, obj, raw=b""):
        self.type = type_
        self.call = call
        self.json = obj
        self.raw = raw

    @property
    def kind(self):
        """Of an event: output, eof, exit, heartbeat ..."""
        return self.json.get("event")

    @property
    def lost(self):
        return self.json["lost_bytes"]

    def __repr__(self):
        return f"Frame(type={self.type}, call={self.call}, {self.json!r}, raw={len(self.raw)})"


class Reply(dict):
    """The result object. `.out` and `.err` are the bytes that came behind it."""

    def __init__(self, obj, raw=b""):
        super().__init__(obj)
        self.bytes = raw
        self.events = []

    def _stream(self, name):
        at = (self.get("raw") or {}).get(name)
        if not at:
            return b""
        return self.bytes[at["at"]: at["at"] + at["len"]]

    @property
    def out(self):
        return self._stream("stdout")

    @property
    def err(self):
        return self._stream("stderr")


def pack(type_, call, obj=None, raw=b"", flags=0, text=None):
    """The bytes of one frame. `text` replaces the JSON by arbitrary bytes."""
    if text is None:
        text = b"" if obj is None else json.dumps(obj).encode()
    return HEAD.pack(12 + len(text) + len(raw), type_, flags, 0, call, len(text)) + text + raw


def dial(path):
    """A connected stream socket; a path of any length."""
    path = str(path)
    s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        if len(os.fsencode(path)) < 108:
            s.connect(path)
        else:
            d = os.open(os.path.dirname(path), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                s.connect(f"/proc/self/fd/{d}/{os.path.basename(path)}")
            finally:
                os.close(d)
    except BaseException:
        s.close()
        raise
    return s


class Connection:
    def __init__(self, sock):
        self.sock = sock
        self.buf = bytearray()
        self.last_call = 0
        self.pending = {}  # call -> frames that came while another was waited for
        self.names = {}
        self.hello = None

    def __enter__(self):
        return self

    def __exit__(self, *_exc):
        self.close()

    def fileno(self):
        return self.sock.fileno()

    def close(self):
        self.sock.close()

    # bytes

    def send_bytes(self, data, fds=()):
        """All of data; descriptors travel with its first byte."""
        view = memoryview(data)
        end = time.monotonic() + PATIENCE
        while view or fds:
            left = end - time.monotonic()
            if left <= 0 or not select.select([], [self.sock], [], left)[1]:
                raise Silent("the engine takes no more bytes")
            try:
                if fds:
                    n = socket.send_fds(self.sock, [view[: 1 << 16]], list(fds))
                    fds = ()
                else:
                    n = self.sock.send(view[: 1 << 18])
            except (BrokenPipeError, ConnectionResetError) as e:
                raise Gone(str(e)) from e
            view = view[n:]

    def fill(self, patience=PATIENCE):
        """One more piece of bytes from the engine."""
        if not select.select([self.sock], [], [], max(0, patience))[0]:
            raise Silent("no byte came")
        try:
            data = self.sock.recv(1 << 18)
        except ConnectionResetError as e:
            raise Gone(str(e)) from e
        if not data:
            raise Gone("end of connection")
        self.buf += data

    # frames

    def send(self, type_, call, obj=None, raw=b"", fds=()):
        self.send_bytes(pack(type_, call, obj, raw, len(fds)), fds)

    def take(self):
        """A whole frame out of what has come, or None."""
        if len(self.buf) < 4:
            return None
        (length,) = struct.unpack_from("<I", self.buf)
        assert 12 <= length <= FRAME_MAX, f"the engine sent a frame of {length} bytes"
        if len(self.buf) < 4 + length:
            return None
        _, type_, flags, zero, call, json_len = HEAD.unpack_from(self.buf)
        assert zero == 0 and flags == 0, "reserved bytes of a frame are not 0"
        assert json_len <= length - 12, "JSON is longer than its frame"
        text = bytes(self.buf[16: 16 + json_len])
        raw = bytes(self.buf[16 + json_len: 4 + length])
        del self.buf[: 4 + length]
        return Frame(type_, call, json.loads(text) if text else {}, raw)

    def recv(self, patience=PATIENCE):
        """The next frame, of any call."""
        end = time.monotonic() + patience
        while True:
            f = self.take()
            if f:
                return f
            self.fill(end - time.monotonic())

    def next_of(self, call, patience=PATIENCE):
        """The next frame that belongs to this call (or to the connection: call 0)."""
        queue = self.pending.setdefault(call, [])
        end = time.monotonic() + patience
        while not queue:
            f = self.recv(end - time.monotonic())
            if f.call == 0 and "error" in f.json:
                raise Refused(f.json["error"])
            self.pending.setdefault(f.call, []).append(f)
        return queue.pop(0)

    # calls

    def greet(self, **hello):
        """The hello. A value of None leaves the key out."""
        obj = {"version": VERSION, "client": "test/1"}
        obj.update(hello)
        self.send(HELLO, 0, {k: v for k, v in obj.items() if v is not None})
        f = self.recv()
        if "error" in f.json:
            raise Refused(f.json["error"])
        assert f.type == HELLO, f
        self.hello = f.json
        return self

    def begin(self, op, params=None, raw=b"", fds=()):
        """Sends a call and returns its number."""
        self.last_call += 1
        obj = {"op": op}
        if params is not None:
            obj["params"] = params
        self.names[self.last_call] = op
        self.send(CALL, self.last_call, obj, raw, fds)
        return self.last_call

    def event(self, call, kind=None, patience=PATIENCE):
        """The next event of a call (of that kind). A reply in between is an error."""
        end = time.monotonic() + patience
        while True:
            f = self.next_of(call, end - time.monotonic())
            if f.type == REPLY:
                self.result(f)
                raise AssertionError(f"reply instead of an event: {f}")
            if kind is None or f.kind == kind:
                return f

    def end(self, call, patience=PATIENCE):
        """The reply of a call; events that came before it are in reply.events."""
        events = []
        end = time.monotonic() + patience
        while True:
            f = self.next_of(call, end - time.monotonic())
            if f.type == EVENT:
                events.append(f)
                continue
            assert f.type == REPLY, f
            r = self.result(f)
            r.events = events
            return r

    def result(self, f):
        if "error" in f.json:
            raise Refused(f.json["error"], self.names.get(f.call))
        return Reply(f.json.get("result", {}), f.raw)

    def call(self, op, params=None, raw=b"", fds=(), patience=PATIENCE):
        return self.end(self.begin(op, params, raw, fds), patience)

    def cancel(self, call):
        self.send(CANCEL, call)

    def refused(self, op, params=None, raw=b"", fds=()):
        """The error of a call that must be refused."""
        try:
            r = self.call(op, params, raw, fds)
        except Refused as e:
            return e
        raise AssertionError(f"{op} {params!r} was not refused: {dict(r)!r}")

    # short forms

    def run(self, *argv, **params):
        return self.call("process.run", {"argv": list(argv), **params})

    def sh(self, command, **params):
        return self.call("process.run", {"command": command, **params})

    def start(self, *argv, **params):
        return self.call("process.start", {"argv": list(argv), **params})

    def read_all(self, id_, stream="stdout", offset=0, wait_ms=20000, patience=PATIENCE):
        """Bytes of a stream from offset to its end. Returns (bytes, lost)."""
        data, lost = b"", 0
        end = time.monotonic() + patience
        while time.monotonic() < end:
            r = self.call("process.read", {"id": id_, "stream": stream, "offset": offset,
                                           "max_bytes": 1 << 20, "wait_ms": wait_ms})
            got = r.out if stream != "stderr" else r.err
            data += got
            lost += r["lost_bytes"]
            offset = r["next_offset"]
            if r["eof"] and not got:
                return data, lost
        raise Silent(f"{stream} of {id_} does not end")

    def read_until(self, id_, text, stream="stdout", offset=0, patience=PATIENCE):
        """Reads on until text is in what was read. Returns (bytes, next offset)."""
        data = b""
        end = time.monotonic() + patience
        while time.monotonic() < end:
            r = self.call("process.read", {"id": id_, "stream": stream, "offset": offset,
                                           "wait_ms": 20000})
            got = r.out if stream != "stderr" else r.err
            data += got
            offset = r["next_offset"]
            if text in data:
                return data, offset
            if r["eof"] and not got:
                break
        raise AssertionError(f"{text!r} did not come, only {data[-200:]!r}")

    def wait(self, id_, for_="exited", wait_ms=30000, **params):
        return self.call("process.wait", {"id": id_, "for": for_, "wait_ms": wait_ms,
                                          **params}, patience=wait_ms / 1000 + 10)

    def kill(self, id_, **params):
        return self.call("process.kill", {"id": id_, **params}, patience=60)


def connect(path, **hello):
    """A connection that has said hello. hello(None) is not sent: see Connection."""
    c = Connection(dial(path))
    try:
        return c.greet(**hello)
    except BaseException:
        c.close()
        raise
