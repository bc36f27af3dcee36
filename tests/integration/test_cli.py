# SPDX-License-Identifier: Apache-2.0
"""The command line: every verb, its JSON, its tables, its errors, and its terminal."""

import contextlib
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

import pytest

import engine as engines

PATIENCE = 20


def program():
    return str(engines.bindir() / "proctor")


def verbs():
    """The verbs that `proctor help` lists."""
    out = subprocess.run([program(), "help"], capture_output=True, check=True, timeout=20,
                         stdin=subprocess.DEVNULL).stdout.decode()
    return [m[1] for m in re.finditer(r"^ {1,4}([a-z]+(?: [a-z]+)?)(?: {2,}|\t| [A-Z\[-])", out,
                                      re.M)]


class Cli:
    """`proctor` beside the module's engine, with the profile of a backend."""

    def __init__(self, eng, backend):
        self.eng = eng
        self.profile = ["--profile", engines.PROFILES[backend]]
        self.run = lambda *a, **kw: self("run", *self.profile, *a, **kw)

    def __call__(self, *args, status=0, **kw):
        r = self.eng.cli(*args, **kw)
        assert r.returncode == status, (args, r.returncode, r.stdout, r.stderr.decode())
        return r.stdout

    def json(self, *args, **kw):
        return json.loads(self(*args, **kw))

    def start(self, *args):
        id_ = self("start", *self.profile, *args).decode()
        assert re.fullmatch(r"p_[0-9a-z]{26}\n", id_), id_
        return id_.strip()

    def popen(self, *args, **kw):
        kw.setdefault("stdin", subprocess.DEVNULL)
        kw.setdefault("stdout", subprocess.PIPE)
        return subprocess.Popen([program(), *args], env=self.eng.env(), cwd=self.eng.workspace, **kw)


@pytest.fixture
def cli(shared_engine, backend):
    made = Cli(shared_engine, backend)
    yield made
    for row in rows_of(made.json("ps", "--json")):
        made("kill", "-s", "KILL", row["id"])


def rows_of(found):
    if isinstance(found, dict):
        found = next(v for v in found.values() if isinstance(v, list))
    return found


def one(found):
    return found[0] if isinstance(found, list) else found


# run and its relatives


def test_run_passes_output_and_status_through(cli):
    r = cli.eng.cli("run", *cli.profile, "--", "sh", "-c", "echo out; echo err >&2; exit 3")
    assert (r.stdout, r.stderr, r.returncode) == (b"out\n", b"err\n", 3)


@pytest.mark.parametrize("args,status", [
    (["sh", "-c", "kill -TERM $$"], 128 + 15),
    (["sh", "-c", "kill -KILL $$"], 128 + 9),
    (["--timeout", "200ms", "--grace", "100ms", "sleep", "1000"], 124),
    (["no-such-program"], 127),
    (["/etc/passwd"], 126),
    (["./no/such/file"], 127),
    (["--sandbox", "s_" + "0" * 26, "true"], 125),
    (["-w", "/", "true"], 125),
    (["--no-such-option", "true"], 64),
    (["--timeout", "soon", "true"], 64),
])
def test_exit_statuses(cli, args, status):
    r = cli.eng.cli("run", *cli.profile, *args)
    assert r.returncode == status, (r.stdout, r.stderr.decode())
    if status in (64, 125, 126, 127):
        assert r.stdout == b"" and r.stderr.startswith(b"proctor:"), r.stderr


def test_run_passes_standard_input_on(cli):
    data = b"line\n" * 30000 + b"\0\xff end"
    assert cli.run("--", "cat", stdin=data) == data
    assert cli.run("-i", "--", "wc", "-c", stdin=data).split() == [str(len(data)).encode()]
    assert cli.run("--", "cat") == b""


def test_run_as_json_is_the_result_object(cli):
    r = cli.json("run", *cli.profile, "--json", "--", "sh", "-c", "echo out; echo err >&2; exit 3",
                 status=3)
    assert (r["exit_code"], r["stdout"], r["stderr"]) == (3, "out\n", "err\n")
    assert r["stdout_encoding"] == "utf-8" and r["status"] == "error"
    r = cli.json("run", *cli.profile, "--json", "--", "printf", "\\377\\0")
    assert (r["stdout_encoding"], r["stdout"]) == ("base64", "/wA=")


def test_sh_stands_in_for_a_shell(cli):
    assert cli("sh", *cli.profile, "-c", "echo $((6 * 7)) | tr 4 5") == b"52\n"
    assert cli("sh", *cli.profile, "-c", "exit 9", status=9) == b""


def test_options_end_at_the_command(cli):
    assert cli.run("echo", "--json", "-i", "--") == b"--json -i --\n"


def test_environment_directory_and_label(cli):
    (cli.eng.workspace / "sub").mkdir(exist_ok=True)
    out = cli.run("-e", "A=b c", "-e", "FROM", "-w", "sub", "--label", "mine", "--",
                  "sh", "-c", 'echo "$A $FROM"; pwd', env={"FROM": "outside"})
    assert out.decode().splitlines() == ["b c outside", str(cli.eng.workspace / "sub")]
    rows = rows_of(cli.json("ps", "-a", "--filter", "label=mine", "--json"))
    assert rows and {r["label"] for r in rows} == {"mine"}


def test_a_closed_reader_ends_the_client_and_not_the_command(cli):
    p = cli.popen("run", *cli.profile, "--label", "epipe", "--", "sh", "-c",
                  "trap '' PIPE; while :; do echo line; done")
    with p:
        assert p.stdout.readline() == b"line\n"
        p.stdout.close()
        assert p.wait(PATIENCE) == 128 + 13
    (row,) = rows_of(cli.json("ps", "--filter", "label=epipe", "--json"))
    assert row["state"] == "running"


def test_signals_are_passed_on(cli):
    p = cli.popen("run", *cli.profile, "--", "sh", "-c",
                  "trap 'echo told; exit 5' INT; echo up; while :; do sleep 0.1; done")
    with p:
        assert p.stdout.readline() == b"up\n"
        p.send_signal(signal.SIGINT)
        assert p.stdout.read() == b"told\n"
        assert p.wait(PATIENCE) == 5


def test_a_second_interrupt_ends_it(cli):
    p = cli.popen("run", *cli.profile, "--grace", "100ms", "--", "sh", "-c",
                  "trap 'echo told' INT; trap '' TERM; echo up; while :; do sleep 0.1; done")
    with p:
        assert p.stdout.readline() == b"up\n"
        p.send_signal(signal.SIGINT)
        assert p.stdout.readline() == b"told\n"
        begin = time.monotonic()
        p.send_signal(signal.SIGINT)
        p.stdout.read()
        assert p.wait(PATIENCE) >= 128
        assert time.monotonic() - begin < 4, "the grace period was not the one asked for"


# verbs that list, tell and act


def test_the_life_of_one_command(cli):
    id_ = cli.start("-i", "--label", "life", "sh", "-c", "echo one; read x; echo got $x; exit 4")
    assert id_ in cli("ps", "-q").decode().split()
    table = cli("ps").decode()
    assert "life" in table and table.splitlines()[0].isupper()
    row = one(cli.json("inspect", id_))
    assert (row["id"], row["state"]) == (id_, "running")
    assert one(rows_of(cli.json("stats", id_, "--json")))["id"] == id_
    assert id_[:10] in cli("stats", id_).decode()
    cli("write", "-n", "-c", id_, "word")
    assert b"4" in cli("wait", id_)
    assert cli("logs", id_) == b"one\ngot word\n"
    assert cli("logs", "--tail", "1", id_) == b"got word\n"
    assert cli("logs", "-f", id_) == b"one\ngot word\n"
    assert cli("logs", "--since", "4", id_) == b"got word\n"
    assert id_ not in cli("ps", "-q").decode()
    assert id_ in cli("ps", "-a", "-q").decode()
    shown = cli("box", "show", str(cli.eng.box(id_))).decode()
    assert "exited" in shown and "4" in shown
    assert isinstance(cli.json("box", "show", "--json", str(cli.eng.box(id_))), dict)
    assert cli("box", "show", "--output", "stdout", str(cli.eng.box(id_))) == b"one\ngot word\n"
    cli("rm", id_)
    r = cli.eng.cli("inspect", id_)
    assert r.returncode == 66 and r.stderr.startswith(b"proctor:")


def test_kill_signal_and_what_they_print(cli):
    a = cli.start("sh", "-c", "trap 'echo hup' HUP; echo up; while :; do sleep 0.1; done")
    follow = cli.popen("logs", "-f", a)
    with follow:
        assert follow.stdout.readline() == b"up\n"
        cli("signal", "HUP", a)
        assert follow.stdout.readline() == b"hup\n"
        assert one(cli.json("kill", "--dry-run", "--json", a))["dry_run"] is True
        assert one(cli.json("inspect", a))["state"] == "running"
        k = one(cli.json("kill", "--grace", "100ms", "--json", a))
        assert k["gone"] is True
        follow.stdout.read()
        assert follow.wait(PATIENCE) == 0
    assert one(cli.json("inspect", a))["reason"] == "killed"
    r = cli.eng.cli("kill", "p_" + "0" * 26)
    assert r.returncode == 66 and b"proctor:" in r.stderr


def test_cancel_and_prune(cli):
    a = cli.start("--call-id", "call-7", "sleep", "1000")
    b = cli.start("--call-id", "call-8", "sleep", "1000")
    cli("cancel", "call-7")
    assert one(cli.json("inspect", a))["reason"] == "cancelled"
    assert one(cli.json("inspect", b))["state"] == "running"
    cli("prune")
    left = cli("ps", "-a", "-q").decode().split()
    assert a not in left and b in left


def test_run_detached_prints_the_id_alone(cli):
    id_ = cli.run("-d", "sleep", "1000").decode()
    assert re.fullmatch(r"p_[0-9a-z]{26}\n", id_)
    cli("kill", id_.strip())


def test_sandboxes(cli, backend):
    if backend == "host":
        pytest.skip("host backend: it has no sandboxes to share")
    box = cli("sandbox", "create", *cli.profile, "--label", "box").decode().strip()
    try:
        assert re.fullmatch(r"s_[0-9a-z]{26}", box)
        cli("exec", *cli.profile, box, "sh", "-c", "echo x >/tmp/kept")
        assert cli("exec", *cli.profile, box, "--", "cat", "/tmp/kept") == b"x\n"
        assert box in cli("sandbox", "ls", "-q").decode()
        assert [r["id"] for r in rows_of(cli.json("sandbox", "ls", "--json"))] == [box]
        assert one(cli.json("sandbox", "inspect", box))["label"] == "box"
    finally:
        cli("sandbox", "rm", box)
    assert cli("sandbox", "ls", "-q") == b""


def test_policy_doctor_daemon_version(cli, backend):
    shown = cli.json("policy", "show", "--json")
    assert "profile" in shown
    assert cli("policy", "show")
    r = cli.json("policy", "check", *cli.profile, "--json", "--", "true")
    assert r["decision"] == "allow" and r["plan"]
    r = cli.eng.cli("doctor", "--json")
    assert isinstance(json.loads(r.stdout)["checks"], list)
    status = cli.json("daemon", "status", "--json")
    assert status["pid"] == cli.eng.pid
    assert str(cli.eng.pid) in cli("daemon", "status").decode()
    cli("daemon", "start")
    assert cli("version").startswith(b"proctor ")
    assert "version" in cli.json("version", "--json")


def test_doctor_tells_hidden_programs_once_and_by_directory(cli, backend, tmp_path):
    tools = tmp_path / "tools"
    tools.mkdir()
    (tmp_path / "link").symlink_to(tools)
    for p in (tmp_path, tools):
        p.chmod(0o755)
    for i in range(7):
        (tools / f"tool{i}").write_text("#!/bin/sh\n")
        (tools / f"tool{i}").chmod(0o755)
    env = {"PATH": f"{tools}:{os.environ['PATH']}:{tmp_path / 'link'}:{tools}"}
    profile = engines.PROFILES[backend]
    hidden = json.loads(cli.eng.cli("doctor", profile, "--json", env=env).stdout)["hidden_programs"]
    assert len(hidden) == len(set(hidden))
    mine = sorted(h for h in hidden if "tool" in h.rsplit("/", 1)[1] and str(tmp_path) in h)
    shown = cli.eng.cli("doctor", profile, env=env).stdout.decode()
    if backend == "host":
        assert hidden == [] and str(tools) not in shown
        return
    assert mine == [f"{tools}/tool{i}" for i in range(7)]
    lines = [line for line in shown.splitlines() if str(tmp_path) in line]
    assert len(lines) == 1 and re.fullmatch(rf" *{tools}: 7: (tool\d, ){{5}}\.\.\.", lines[0]), lines


def test_logs_end_when_nobody_reads_them(cli):
    a = cli.start("sh", "-c", "echo up; sleep 1000")
    with cli.popen("logs", "-f", a) as follow:
        assert follow.stdout.readline() == b"up\n"
        follow.stdout.close()
        assert follow.wait(PATIENCE) == 128 + signal.SIGPIPE


def test_events(cli):
    p = cli.popen("events", "--label", "seen", "--json")
    with p:
        # The watcher is there once the engine counts its connection.
        end = time.monotonic() + PATIENCE
        while cli.json("daemon", "status", "--json")["connections"] < 2:
            assert time.monotonic() < end
        kinds = []
        # It may still be on its way from hello to call: further commands come after it.
        while "exit" not in kinds and time.monotonic() < end:
            cli.run("--label", "seen", "--", "true")
            while select.select([p.stdout], [], [], 0.2)[0]:
                kinds.append(json.loads(p.stdout.readline())["event"])
        assert "start" in kinds and "exit" in kinds
        p.send_signal(signal.SIGINT)
        p.wait(PATIENCE)


def test_watching_stats_goes_on_until_interrupted(cli):
    id_ = cli.start("sleep", "1000")
    p = cli.popen("stats", "--watch", "--interval", "100ms", id_)
    with p:
        seen = b""
        while seen.count(id_[:8].encode()) < 2:
            assert select.select([p.stdout], [], [], PATIENCE)[0]
            data = os.read(p.stdout.fileno(), 65536)
            assert data, seen
            seen += data
        p.send_signal(signal.SIGINT)
        p.wait(PATIENCE)
    cli("kill", id_)


def test_top_without_a_terminal_prints_once(cli):
    id_ = cli.start("sleep", "1000")
    assert cli("top").count(id_[:8].encode()) == 1
    cli("kill", id_)


def test_top_on_a_terminal_goes_on_until_interrupted(cli):
    id_ = cli.start("sleep", "1000")
    with terminal(cli, "top", "--interval", "100ms") as t:
        for _ in range(2):
            t.until(id_[:8].encode())
        t.p.send_signal(signal.SIGINT)
        t.end()
    cli("kill", id_)


def test_a_hostile_label_cannot_write_to_the_terminal(cli):
    id_ = cli.start("sh", "-c", "sleep 1000 # \x1b]0;title\x07\x1b[2J")
    table = cli("ps")
    assert b"\x1b" not in table and b"\x07" not in table
    cli("kill", id_)


# errors and help


@pytest.mark.parametrize("args,word", [
    ([], "verb"), (["rnu"], "run"), (["ps", "--jsno"], "json"), (["inspect"], "missing"),
    (["sandbox"], "second word"), (["sandbox", "no"], "unknown verb"), (["logs", "a", "b"], "b"),
    (["kill", "-s", "NOSUCH", "p_" + "0" * 26], "NOSUCH"),
])
def test_mistakes_are_explained(shared_engine, args, word):
    r = shared_engine.cli(*args)
    assert r.returncode == 64 and r.stdout == b"", (r.returncode, r.stdout, r.stderr)
    assert r.stderr.startswith(b"proctor:") and word in r.stderr.decode(), r.stderr


def test_help_explains_every_verb():
    found = verbs()
    assert len(found) >= 25 and "run" in found and "sandbox create" in found
    for verb in found:
        r = subprocess.run([program(), *verb.split(), "--help"], capture_output=True, timeout=20,
                           stdin=subprocess.DEVNULL, check=False)
        assert r.returncode == 0 and verb in r.stdout.decode(), (verb, r)
        s = subprocess.run([program(), "help", *verb.split()], capture_output=True, timeout=20,
                           stdin=subprocess.DEVNULL, check=False)
        assert s.stdout == r.stdout


def test_the_completion_lists_every_verb():
    for shell in ("--bash", "--zsh", "--fish"):
        out = subprocess.run([program(), "help", shell], capture_output=True, check=True,
                             timeout=20, stdin=subprocess.DEVNULL).stdout.decode()
        for verb in verbs():
            for word in verb.split():
                assert re.search(rf"\b{word}\b", out), (shell, verb)
    out = subprocess.run([program(), "help", "--bash"], capture_output=True, check=True,
                         timeout=20, stdin=subprocess.DEVNULL).stdout
    assert subprocess.run(["bash", "-n"], input=out, check=False).returncode == 0


# a terminal


class Terminal:
    """A pty of the test's own with `proctor` on it."""

    def __init__(self, cli, *args):
        self.ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 101, 0, 0))
        self.before = termios.tcgetattr(theirs)
        self.theirs = theirs

        def control():
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        self.p = subprocess.Popen([program(), *args], stdin=theirs, stdout=theirs, stderr=theirs,
                                  env={**cli.eng.env(), "TERM": "xterm"}, cwd=cli.eng.workspace,
                                  preexec_fn=control)
        self.seen = b""

    def write(self, data):
        os.write(self.ours, data)

    def until(self, text):
        end = time.monotonic() + PATIENCE
        while text not in self.seen:
            left = end - time.monotonic()
            assert left > 0 and select.select([self.ours], [], [], left)[0], self.seen
            self.seen += os.read(self.ours, 65536)
        at = self.seen.index(text) + len(text)
        said, self.seen = self.seen[:at], self.seen[at:]
        return said

    def resize(self, rows, cols):
        fcntl.ioctl(self.ours, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    def raw(self):
        return not termios.tcgetattr(self.theirs)[3] & termios.ICANON

    def end(self):
        """Its exit status; the terminal must be as it was."""
        status = self.p.wait(PATIENCE)
        assert termios.tcgetattr(self.theirs) == self.before, "the terminal was left changed"
        return status

    def close(self):
        if self.p.poll() is None:
            self.p.kill()
            self.p.wait()
        os.close(self.ours)
        os.close(self.theirs)


@contextlib.contextmanager
def terminal(cli, *args):
    t = Terminal(cli, *args)
    try:
        yield t
    finally:
        t.close()


def test_a_terminal_from_end_to_end(cli):
    with terminal(cli, "run", *cli.profile, "-i", "-t", "--", "sh", "-c",
                  "tty; stty size; echo ready; read x; echo got $x; read y; exit 6") as t:
        said = t.until(b"ready")
        assert b"/dev/pts/" in said and b"33 101" in said
        assert t.raw()
        t.write(b"word\r")
        t.until(b"got word")
        t.write(b"stop\r")
        assert t.end() == 6


def test_a_new_size_reaches_the_command(cli):
    with terminal(cli, "run", *cli.profile, "-i", "-t", "--", "sh", "-c",
                  "trap 'stty size' WINCH; echo ready; while :; do sleep 0.1; done") as t:
        t.until(b"ready")
        t.resize(44, 120)
        t.until(b"44 120")
        t.write(b"\x03")
        assert t.end() == 128 + 2


def test_the_detach_keys_leave_it_running(cli):
    with terminal(cli, "run", *cli.profile, "-i", "-t", "--label", "detached", "--", "sh", "-c",
                  "echo ready; read x; echo got $x; read y; exit 8") as t:
        t.until(b"ready")
        t.write(b"\x10\x11")
        assert t.end() == 0
    (row,) = rows_of(cli.json("ps", "--filter", "label=detached", "--json"))
    assert row["state"] == "running" and row["exited"] is False
    with terminal(cli, "attach", "-i", row["id"]) as t:
        t.until(b"ready")
        t.write(b"again\r")
        t.until(b"got again")
        t.write(b"\r")
        assert t.end() == 8


def test_without_i_a_terminal_is_never_the_commands_input(cli):
    with terminal(cli, "run", *cli.profile, "--", "sh", "-c",
                  "if [ -t 0 ]; then echo tty; else echo none; fi; cat; exit 2") as t:
        t.until(b"none")
        assert t.end() == 2


def test_a_terminal_is_restored_when_proctor_is_ended(cli):
    with terminal(cli, "run", *cli.profile, "-i", "-t", "--", "sh", "-c",
                  "trap '' HUP TERM; echo ready; sleep 1000") as t:
        t.until(b"ready")
        assert t.raw()
        t.p.send_signal(signal.SIGTERM)
        t.p.send_signal(signal.SIGTERM)
        for row in rows_of(cli.json("ps", "--json")):
            cli("kill", "-s", "KILL", row["id"])
        assert t.end() >= 128
