# SPDX-License-Identifier: Apache-2.0
"""Named sandboxes: what their commands share, what not, and what is left of them."""

import contextlib
import os

import pytest

import engine as engines
import wire
from fixtures import connect, shared_engine, whose  # noqa: F401

pytestmark = pytest.mark.usefixtures("native")

SERVER = """
import socket
s = socket.create_server(("127.0.0.1", 8000))
print("up", flush=True)
while True:
    c, _ = s.accept()
    c.sendall(b"hello from the other\\n")
    c.close()
"""
ASK = "exec 3<>/dev/tcp/127.0.0.1/8000; cat <&3"


@pytest.fixture
def c(shared_engine):  # noqa: F811
    with connect(shared_engine) as connection:
        yield connection


@contextlib.contextmanager
def sandbox(c, **params):
    box = c.call("sandbox.create", params)
    try:
        yield box["id"]
    finally:
        # Gone with an engine that a test has killed: then it destroys it itself.
        with contextlib.suppress(wire.Refused, wire.Gone):
            c.call("sandbox.destroy", {"id": box["id"], "grace_ms": 0})


def serve(c, box):
    r = c.start("/usr/bin/python3", "-c", SERVER, sandbox=box)
    c.read_until(r["id"], b"up\n")
    return r


def ask(c, box):
    return c.sh(ASK, sandbox=box, shell="/bin/bash", timeout_ms=10000)


def test_a_server_of_one_command_answers_the_next(c):
    with sandbox(c) as box:
        serve(c, box)
        assert ask(c, box).out == b"hello from the other\n"
        # Neither a fresh sandbox nor a second named one is on that network.
        assert ask(c, "new")["exit_code"] != 0
        with sandbox(c) as other:
            assert ask(c, other)["exit_code"] != 0
        assert ask(c, box).out == b"hello from the other\n"


def test_tmp_home_and_workspace_are_shared_between_its_commands_alone(c):
    with sandbox(c) as box:
        r = c.sh("echo t >/tmp/shared-t; cd; echo h >shared-h", sandbox=box)
        assert r["exit_code"] == 0, r.err
        look = "cat /tmp/shared-t; cd; cat shared-h"
        assert c.sh(look, sandbox=box).out == b"t\nh\n"
        assert c.sh(look, sandbox="new").out == b""
        assert c.sh(look).out == b""


def test_neither_can_see_or_signal_the_other(c):
    with sandbox(c) as box:
        server = serve(c, box)
        pids = c.sh("for d in /proc/[0-9]*; do tr '\\0' ' ' <$d/cmdline; echo; done", sandbox=box)
        assert b"create_server" not in pids.out
        r = c.run("/usr/bin/python3", "-c", "import os, signal\n"
                  "for pid in range(2, 40000):\n"
                  "    if pid == os.getpid(): continue\n"
                  "    try:\n        os.kill(pid, signal.SIGKILL); print('hit', pid)\n"
                  "    except ProcessLookupError: pass\n"
                  "try:\n    os.kill(1, signal.SIGKILL); print('allowed')\n"
                  "except PermissionError: pass\n"
                  "try:\n    os.kill(-1, signal.SIGKILL)\n"
                  "except ProcessLookupError: print('alone')\n", sandbox=box)
        assert r.out == b"alone\n", (dict(r), r.out, r.err)
        assert ask(c, box).out == b"hello from the other\n"
        now = c.call("process.stats", {"id": server["id"]})
        assert now["state"] == "running"


def test_its_commands_are_in_one_set_of_namespaces_and_apart_in_two(c):
    with sandbox(c) as box:
        def of(r):
            return dict(line.split(":") for line in r.out.decode().split())
        look = "for n in user net ipc uts cgroup pid; do readlink /proc/self/ns/$n; done; read x"
        a, b = (c.start("sh", "-c", look, sandbox=box, stdin={"open": True}) for _ in range(2))
        seen = []
        for r in (a, b):
            out, _ = c.read_until(r["id"], b"pid:")
            seen.append(dict(line.split(":") for line in out.decode().split()))
            c.call("process.write", {"id": r["id"], "close": True, "data": "\n"})
        for name in ("user", "net", "ipc", "uts", "cgroup"):
            assert seen[0][name] == seen[1][name], name
        assert seen[0]["pid"] != seen[1]["pid"]
        for r in (a, b):
            c.wait(r["id"], "empty")


def test_what_is_told_of_it(c, shared_engine):  # noqa: F811
    with sandbox(c, label="mine") as box:
        r = c.start("sleep", "1000", sandbox=box)
        got = c.call("sandbox.get", {"id": box})
        assert (got["id"], got["label"], got["state"]) == (box, "mine", "running")
        assert got["workspace"] == str(shared_engine.workspace)
        assert [s["id"] for s in c.call("sandbox.list", {"label": "mine"})["sandboxes"]] == [box]
        assert c.call("sandbox.list", {"label": "other"})["sandboxes"] == []
        rows = c.call("process.list", {"sandbox": box})["processes"]
        assert [p["id"] for p in rows] == [r["id"]] and rows[0]["sandbox"] == box
    e = c.refused("sandbox.get", {"id": "s_" + "0" * 26})
    assert e.code == "not_found"


def mount_count(pid):
    with open(f"/proc/{pid}/mountinfo", encoding="utf-8") as f:
        return len(f.readlines())


def namespaces_of(pid):
    found = set()
    for kind in ("net", "mnt", "user", "ipc"):
        with contextlib.suppress(OSError):
            found.add(os.readlink(f"/proc/{pid}/ns/{kind}"))
    return found


def namespaces_in_use():
    return set().union(*(namespaces_of(name) for name in os.listdir("/proc") if name.isdigit()))


@contextlib.contextmanager
def held_namespaces(pid):
    """Names of a process's namespaces, kept open: no other one gets their numbers."""
    with contextlib.ExitStack() as stack:
        found = set()
        for kind in ("net", "ipc", "user"):
            with contextlib.suppress(PermissionError):
                fd = os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC)
                stack.callback(os.close, fd)
                found.add(os.readlink(f"/proc/self/fd/{fd}"))
        yield found


def cgroups(box):
    """Groups of the sandbox: they are named by its id. Others are other engines'."""
    return {d for d, _, _ in os.walk("/sys/fs/cgroup") if box in d}


def test_destroying_it_leaves_nothing(c, shared_engine):  # noqa: F811
    launcher = c.call("daemon.status")["launcher_pid"]
    c.run("true")  # whatever is made once is there now
    before = mount_count("self"), mount_count(launcher)
    old = {p.pid for p in engines.descendants()}
    with contextlib.ExitStack() as stack:
        box = stack.enter_context(sandbox(c))
        server = serve(c, box)
        c.start("sh", "-c", "trap '' TERM; setsid sleep 1000 & sleep 1000", sandbox=box)
        pid = c.call("process.stats", {"id": server["id"]})["pid"]
        inside = stack.enter_context(held_namespaces(pid))
        if os.geteuid() == 0:
            assert len(inside) == 3 and inside <= namespaces_in_use()
            assert not inside & {os.readlink(f"/proc/self/ns/{k}") for k in ("net", "ipc", "user")}
        end = c.call("sandbox.destroy", {"id": box, "grace_ms": 100}, patience=60)
        assert end["gone"] is True and end["ended"] == 2
        assert c.refused("sandbox.get", {"id": box}).code == "not_found" or \
            c.call("sandbox.get", {"id": box})["state"] == "destroyed"
        e = c.refused("process.run", {"argv": ["true"], "sandbox": box})
        assert e.code in ("not_found", "conflict"), e

        def of_it(p):
            # A keeper prepared ahead of need is nobody's sandbox, unless it is in this one:
            # it says that all is over, and then goes.
            if p.pid not in old and not engines.is_ours(p):
                return True
            return bool(namespaces_of(p.pid) & inside)
        assert engines.settle(of_it) == []
        assert not inside & namespaces_in_use()
    assert (mount_count("self"), mount_count(launcher)) == before
    assert not cgroups(box)
    assert c.call("process.list", {"sandbox": box})["processes"] == []


def test_idle_time_and_lifetime_end_it(c):
    for params in ({"idle_ms": 1000}, {"lifetime_ms": 1000}):
        call = c.begin("events.watch", {})
        box = c.call("sandbox.create", params)["id"]
        if "lifetime_ms" in params:
            r = c.start("sleep", "1000", sandbox=box)
            end = c.wait(r["id"], "empty", wait_ms=20000)
            assert end["done"] and end["reason"] in ("lifetime", "killed"), dict(end)
        c.cancel(call)
        # Its end has no event of its own: its holder is a process, and that ends.
        left = engines.settle(lambda p: "holder" in p.cmdline() and box in p.cmdline(), 20)
        assert left == []


@pytest.mark.limit(60)
def test_the_next_engine_goes_on_with_it(c, shared_engine):  # noqa: F811
    with sandbox(c) as box:
        server = serve(c, box)
        c.sh("echo kept >/tmp/kept", sandbox=box)
        shared_engine.kill9()
        shared_engine.start()
        with connect(shared_engine) as d:
            assert d.call("sandbox.get", {"id": box})["state"] == "running"
            assert d.call("process.stats", {"id": server["id"]})["state"] == "running"
            assert ask(d, box).out == b"hello from the other\n"
            assert d.sh("cat /tmp/kept", sandbox=box).out == b"kept\n"
            end = d.call("sandbox.destroy", {"id": box, "grace_ms": 0}, patience=60)
            assert end["gone"] and end["ended"] == 1
            assert d.call("process.stats", {"id": server["id"]})["live"] == 0


def test_its_holder_may_be_killed_and_nothing_lives_on(c, shared_engine):  # noqa: F811
    with sandbox(c) as box:
        old = {p.pid for p in shared_engine.keepers()}
        r = c.start("sleep", "1000", sandbox=box)
        pid = c.call("process.stats", {"id": r["id"]})["pid"]
        keeper = engines.Process(pid).ppid
        assert keeper not in old
        with sandbox(c) as second:
            holders = [p for p in shared_engine.keepers() if p.pid not in old and p.pid != keeper]
            assert holders, "no holder of the second sandbox"
            engines.end_all(holders[:1])
            if len(holders) == 1:
                e = c.refused("process.run", {"argv": ["true"], "sandbox": second})
                assert e.code in ("not_found", "conflict", "unavailable"), e
        # The first one does not care.
        assert c.run("true", sandbox=box)["exit_code"] == 0
