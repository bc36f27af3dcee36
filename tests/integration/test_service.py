# SPDX-License-Identifier: Apache-2.0
"""
The engine under a service manager, which the test plays: readiness, watchdog and
socket activation (sd_notify(3), sd_watchdog_enabled(3), sd_listen_fds(3)), the unit
files, and the scope that a client asks systemd for.
"""

import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time

import pytest

import engine as engines
import wire

pytestmark = pytest.mark.limit(60)

# Sets what only the child itself can know, then becomes the engine.
BECOME = """
import json, os, sys
how = json.loads(sys.argv[1])
for name in how["pid"]:
    os.environ[name] = str(os.getpid())
spare = [os.dup2(fd, 60 + i) for i, fd in enumerate(how["fds"])]
for i, fd in enumerate(spare):
    os.dup2(fd, 3 + i)
for fd in set(spare + how["fds"]) - set(range(3, 3 + len(spare))):
    os.close(fd)
os.execv(how["argv"][0], how["argv"])
"""


class Manager:
    """What starts a service and hears of it."""

    def __init__(self, place, abstract=False):
        self.place = place
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        if abstract:
            name = f"@proctor-test-{os.getpid()}-{place.name}"
            self.sock.bind("\0" + name[1:])
        else:
            name = str(place / "notify")
            self.sock.bind(name)
        self.env = {"NOTIFY_SOCKET": name}

    def start(self, eng, fds=(), env=None, pid=()):
        """The engine with descriptors from 3 on; `pid` are variables that get its pid."""
        how = {"argv": [str(engines.bindir() / "proctord"), "--foreground", "--state",
                        str(eng.state), "--runtime", str(eng.runtime)],
               "pid": list(pid), "fds": list(fds)}
        with open(eng.log, "ab") as log:
            eng.proc = subprocess.Popen(
                [sys.executable, "-c", BECOME, json.dumps(how)], stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, pass_fds=list(fds), cwd="/", start_new_session=True,
                env={**eng.env(), **self.env, **(env or {})})
        return eng

    def hears(self, patience=20.0):
        self.sock.settimeout(patience)
        return self.sock.recv(4096).decode()

    def hears_until(self, text):
        said = []
        while text not in said:
            said.append(self.hears())
        return said

    def hears_nothing(self):
        self.sock.settimeout(0)
        try:
            return self.sock.recv(4096) is None
        except BlockingIOError:
            return True


@pytest.fixture
def manager(place):
    m = Manager(place)
    yield m
    m.sock.close()


class Listener(socket.socket):
    def __init__(self, path):
        super().__init__(socket.AF_UNIX, socket.SOCK_STREAM)
        self.path = path
        self.bind(str(path))
        self.listen(8)


@pytest.fixture
def listener(place):
    """A listening socket as a manager makes it, at another place than the engine's own."""
    with Listener(place / "given.sock") as s:
        yield s


def said_by(eng):
    eng.proc.wait(engines.PATIENCE)
    return eng.errors()


@pytest.mark.parametrize("abstract", [False, True], ids=["path", "abstract"])
def test_it_says_when_it_is_ready_and_when_it_ends(make_engine, place, abstract):
    m = Manager(place, abstract)
    eng = m.start(make_engine())
    assert m.hears() == "READY=1"
    with eng.connect("host") as c:
        assert c.run("true")["exit_code"] == 0
    eng.proc.terminate()
    assert m.hears() == "STOPPING=1"
    assert eng.proc.wait(engines.PATIENCE) == 0
    assert m.hears_nothing()
    m.sock.close()


def test_a_manager_whose_queue_is_full_hears_it_all_the_same(make_engine, manager):
    full = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    full.setblocking(False)
    n = 0
    with pytest.raises(BlockingIOError):
        while True:
            full.sendto(b"noise", manager.env["NOTIFY_SOCKET"])
            n += 1
    eng = manager.start(make_engine())
    # It listens before it says so, and then waits in sendto(2).
    end = time.monotonic() + engines.PATIENCE
    while not blocked_in_sendto(eng.pid) and time.monotonic() < end:
        os.sched_yield()
    assert blocked_in_sendto(eng.pid)
    assert manager.hears_until("READY=1") == ["noise"] * n + ["READY=1"]
    full.close()


def blocked_in_sendto(pid):
    try:
        text = pathlib.Path(f"/proc/{pid}/wchan").read_text(encoding="ascii")
    except OSError:
        return False
    return "unix" in text or "sock" in text


def test_a_manager_that_is_gone_does_not_stop_it(make_engine, manager):
    manager.sock.close()
    os.unlink(manager.env["NOTIFY_SOCKET"])
    eng = make_engine(env=manager.env).start()
    with eng.connect("host") as c:
        assert c.run("true")["exit_code"] == 0
    assert "READY=1" in eng.errors()


def test_the_watchdog_is_fed_at_half_of_its_interval(make_engine, manager):
    eng = manager.start(make_engine(), env={"WATCHDOG_USEC": "800000"}, pid=["WATCHDOG_PID"])
    manager.hears_until("READY=1")
    at = []
    while len(at) < 5:
        assert manager.hears() == "WATCHDOG=1"
        at.append(time.monotonic())
    # 4 times 400 ms: at the whole interval they would take 3.2 s.
    assert 1.2 < at[-1] - at[0] < 2.8, at
    assert eng.running()


@pytest.mark.parametrize("env", [{"WATCHDOG_USEC": "20000", "WATCHDOG_PID": "1"},
                                 {"WATCHDOG_USEC": "x"}, {"WATCHDOG_USEC": "0"}])
def test_a_watchdog_that_is_not_its_own_is_not_fed(make_engine, manager, env):
    eng = manager.start(make_engine(), env=env)
    assert manager.hears() == "READY=1"
    with eng.connect("host") as c:
        c.run("sleep", "0.2")
    assert manager.hears_nothing()


def test_it_takes_the_socket_that_it_is_given(make_engine, manager, listener):
    eng = manager.start(make_engine(), [listener.fileno()],
                        {"LISTEN_FDS": "1", "LISTEN_FDNAMES": "proctor"}, ["LISTEN_PID"])
    # A client that came before the engine waits in the backlog.
    with wire.connect(listener.path, workspace=str(eng.workspace),
                      profiles=["trusted-host"]) as c:
        assert c.run("echo", "given").out == b"given\n"
        assert c.call("daemon.status")["socket"] == str(listener.path)
    assert not eng.socket.exists(), "it has no socket of its own beside the given one"
    assert eng.stop() == 0
    assert listener.path.exists(), "the manager's socket is not the engine's to remove"

    # The next engine serves those who came meanwhile.
    with wire.Connection(wire.dial(listener.path)) as c:
        c.send(wire.HELLO, 0, {"version": 1})
        manager.start(eng, [listener.fileno()], {"LISTEN_FDS": "1"}, ["LISTEN_PID"])
        assert c.recv().json["engine"].startswith("proctord/")


@pytest.mark.parametrize("env,pid", [({"LISTEN_FDS": "0"}, ["LISTEN_PID"]),
                                     ({"LISTEN_FDS": "1", "LISTEN_PID": "1"}, []),
                                     ({"LISTEN_FDS": "1"}, []),
                                     ({}, ["LISTEN_PID"])])
def test_without_a_socket_for_it_it_makes_its_own(make_engine, manager, listener, env, pid):
    eng = manager.start(make_engine(), [listener.fileno()], env, pid)
    manager.hears_until("READY=1")
    with eng.connect("host") as c:
        assert c.call("daemon.status")["socket"] == str(eng.socket)
    eng.stop()
    assert not eng.socket.exists()


def a_file(place):
    return open(place / "file", "wb")


def a_tcp_listener(_place):
    s = socket.create_server(("127.0.0.1", 0))
    return s


def a_packet_listener(place):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.bind(str(place / "packets"))
    s.listen(1)
    return s


def one_that_does_not_listen(place):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    s.bind(str(place / "deaf"))
    return s


@pytest.mark.parametrize("make", [a_file, a_tcp_listener, a_packet_listener,
                                  one_that_does_not_listen])
def test_what_is_no_unix_listener_is_refused(make_engine, manager, place, make):
    with make(place) as f:
        eng = manager.start(make_engine(), [f.fileno()], {"LISTEN_FDS": "1"}, ["LISTEN_PID"])
        said = said_by(eng)
    assert eng.proc.returncode == 64, said
    assert "descriptor 3, given by LISTEN_FDS, is no Unix stream socket that listens" in said
    assert "READY=1" not in manager.hears_until("STOPPING=1")


def test_no_descriptor_where_one_is_promised_is_refused(make_engine, manager):
    eng = manager.start(make_engine(), [], {"LISTEN_FDS": "1"}, ["LISTEN_PID"])
    said = said_by(eng)
    assert eng.proc.returncode == 64 and "given by LISTEN_FDS" in said, said


@pytest.mark.parametrize("value,why", [("2", "more than one socket; allowed: one"),
                                       ("one", 'LISTEN_FDS is "one"; allowed: 0 or 1')])
def test_more_than_one_socket_is_refused(make_engine, manager, listener, value, why):
    eng = manager.start(make_engine(), [listener.fileno(), listener.fileno()],
                        {"LISTEN_FDS": value}, ["LISTEN_PID"])
    said = said_by(eng)
    assert eng.proc.returncode == 64 and why in said, said


def test_a_command_knows_nothing_of_the_manager(make_engine, manager, listener, backend):
    eng = manager.start(make_engine(), [listener.fileno()],
                        {"WATCHDOG_USEC": "60000000", "LISTEN_FDS": "1",
                         "LISTEN_FDNAMES": "proctor", "JOURNAL_STREAM": "1:2",
                         "INVOCATION_ID": "x", "SYSTEMD_EXEC_PID": "1"},
                        ["LISTEN_PID", "WATCHDOG_PID"])
    with wire.connect(listener.path, workspace=str(eng.workspace),
                      profiles=[engines.PROFILES[backend]]) as c:
        r = c.run("sh", "-c", "env; ls -l /proc/self/fd")
        launcher = c.call("daemon.status")["launcher_pid"]
    names = {line.split("=")[0] for line in r.out.decode().splitlines()}
    assert "PATH" in names
    assert not {n for n in names if n.startswith(("NOTIFY", "WATCHDOG", "LISTEN", "JOURNAL",
                                                  "INVOCATION", "SYSTEMD"))}, r.out
    assert b"socket:" not in r.out, r.out
    if os.geteuid() == 0:  # the launcher is undumpable: its own user may not look
        with open(f"/proc/{launcher}/environ", "rb") as f:
            assert b"NOTIFY_SOCKET" not in f.read()


# The scope of a user's systemd

ASK = """#!/bin/sh
printf '%s\\n' "$@" >"{base}/asked"
{then}
"""
BECOMES = 'while [ "$1" != -- ]; do shift; done; shift; exec "$@"'


@pytest.fixture
def person(make_engine):
    """A user who has a systemd; systemd_run(what it does) makes his systemd-run."""
    eng = make_engine()
    private = eng.base / "xdg" / "systemd" / "private"
    private.parent.mkdir(parents=True)
    private.touch()
    program = eng.base / "systemd-run"
    eng.extra_env = {"XDG_RUNTIME_DIR": str(eng.base / "xdg"),
                     "PROCTOR_SYSTEMD_RUN": str(program)}
    eng.private = private

    def systemd_run(then):
        program.write_text(ASK.format(base=eng.base, then=then), encoding="ascii")
        program.chmod(0o755)

    eng.systemd_run = systemd_run
    yield eng
    eng.cli("daemon", "stop", "--kill")


def asked(eng):
    try:
        return (eng.base / "asked").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return None


def hello(eng):
    r = eng.cli("run", "--profile", "trusted-host", "--", "echo", "hello")
    assert (r.stdout, r.returncode) == (b"hello\n", 0), r.stderr.decode()


def fault_build():
    return b"PROCTOR_SYSTEMD_RUN" in (engines.bindir() / "proctor").read_bytes()


needs_faults = pytest.mark.skipif(not fault_build(), reason="build without fault-injection")


@needs_faults
def test_the_engine_comes_up_in_a_scope_of_its_own(person):
    person.systemd_run(BECOMES)
    hello(person)
    args = asked(person)
    at = args.index("--")
    assert {"--user", "--scope"} <= set(args[:at])
    assert args[at + 1] == str(engines.bindir() / "proctord")


@needs_faults
def test_where_no_systemd_answers_none_is_asked(person):
    person.systemd_run(BECOMES)
    person.private.unlink()
    hello(person)
    assert asked(person) is None


@needs_faults
@pytest.mark.parametrize("then", ["echo 'Failed to connect to bus' >&2; exit 1", "kill -9 $$"])
def test_a_systemd_run_that_fails_is_done_without(person, then):
    person.systemd_run(then)
    hello(person)
    assert "--scope" in asked(person)


@needs_faults
def test_no_systemd_run_at_all_is_done_without(person):
    hello(person)
    assert asked(person) is None


@needs_faults
def test_a_systemd_run_that_hangs_is_ended_and_done_without(person):
    person.systemd_run(f'echo $$ >"{person.base}/pid"; exec sleep 600')
    began = time.monotonic()
    hello(person)
    assert time.monotonic() - began < 14
    assert not engines.wait_gone([int((person.base / "pid").read_text(encoding="ascii"))])
    assert len([p for p in engines.descendants() if p.comm == "proctord"]) == 1


@needs_faults
def test_an_engine_that_cannot_start_in_its_scope_says_why(person):
    person.systemd_run(BECOMES)
    person.state.chmod(0o755)
    r = person.cli("run", "--profile", "trusted-host", "--", "true")
    assert r.returncode == 125 and b"open to others" in r.stderr, r.stderr
    person.state.chmod(0o700)


# Unit files

UNITS = pathlib.Path(__file__).parents[2] / "packaging" / "systemd"


@pytest.mark.parametrize("whose", ["system", "user"])
def test_the_unit_files_are_whole(whose):
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not there")
    with tempfile.TemporaryDirectory() as d:
        there = pathlib.Path(d)
        shutil.copy(UNITS / whose / "proctord.socket", there)
        text = (UNITS / whose / "proctord.service.in").read_text(encoding="utf-8")
        (there / "proctord.service").write_text(
            text.replace("@bindir@", str(engines.bindir().resolve())), encoding="utf-8")
        r = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", f"--{whose}", str(there / "proctord.service"),
             str(there / "proctord.socket")], capture_output=True, text=True, check=False,
            env={**os.environ, "XDG_RUNTIME_DIR": d})
    ours = [line for line in r.stderr.splitlines() if "proctor" in line]
    assert not ours and r.returncode == 0, r.stderr
