# SPDX-License-Identifier: Apache-2.0
"""
engine - an engine of the test's own, and what is left of it afterwards

PROCTOR_BIN names the folder with proctor, proctord and proctor-keeper. Each
engine has a state and a runtime directory of its own in a temporary directory.

The test process is a child subreaper, so everything that descends from an
engine, keepers and orphans included, is found in /proc below the test process:
descendants() is exact without any marker. Whoever waits for a process to go
waits for its pidfd.
"""

import ctypes
import os
import pathlib
import pwd
import select
import signal
import subprocess
import time

import wire

PROFILES = {"native": "default", "host": "trusted-host"}
PATIENCE = 20.0

PR_SET_CHILD_SUBREAPER = 36
IN_DELETE = 0x200


def become_subreaper():
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def bindir():
    path = os.environ.get("PROCTOR_BIN")
    if not path:
        raise RuntimeError("PROCTOR_BIN must name the folder with proctor and proctord")
    return pathlib.Path(path)


def sanitized():
    """Whether the programs were built with AddressSanitizer."""
    return b"__asan_init" in (bindir() / "proctord").read_bytes()


# Processes


class Process:
    """A row of /proc. `start` tells two holders of one number apart."""

    def __init__(self, pid):
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as f:
            text = f.read()
        name_end = text.rindex(")")
        rest = text[name_end + 2:].split()
        self.pid = pid
        self.comm = text[text.index("(") + 1: name_end]
        self.state = rest[0]
        self.ppid = int(rest[1])
        self.start = int(rest[19])

    def cmdline(self):
        try:
            with open(f"/proc/{self.pid}/cmdline", "rb") as f:
                return f.read().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:
            return ""

    def __repr__(self):
        return f"{self.pid} ({self.comm}) {self.state} parent {self.ppid}: {self.cmdline()}"


def processes():
    table = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                p = Process(int(name))
            except (FileNotFoundError, ProcessLookupError):
                continue
            table[p.pid] = p
    return table


def descendants(root=None):
    """Living descendants of a process (default: of the test). Zombies count not."""
    root = root or os.getpid()
    table = processes()
    children = {}
    for p in table.values():
        children.setdefault(p.ppid, []).append(p)
    found, todo = [], [root]
    while todo:
        for p in children.get(todo.pop(), []):
            todo.append(p.pid)
            if p.state not in "ZX":
                found.append(p)
    return found


def alive(pid):
    try:
        return Process(pid).state not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_gone(pids, patience=PATIENCE):
    """Waits until none of these processes lives. Returns those that still do."""
    end = time.monotonic() + patience
    left = []
    for pid in pids:
        try:
            fd = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            if not select.select([fd], [], [], max(0, end - time.monotonic()))[0]:
                left.append(pid)
        finally:
            os.close(fd)
    return left


def is_ours(p):
    """One of proctor's own programs (a comm is at most 15 bytes)."""
    return p.comm.startswith("proctor")


def reap_orphans(known=()):
    """Reaps dead children that no Popen of ours is responsible for."""
    for p in processes().values():
        if p.ppid == os.getpid() and p.state == "Z" and p.pid not in known:
            try:
                os.waitpid(p.pid, os.WNOHANG)
            except ChildProcessError:
                pass


def end_all(found):
    """SIGKILL by pidfd, checked against the row that was judged."""
    for p in found:
        try:
            fd = os.pidfd_open(p.pid)
        except ProcessLookupError:
            continue
        try:
            if Process(p.pid).start == p.start:
                signal.pidfd_send_signal(fd, signal.SIGKILL)
                select.select([fd], [], [], PATIENCE)
        except (ProcessLookupError, FileNotFoundError):
            pass
        finally:
            os.close(fd)


def memory_kib(pid, key="RssAnon"):
    """A row of /proc/PID/status in KiB."""
    with open(f"/proc/{pid}/status", encoding="utf-8") as f:
        for line in f:
            if line.startswith(key + ":"):
                return int(line.split()[1])
    raise KeyError(key)


# The engine


class Engine:
    """
    A proctord. `user` (a uid) makes it run as that user; the temporary
    directory must then be his. `base` is the folder of state, run and ws. `under`
    are the words of a command line that proctord's are appended to.
    """

    def __init__(self, base, args=(), env=None, user=None, under=()):
        self.base = pathlib.Path(base)
        self.state = self.base / "state"
        self.runtime = self.base / "run"
        self.workspace = self.base / "ws"
        self.socket = self.runtime / "proctor.sock"
        self.args = list(args)
        self.under = list(under)  # a program that goes on as this engine
        self.user = user
        self.extra_env = dict(env or {})
        self.others = known()  # not of this engine
        self.proc = None
        self.log = self.base / "proctord.err"
        for d in (self.state, self.runtime, self.workspace):
            d.mkdir(mode=0o700, exist_ok=True)
            if user is not None:
                os.chown(d, user, user)

    # life

    def env(self):
        e = {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "HOME": str(self.base),
            "LANG": "C.UTF-8",
            "PROCTOR_STATE_DIR": str(self.state),
            "PROCTOR_RUNTIME_DIR": str(self.runtime),
        }
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS"):
            if name in os.environ:
                e[name] = os.environ[name]
        e.update(self.extra_env)
        return e

    def as_user(self):
        """Arguments for subprocess that make the child this engine's user."""
        if self.user is None:
            return {}
        return {"user": self.user, "group": self.user, "extra_groups": []}

    def spawn(self, args=(), env=None):
        """Starts it. Returns the read end of its readiness pipe."""
        r, w = os.pipe()
        argv = [*self.under, str(bindir() / "proctord"), "--foreground", "--state", str(self.state),
                "--runtime", str(self.runtime), "--ready-fd", str(w), *self.args, *args]
        try:
            with open(self.log, "ab") as log:
                self.proc = subprocess.Popen(
                    argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                    pass_fds=[w], env={**self.env(), **(env or {})}, cwd="/",
                    start_new_session=True, **self.as_user())
        except BaseException:
            os.close(r)
            raise
        finally:
            os.close(w)
        return r

    def start(self, args=(), env=None, patience=PATIENCE):
        r = self.spawn(args, env)
        try:
            ready = select.select([r], [], [], patience)[0]
            said = os.read(r, 16) if ready else b""
        finally:
            os.close(r)
        if said != b"1\n":
            self.kill9()
            raise RuntimeError(f"proctord did not become ready ({said!r}):\n{self.errors()}")
        return self

    def errors(self):
        try:
            return self.log.read_text(errors="replace")[-4000:]
        except OSError:
            return ""

    @property
    def pid(self):
        return self.proc.pid

    def running(self):
        return self.proc is not None and self.proc.poll() is None

    def kill9(self):
        """SIGKILL; returns when it is gone."""
        if self.proc:
            self.proc.kill()
            self.proc.wait(PATIENCE)

    def stop(self):
        """SIGTERM; returns its exit status. Commands run on."""
        if self.proc and self.proc.poll() is None:
            self.proc.terminate()
            try:
                self.proc.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.proc.kill()
                self.proc.wait(PATIENCE)
                raise AssertionError("proctord did not end at SIGTERM") from None
        return self.proc.returncode if self.proc else None

    def restart(self, **kw):
        self.stop()
        return self.start(**kw)

    # clients

    def connect(self, backend=None, **hello):
        """A connection with this workspace. `backend` picks the profile."""
        hello.setdefault("workspace", str(self.workspace))
        if backend:
            hello.setdefault("profiles", [PROFILES[backend]])
        return wire.connect(self.socket, **hello)

    def raw(self):
        """A connection that has said nothing yet."""
        return wire.Connection(wire.dial(self.socket))

    def cli(self, *args, stdin=subprocess.DEVNULL, patience=60, env=None, cwd=None, **kw):
        """Runs `proctor`; a CompletedProcess with bytes."""
        if isinstance(stdin, bytes):
            kw["input"] = stdin
        else:
            kw["stdin"] = stdin
        return subprocess.run(
            [str(bindir() / "proctor"), *map(str, args)], capture_output=True,
            timeout=patience, env={**self.env(), **(env or {})},
            cwd=cwd or self.workspace, check=False, **self.as_user(), **kw)

    # what is left

    def launcher(self):
        """The pid of the launcher, as the engine tells it."""
        with self.connect() as c:
            return c.call("daemon.status")["launcher_pid"]

    def box(self, id_):
        return self.state / "boxes" / f"{id_}.box"

    def keepers(self):
        """Processes of proctor-keeper below the test, the launcher included."""
        return [p for p in descendants() if p.comm.startswith("proctor-keeper")]

    def leftovers(self, patience=5.0):
        """
        Stops the engine and returns what lives on then: there should be nothing
        (the launcher and prepared keepers end when the engine does). What another
        engine, which was there before, has made in the meantime does not count.
        """
        self.stop()
        others = {pid for pid, _ in self.others}

        def is_of_others(p):
            while p and p.pid != os.getpid():
                if p.pid in others:
                    return True
                try:
                    p = Process(p.ppid)
                except (FileNotFoundError, ProcessLookupError):
                    return False
            return False

        return settle(lambda p: not is_of_others(p), patience)


def known():
    """What lives now, to be told from what comes later."""
    return {(p.pid, p.start) for p in descendants()}


def settle(counts, patience=5.0):
    """
    Waits until no descendant of the test for which counts(p) is true lives, and
    returns those that still do when patience is over.
    """
    end = time.monotonic() + patience
    while True:
        found = [p for p in descendants() if counts(p)]
        left = end - time.monotonic()
        if not found or left <= 0:
            return found
        wait_gone([p.pid for p in found], left)


def settle_files(path, most, patience=30.0):
    """
    Waits until a directory has at most that many names; they are returned, or
    those that there are when patience is over.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    fd = libc.inotify_init1(os.O_CLOEXEC)
    if fd < 0:
        raise OSError(ctypes.get_errno(), "inotify_init1")
    try:
        if libc.inotify_add_watch(fd, os.fsencode(path), IN_DELETE) < 0:
            raise OSError(ctypes.get_errno(), "inotify_add_watch")
        end = time.monotonic() + patience
        while True:
            names = os.listdir(path)
            left = end - time.monotonic()
            if len(names) <= most or left <= 0:
                return names
            if select.select([fd], [], [], left)[0]:
                os.read(fd, 65536)
    finally:
        os.close(fd)


def user_name(uid):
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
