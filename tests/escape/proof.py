# SPDX-License-Identifier: Apache-2.0
"""
proof - that a layer of the sandbox does its part

A Mechanism names an attempt of the program `attempt`, the layers that stop it, and a
target: a context manager that makes what is attacked, gives the attempt's words, and
can tell from outside whether it was reached. World.prove() makes the attempt

    in the sandbox                          it must fail
    without the sandbox (trusted-host)      it must succeed
    with its layers left out of the plan    it must succeed
    with all of them left out but one       it must fail, for each of several

The last says of two layers that each alone would do. What something stops besides that
is in no plan says so in `beyond`. A run that did not come to its attempt proves nothing
and is an error. Engines are started once for each combination of layers.
"""

import collections.abc
import contextlib
import dataclasses
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile

import pytest

import engine as engines
import fixtures
import wire
from conftest import finish, landlock_abi

# Names of steps, see plan_step_info(). What builds on a layer goes with it.
LAYERS = {
    "seccomp": "seccomp",
    "landlock": "landlock",
    "rlimits": "rlimit",
    "cgroup": "cgroup",
    "no_new_privs": "no_new_privs",
    "capabilities": "drop_caps",
    # The root, and all that is mounted on it: the command sees the host's mounts.
    "mounts": "root,attach,scratch,dir,bind,mount,devpts,proc,pivot",
    # Root's commands stay root, without capabilities; an ordinary user's zygote is in a
    # user namespace in any case.
    "user": "owner,namespaces.user,idmap",
    # No /proc can be mounted for somebody else's PID namespace.
    "pid": "namespaces.pid,proc",
    "ipc": "namespaces.ipc",
    "uts": "namespaces.uts,hostname",
    "network": "namespaces.network,loopback",
}

ROOT_UID = 60900  # COMPILE_ROOT_UID
BARE = "bare"  # without the sandbox
DIRECT = "direct"  # without an engine
NONE = frozenset()
SECRETS = {"PROCTOR_TEST_SECRET": "hidden"}

# What an attempt can come to. SIGSYS is how seccomp refuses another ABI, SIGKILL how a
# control group refuses memory.
SAID = re.compile(r"^(ok|nothing|E[A-Z0-9]+|SIGSYS|SIGKILL)$")

measured = {}  # (claim, name) -> {who: (mechanism, {run: (what it said, reached)})}


def leaves_out():
    return b"PROCTOR_LEAVE_OUT" in (engines.bindir() / "proctord").read_bytes()


@dataclasses.dataclass
class Target:
    words: tuple = ()
    # Whether it was reached, by what can be seen from outside: reached(keeper's pid).
    # Without it the attempt itself says so: it has read what it could not know.
    reached: collections.abc.Callable = None
    params: dict = dataclasses.field(default_factory=dict)
    fds: tuple = ()


@contextlib.contextmanager
def nothing(_world, _kind):
    """The attempt brings along what it attacks."""
    yield Target()


@dataclasses.dataclass(frozen=True)
class Mechanism:
    name: str
    layers: tuple
    target: collections.abc.Callable = nothing
    attempt: str = ""  # the program's word for it, if it is not the name
    who: tuple = ("root", "user")
    params: dict = dataclasses.field(default_factory=dict)  # of the sandboxed runs
    always: dict = dataclasses.field(default_factory=dict)  # and of all
    needs: collections.abc.Callable = None  # needs(world): why it cannot be tried here, or None
    # What stops it besides and is in no plan: then it fails without the layers, too.
    beyond: str = ""
    # Errors that say that the kernel does not have it at all, seen without the sandbox.
    absent: tuple = ()

    def __str__(self):
        return self.name


def said_by(v):
    """All that a victim has said when it has ended; others may hold its stdout."""
    v.stdin.close()
    v.wait(20)
    os.set_blocking(v.stdout.fileno(), False)
    return os.read(v.stdout.fileno(), 4096)


def each(table):
    return pytest.mark.parametrize("mechanism", table, ids=str)


def as_root_alone(_world):
    return None if os.geteuid() == 0 else "root: what is attacked can be made by root alone"


def scopes(_world):
    abi = landlock_abi()
    return None if abi >= 6 else f"Landlock: ABI {abi} has no scopes"


class World:
    """One user's engines. `uid` is what commands run as in a sandbox of his."""

    def __init__(self, who, user, place, program):
        self.who, self.user, self.place = who, user, place
        self.uid = user if user is not None else os.geteuid() or ROOT_UID
        self.workspace = place / "ws"
        self.workspace.mkdir()
        self.workspace.chmod(0o777)
        self.program = self.workspace / "attempt"
        shutil.copyfile(program, self.program)
        self.program.chmod(0o755)
        for path in (self.workspace, self.program) if user is not None else ():
            os.chown(path, user, user)
        self.engines, self.connections = {}, {}

    def close(self):
        problems = []
        for c in self.connections.values():
            c.close()
        for eng in self.engines.values():
            eng.stop()  # all of them, before any is asked what it has left
        for eng in self.engines.values():
            try:
                finish(eng)
            except AssertionError as e:
                problems.append(f"{e}\n{eng.errors()}")
        return problems

    # engines

    def engine(self, left_out):
        if left_out not in self.engines:
            base = fixtures.home_for(self.place, self.user, "+".join(sorted(left_out)) or "all")
            env = dict(SECRETS)
            if left_out:
                env["PROCTOR_LEAVE_OUT"] = ",".join(LAYERS[x] for x in sorted(left_out))
            with inherited():
                self.engines[left_out] = engines.Engine(base, user=self.user, env=env).start()
        return self.engines[left_out]

    def connection(self, kind):
        if kind not in self.connections:
            eng = self.engine(NONE if kind == BARE else kind)
            with fixtures.being(self.user):
                self.connections[kind] = wire.connect(
                    eng.socket, workspace=str(self.workspace),
                    profiles=[engines.PROFILES["host" if kind == BARE else "native"]])
        return self.connections[kind]

    def uid_of(self, kind):
        """What a command runs as."""
        if kind == BARE:
            return self.user if self.user is not None else os.geteuid()
        return self.uid

    # victims

    @contextlib.contextmanager
    def victim(self, text, uid=None):
        """A process of the host's, of the uid that commands have."""
        uid = self.uid if uid is None else uid
        as_him = {} if os.geteuid() != 0 else {"user": uid, "group": uid, "extra_groups": []}
        p = subprocess.Popen([str(self.program), "victim", text], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, env={"SECRET": text}, cwd="/", **as_him)
        try:
            assert os.read(p.stdout.fileno(), 64) == b"ready\n"
            yield p
        finally:
            p.kill()
            p.wait()
            p.stdin.close()
            p.stdout.close()

    @contextlib.contextmanager
    def neighbour(self, kind, text):
        """Another command, of the same named sandbox if there is one: (its record, params)."""
        c = self.connection(kind)
        params = {} if kind == BARE else {"sandbox": c.call("sandbox.create")["id"]}
        r = c.start(str(self.program), "victim", text, stdin={"open": True}, **params)
        try:
            c.read_until(r["id"], b"ready\n")
            yield c.call("process.stats", {"id": r["id"]}), params
        finally:
            # By its own will: a keeper without a PID namespace and /proc finds nobody.
            with contextlib.suppress(wire.Refused):
                c.call("process.write", {"id": r["id"], "data": "", "close": True})
            c.wait(r["id"], "empty")
            if params:
                c.call("sandbox.destroy", {"id": params["sandbox"], "grace_ms": 0})

    # attempts

    def direct(self, words):
        """As a child that nobody has cleaned up for: it gets a descriptor too."""
        extra = os.open("/dev/null", os.O_RDONLY)
        try:
            with inherited():
                p = subprocess.run([str(self.program), *words], stdin=subprocess.DEVNULL,
                                   env=SECRETS, pass_fds=[extra], stdout=subprocess.PIPE,
                                   check=False, timeout=20)
        finally:
            os.close(extra)
        return p.stdout.decode().strip()

    def run(self, kind, attempt, target, **params):
        """(what it says, whether the target was reached)"""
        c = self.connection(kind)
        stdin = {"stdin": {"fd": True}} if target.fds else {"stdin": {"open": True}}
        r = c.call("process.start", {"argv": [str(self.program), attempt, *target.words],
                                     **stdin, **params, **target.params}, fds=target.fds)
        try:
            said, offset = b"", 0
            while b"\n" not in said:
                part = c.call("process.read", {"id": r["id"], "stream": "stdout",
                                               "offset": offset, "wait_ms": 20000})
                said += part.out
                offset = part["next_offset"]
                if part["eof"] and not part.out:
                    break
            now = c.call("process.stats", {"id": r["id"]})
            keeper = 0
            if now.get("pid") and engines.alive(now["pid"]):
                keeper = engines.Process(now["pid"]).ppid
            reached = target.reached(keeper) if target.reached else None
        finally:
            if not target.fds and "pty" not in params:
                with contextlib.suppress(wire.Refused):
                    c.call("process.write", {"id": r["id"], "data": "", "close": True})
            else:
                c.kill(r["id"], signal="KILL", grace_ms=0)
            end = c.wait(r["id"], "empty")
        said = said.decode().strip() or end["signal"] or ""
        assert SAID.match(said), f"the attempt was not made: {said!r} {dict(end)}"
        return said, said == "ok" if reached is None else reached

    def attempt(self, m, kind):
        with m.target(self, kind) as target:
            if kind == DIRECT:
                said = self.direct([m.attempt or m.name, *target.words])
                return said, said == "ok"
            params = {**m.always, **({} if kind == BARE else m.params)}
            return self.run(kind, m.attempt or m.name, target, **params)

    def prove(self, m, claim):
        missing = m.needs(self) if m.needs else None
        if missing:
            pytest.skip(missing)
        told = {}
        said, reached = told["outside"] = self.attempt(m, BARE if m.layers else DIRECT)
        if said in m.absent:
            pytest.skip(f"{m.name}: this kernel has it not ({said})")
        assert reached, f"without the sandbox: {said}"
        said, reached = told["sandbox"] = self.attempt(m, NONE)
        assert not reached, f"in the sandbox: {said}"
        if m.layers:
            out = frozenset(m.layers)
            said, reached = told["left out"] = self.attempt(m, out)
            assert reached != bool(m.beyond), f"without {', '.join(m.layers)}: {said}"
            for layer in m.layers if len(m.layers) > 1 and not m.beyond else ():
                said, reached = told[layer] = self.attempt(m, out - {layer})
                assert not reached, f"{layer} alone does not stop it: {said}"
        measured.setdefault((claim, m.name), {})[self.who] = (m, told)


@contextlib.contextmanager
def inherited():
    """What is started now gets a signal that is ignored and one that is blocked."""
    old = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGUSR1, old)


def table():
    """
    A line for each mechanism: its layers, and what the attempt came to in the sandbox and
    with one layer alone; with none of them if something else stops it besides.
    """
    for (claim, name), by in measured.items():
        m = next(iter(by.values()))[0]
        cells = []
        for who in ("root", "user"):
            if who not in by:
                cells.append(f"{who} -")
                continue
            told = by[who][1]
            cells.append(f"{who} " + " ".join(
                f"{k}:{v[0]}" for k, v in told.items()
                if k != "outside" and (k != "left out" or m.beyond)))
        yield f"{claim:16} {name:18} {' + '.join(m.layers) or 'made anew':24} " + " | ".join(cells)


@contextlib.contextmanager
def folder(top):
    """A directory for all below top, removed afterwards."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="proctor-test-", dir=top))
    path.chmod(0o777)
    try:
        yield path
    finally:
        shutil.rmtree(path)
