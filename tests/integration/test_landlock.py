# SPDX-License-Identifier: Apache-2.0
"""
Landlock: what it alone refuses, and that everyday work goes on under it.

A command is handed the descriptor of a directory of the host's, which no mount
shows it: what a mistake in the mounts would come to. Each attempt is made twice,
the second time by an engine that leaves this one layer out.
"""

import contextlib
import os
import pathlib
import pwd
import shutil
import socket
import subprocess
import tempfile

import pytest

import engine as engines
from fixtures import (connect, home_for, lines, probe, put_probe,  # noqa: F401
                      refused_or_not_started, shared_engine, whose)

pytestmark = pytest.mark.usefixtures("native")

LEAVE_OUT = {"PROCTOR_LEAVE_OUT": "landlock"}


def leaves_out():
    """Whether the programs can leave a layer out: a build with fault injection."""
    return b"PROCTOR_LEAVE_OUT" in (engines.bindir() / "proctord").read_bytes()


@pytest.fixture
def other(whose, make_engine):  # noqa: F811
    """Makes and starts an engine of the same user with another environment."""
    def make(**env):
        if not leaves_out():
            pytest.skip("fault injection: not in this build")
        eng = make_engine(user=whose, env=env)
        if whose is not None:
            os.chown(eng.base, whose, whose)
        return eng.start()
    return make


@pytest.fixture
def c(shared_engine):  # noqa: F811
    with connect(shared_engine) as connection:
        yield connection


@pytest.fixture
def hosts(place, probe):  # noqa: F811
    """A directory of the host's in which all may do everything."""
    top = place / "hosts"
    for name in ("", "gone.d", "sub1", "sub2"):
        (top / name).mkdir()
        (top / name).chmod(0o777)
    for name in ("file", "gone", "old", "sub1/f"):
        (top / name).write_text("the host's\n", encoding="utf-8")
        (top / name).chmod(0o666)
    shutil.copyfile(probe, top / "prog")
    (top / "prog").chmod(0o755)
    return top


def layer(record, name="landlock"):
    return next(x for x in record["isolation"]["layers"] if x["name"] == name)


def abi_of(record):
    return int(layer(record)["note"].removeprefix("abi "))


def handed(eng, c, hosts, group="wall", **params):
    """What the probe says that gets the descriptor of `hosts` through its stdin."""
    program = put_probe(eng.probe, eng)
    ours, theirs = socket.socketpair()
    fd = os.open(hosts, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if eng.user is not None:
            for name in ("sub1/f",):  # links to files of others are not for everybody
                os.chown(hosts / name, eng.user, eng.user)
        elif os.geteuid() == 0:
            os.chown(hosts / "sub1/f", 60900, 60900)
        socket.send_fds(ours, [b"x"], [fd])
        r = c.call("process.run", {"argv": [program, group], "stdin": {"fd": True}, **params},
                   fds=[theirs.fileno()])
    finally:
        os.close(fd)
        ours.close()
        theirs.close()
    assert r["exit_code"] == 0, (dict(r), r.out, r.err)
    return r, lines(r.out)


# The ABI that an attempt is refused from; the errnos if not EACCES.
WALL = {
    "host_read": (2, {"EACCES"}), "host_write": (2, {"EACCES"}), "host_list": (2, {"EACCES"}),
    "host_exec": (2, {"EACCES"}), "host_truncate": (3, {"EACCES"}),
    "host_make_file": (2, {"EACCES"}), "host_make_dir": (2, {"EACCES"}),
    "host_make_link": (2, {"EACCES"}), "host_make_fifo": (2, {"EACCES"}),
    "host_make_sock": (2, {"EACCES"}), "host_remove_file": (2, {"EACCES"}),
    "host_remove_dir": (2, {"EACCES"}), "host_rename": (2, {"EACCES"}),
    "host_refer": (2, {"EACCES", "EXDEV"}), "whiteout": (2, {"EACCES"}),
    "device_ioctl": (5, {"EACCES"}), "signal_keeper": (6, {"EPERM"}),
}


def check_wall(found, abi):
    assert set(found) == set(WALL)
    for name, verdict in found.items():
        least, errnos = WALL[name]
        assert verdict in (errnos if abi >= least else {"ok"}), (name, found)


def test_a_descriptor_of_the_hosts_opens_nothing(c, shared_engine, probe, hosts):  # noqa: F811
    shared_engine.probe = probe
    r, found = handed(shared_engine, c, hosts)
    assert layer(r)["state"] == "applied"
    check_wall(found, abi_of(r))
    assert sorted(p.name for p in hosts.iterdir()) == [
        "file", "gone", "gone.d", "old", "prog", "sub1", "sub2"]
    assert (hosts / "file").read_text(encoding="utf-8") == "the host's\n"


def test_without_it_all_of_that_is_possible(other, probe, hosts):  # noqa: F811
    eng = other(**LEAVE_OUT)
    eng.probe = probe
    with connect(eng) as c:
        r, found = handed(eng, c, hosts)
    assert (layer(r)["state"], layer(r)["why"]) == ("absent", "left out for a test")
    assert layer(r)["note"] is None
    assert layer(r, "seccomp")["state"] == "applied"
    assert {n: v for n, v in found.items() if v != "ok"} == {}
    assert set(found) == set(WALL)
    assert (hosts / "sub2" / "f").exists() and not (hosts / "gone").exists()


@pytest.mark.parametrize("abi", [2, 3, 5])
def test_an_older_kernels_refuses_what_it_knows_and_says_so(other, probe, hosts,  # noqa: F811
                                                            abi):
    eng = other(PROCTOR_LANDLOCK_ABI=str(abi))
    eng.probe = probe
    with connect(eng) as c:
        r, found = handed(eng, c, hosts)
        assert layer(r)["note"] == f"abi {abi}"
        check_wall(found, abi)
        assert everyday(c)


@pytest.mark.parametrize("abi", [0, 1])
def test_a_kernel_without_it_runs_nothing(other, abi):
    eng = other(PROCTOR_LANDLOCK_ABI=str(abi))
    with connect(eng) as c:
        e = c.refused("process.run", {"argv": ["true"]})
        assert e.code == "unsupported" and "Landlock" in str(e) and "5.19" in str(e), e
        assert refused_or_not_started(c, argv=["true"], sandbox="new") == "unsupported"
        e = c.refused("sandbox.create")
        assert e.code == "unsupported", e
    with connect(eng, "host") as c:
        assert c.run("true")["exit_code"] == 0


# stdin, stdout, stderr, opened anew


def run_with(c, command, path, flags=os.O_RDONLY, **params):
    fd = os.open(path, flags)
    try:
        return c.call("process.run", {"command": command, "stdin": {"fd": True}, **params},
                      fds=[fd])
    finally:
        os.close(fd)


def test_a_file_given_as_stdin_can_be_opened_anew_to_be_read(c, place):
    given = place / "given"
    given.write_text("given\n", encoding="utf-8")
    given.chmod(0o666)
    r = run_with(c, "cat /dev/stdin /proc/self/fd/0 - <&0; cat <&0", given)
    assert r["exit_code"] == 0, r.err
    assert r.out == b"given\n" * 3, (r.out, r.err)


def test_but_not_to_be_written(c, place, other):
    given = place / "given"
    given.write_text("given\n", encoding="utf-8")
    given.chmod(0o666)
    attempt = "echo x >>/proc/self/fd/0"
    r = run_with(c, attempt, given)
    assert r["exit_code"] != 0 and b"Permission denied" in r.err, (dict(r), r.err)
    assert given.read_text(encoding="utf-8") == "given\n"
    # What is opened for both may be used for both.
    assert run_with(c, attempt, given, os.O_RDWR)["exit_code"] == 0
    assert given.read_text(encoding="utf-8") == "given\nx\n"
    with connect(other(**LEAVE_OUT)) as bare:
        assert run_with(bare, attempt, given)["exit_code"] == 0
    assert given.read_text(encoding="utf-8") == "given\nx\nx\n"


def test_a_program_given_as_stdin_cannot_be_executed(c, place, probe, other):  # noqa: F811
    program = place / "program"
    shutil.copyfile(probe, program)
    program.chmod(0o755)
    r = run_with(c, "/proc/self/fd/0 ok", program)
    assert r["exit_code"] == 126, (dict(r), r.err)
    with connect(other(**LEAVE_OUT)) as bare:
        assert run_with(bare, "/proc/self/fd/0 ok", program)["exit_code"] == 0


def test_a_named_pipe_given_as_stdin(c, place):
    path = place / "fifo"
    os.mkfifo(path)
    path.chmod(0o666)
    fd = os.open(path, os.O_RDWR)
    try:
        os.write(fd, b"line\n")
        r = run_with(c, "head -n 1 /dev/stdin", path)
    finally:
        os.close(fd)
    assert r.out == b"line\n", (r.out, r.err)


@pytest.mark.parametrize("stdin", [{"text": "text\n"}, {"open": True}])
def test_pipes_and_texts_can_be_opened_anew(c, stdin):
    r = c.start("sh", "-c", "head -n 1 /dev/stdin >/dev/stdout; echo err >/dev/stderr",
                stdin=stdin)
    if "open" in stdin:
        c.call("process.write", {"id": r["id"], "data": "text\n", "close": True})
    done = c.wait(r["id"])
    assert (done.out, done.err) == (b"text\n", b"err\n"), (dict(done), done.out, done.err)


# Scopes


ABSTRACT = """
import socket, sys
s = socket.socket(socket.AF_UNIX)
if sys.argv[1] == "serve":
    s.bind("\\0proctor-test")
    s.listen()
    t = socket.socket(socket.AF_UNIX)
    t.connect("\\0proctor-test")
    print("up", flush=True)
    sys.stdin.read()
else:
    try:
        s.connect("\\0proctor-test")
        print("connected")
    except PermissionError:
        print("refused")
"""


def ask_abstract(c):
    box = c.call("sandbox.create")["id"]
    try:
        r = c.start("/usr/bin/python3", "-c", ABSTRACT, "serve", sandbox=box,
                    stdin={"open": True})
        c.read_until(r["id"], b"up\n")
        said = c.run("/usr/bin/python3", "-c", ABSTRACT, "ask", sandbox=box)
        c.call("process.write", {"id": r["id"], "data": "", "close": True})
        c.wait(r["id"], "empty")
        return said
    finally:
        c.call("sandbox.destroy", {"id": box, "grace_ms": 0})


def test_an_abstract_socket_serves_its_own_command_alone(c, other):
    r = ask_abstract(c)
    if abi_of(r) < 6:
        pytest.skip(f"Landlock: ABI {abi_of(r)} has no scopes")
    assert r.out == b"refused\n", (r.out, r.err)
    with connect(other(**LEAVE_OUT)) as bare:
        assert ask_abstract(bare).out == b"connected\n"


def test_a_socket_with_a_path_serves_the_whole_sandbox(c):
    script = ABSTRACT.replace("\\0proctor-test", "/tmp/sock")
    box = c.call("sandbox.create")["id"]
    try:
        r = c.start("/usr/bin/python3", "-c", script, "serve", sandbox=box, stdin={"open": True})
        c.read_until(r["id"], b"up\n")
        assert c.run("/usr/bin/python3", "-c", script, "ask", sandbox=box).out == b"connected\n"
        c.call("process.write", {"id": r["id"], "data": "", "close": True})
        c.wait(r["id"], "empty")
    finally:
        c.call("sandbox.destroy", {"id": box, "grace_ms": 0})


def test_a_keeper_can_still_end_it_and_it_its_children(c):
    r = c.start("sh", "-c", "sleep 1000 & kill $!; wait; trap 'echo term' TERM; echo up; "
                "while :; do sleep 0.05; done")
    c.read_until(r["id"], b"up\n")
    c.call("process.signal", {"id": r["id"], "signal": "TERM", "scope": "process"})
    c.read_until(r["id"], b"term\n")
    assert c.kill(r["id"], signal="KILL")["gone"]


def test_a_link_in_the_place_of_home_moves_no_rule(c):
    """One command of a sandbox cannot widen what the next one gets."""
    box = c.call("sandbox.create")["id"]
    try:
        r = c.sh('mv "$HOME" "$HOME-old" || rmdir "$HOME"; ln -s / "$HOME"; ls -d "$HOME"; '
                 "mv /tmp /tmp2; rmdir /tmp", sandbox=box)
        assert b"Permission denied" in r.err or b"Read-only" in r.err, (r.out, r.err)
        r = c.sh('cd "$HOME" && pwd -P && echo x >x && echo y >/tmp/y', sandbox=box)
        assert r["exit_code"] == 0 and r.out.strip() != b"/", (r.out, r.err)
    finally:
        c.call("sandbox.destroy", {"id": box, "grace_ms": 0})


def test_the_ruleset_stays_with_the_keeper(c):
    r = c.sh("ls -l /proc/self/fd")
    assert b"landlock" not in r.out and r["exit_code"] == 0


# Everyday work


EVERYDAY = r"""
set -e
rm -rf everyday; mkdir everyday; cd everyday
mkdir a b; echo 1 >a/x; mv a/x b/y; ln b/y a/z; ln -s ../b/y a/l; test "$(cat a/l)" = 1
truncate -s 5 b/y; : >b/y; test ! -s b/y
mkfifo f; (echo through >f &); test "$(cat f)" = through
for d in /tmp /dev/shm /var/tmp /run /var/lib "$HOME" .; do
    mkdir "$d/t.$$"; echo x >"$d/t.$$/x"; mv "$d/t.$$/x" "$d/x.$$"
    rm "$d/x.$$"; rmdir "$d/t.$$"
done
ls / /dev /dev/pts /sys /home /proc >/dev/null
find / -maxdepth 2 >/dev/null 2>&1 || true
echo gone >/dev/null; echo full 2>/dev/null >/dev/full && exit 9
head -c 10 /dev/urandom >r; head -c 10 /dev/random >r; head -c 10 /dev/zero >r
echo 100 >/proc/self/oom_score_adj; test "$(cat /proc/self/oom_score_adj)" = 100
echo err >/dev/stderr
test -n "$(cat /etc/passwd)"
printf '#!/bin/sh\necho script\n' >s; chmod +x s; test "$(./s)" = script
cp s /tmp/s.$$; test "$(/tmp/s.$$)" = script; rm /tmp/s.$$
exec 3>deleted; rm deleted; echo still >/proc/self/fd/3; test "$(cat /proc/self/fd/3)" = still
exec 3>&-
echo done
"""

PYTHON = r"""
import fcntl, os, pty, socket, subprocess, sys, tempfile, termios, threading, multiprocessing

master, slave = pty.openpty()
assert os.isatty(slave) and os.ttyname(slave).startswith("/dev/pts/")
os.close(os.open(os.ttyname(slave), os.O_RDWR | os.O_NOCTTY))
termios.tcgetattr(slave)
fd = os.open("/dev/null", os.O_RDWR)
try:
    termios.tcgetattr(fd)
except termios.error as e:
    assert e.args[0] == 25, e                   # ENOTTY, as ever
fd = os.open(".", os.O_TMPFILE | os.O_RDWR, 0o644)
os.write(fd, b"tmp")
os.makedirs("linked", exist_ok=True)
# With a directory Python calls linkat(2), which follows the link.
os.link(str(fd), f"linked/{os.getpid()}", follow_symlinks=True,
        src_dir_fd=os.open("/proc/self/fd", os.O_RDONLY))
for d in (".", "/tmp"):
    s = socket.socket(socket.AF_UNIX)
    path = f"{d}/s{os.getpid()}"
    s.bind(path)
    s.listen()
    t = socket.socket(socket.AF_UNIX)
    t.connect(path)
    os.unlink(path)
a = socket.socket(socket.AF_UNIX)
a.bind("\0own")
a.listen()
b = socket.socket(socket.AF_UNIX)
b.connect("\0own")
server = socket.create_server(("127.0.0.1", 0))
socket.create_connection(server.getsockname())
m = os.memfd_create("m")
os.write(m, b"mem")
assert open(f"/proc/self/fd/{m}", "rb").read() == b"mem"
sem = multiprocessing.Semaphore()
with tempfile.TemporaryFile() as f:
    f.truncate(100)
threading.Thread(target=lambda: open(f"/proc/self/task/{threading.get_native_id()}/comm",
                                     "w").write("t")).start()
subprocess.run(["true"], check=True)
print("done")
"""

GIT = r"""
set -e
rm -rf repo; git init -q repo; cd repo
git config user.email a@example.org; git config user.name a
echo 1 >f; git add f; git commit -qm one; git mv f g; git commit -qm two
git checkout -qb side HEAD~; git gc -q; git log --oneline | wc -l; cd ..; git clone -q repo clone
echo done
"""

GCC = r"""
set -e
printf 'int main(void) { return 0; }\n' >p.c
gcc -o p p.c; ./p
echo done
"""


def everyday(c):
    r = c.sh(EVERYDAY)
    assert (r["exit_code"], r.out) == (0, b"done\n"), (dict(r), r.out, r.err)
    r = c.run("/usr/bin/python3", "-c", PYTHON)
    assert (r["exit_code"], r.out) == (0, b"done\n"), (dict(r), r.out, r.err)
    return True


def test_everyday_work(c):
    assert everyday(c)


@pytest.mark.parametrize("script", [GIT, GCC], ids=["git", "gcc"])
def test_tools(c, script):
    if not shutil.which("git" if script is GIT else "gcc"):
        pytest.skip("the tool is not installed")
    r = c.sh(script, timeout_ms=20000)
    assert r["exit_code"] == 0 and r.out.endswith(b"done\n"), (dict(r), r.out, r.err)


def test_a_terminal(c):
    r = c.sh("stty -echo; stty size; stty size </dev/tty; echo x >/dev/tty; tty; "
             'test -r "$(tty)" && stty -F "$(tty)" size; cat </dev/null >/dev/stdout; echo done',
             pty={"cols": 91, "rows": 31})
    assert r["exit_code"] == 0, (r.out, r.err)
    assert r.out.count(b"31 91") == 3 and b"/dev/pts/0" in r.out and b"done" in r.out, r.out


@contextlib.contextmanager
def workspace_below(top, owner):
    path = pathlib.Path(tempfile.mkdtemp(prefix="proctor-test-", dir=top))
    try:
        if owner is not None:
            os.chown(path, owner, owner)
        yield path
    finally:
        shutil.rmtree(path)


@pytest.mark.parametrize("top", ["/home", "/srv", "/tmp", "/var/tmp", "/opt", "home"])
def test_wherever_the_workspace_lies(shared_engine, top):  # noqa: F811
    owner = shared_engine.user
    if top == "home":
        try:
            top = pwd.getpwuid(owner if owner is not None else os.geteuid()).pw_dir
        except KeyError:
            pytest.skip("home: the user has none")
    if not os.access(top, os.W_OK):
        pytest.skip(f"{top}: not writable")
    with workspace_below(top, owner) as ws, connect(shared_engine, workspace=str(ws)) as c:
        assert everyday(c)
        assert (ws / "everyday").is_dir()
        box = c.call("sandbox.create")["id"]
        try:
            r = c.sh(EVERYDAY, sandbox=box)
            assert (r["exit_code"], r.out) == (0, b"done\n"), (dict(r), r.out, r.err)
        finally:
            c.call("sandbox.destroy", {"id": box, "grace_ms": 0})


def test_beside_home_and_workspace_nothing_can_be_made(shared_engine, other):  # noqa: F811
    """The directories above them are the sandbox's own, and were never meant to be written."""
    if not os.access("/srv", os.W_OK):
        pytest.skip("/srv: not writable")
    with workspace_below("/srv", shared_engine.user) as ws:
        attempt = f"echo x >{ws}-beside"
        with connect(shared_engine, workspace=str(ws)) as c:
            r = c.sh(attempt)
            assert r["exit_code"] != 0 and b"Permission denied" in r.err, (dict(r), r.err)
        with connect(other(**LEAVE_OUT), workspace=str(ws)) as bare:
            assert bare.sh(attempt)["exit_code"] == 0
        assert not pathlib.Path(f"{ws}-beside").exists()


def test_a_prepared_keeper_has_a_ruleset_of_its_own(c, shared_engine, probe, hosts):  # noqa: F811
    """The third of three like commands is run by a keeper that stood ready."""
    shared_engine.probe = probe
    for _ in range(4):
        r, found = handed(shared_engine, c, hosts)
        check_wall(found, abi_of(r))
        assert c.sh("echo x >y && cat y").out == b"x\n"


def test_the_plan_in_words_has_the_rules(c, shared_engine):  # noqa: F811
    plan = c.call("policy.check", {"argv": ["true"]})["plan"]
    for words in ("landlock_rule read /usr", f"landlock_rule write {shared_engine.workspace}",
                  "landlock_rule list /", "landlock_rule device /dev/tty", "landlock"):
        assert words in plan, (words, plan)
    assert any(w.startswith("landlock_rules of abi ") for w in plan)
    assert plan.index("drop_caps") < plan.index("landlock") < plan.index("seccomp")


def test_doctor_tells_the_abi(shared_engine):  # noqa: F811
    r = subprocess.run([str(engines.bindir() / "proctor"), "doctor", "--json"],
                       env={**os.environ, **shared_engine.env()}, capture_output=True,
                       check=False, timeout=20, **shared_engine.as_user())
    assert b"ABI" in r.stdout, (r.stdout, r.stderr)
