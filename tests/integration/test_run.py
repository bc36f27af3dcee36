# SPDX-License-Identifier: Apache-2.0
"""How a command begins and ends: its exit, its signal, and why it could not start."""

import errno
import os
import pathlib
import resource
import signal
import stat

import pytest

# What the default action ends, by the table of signal(7).
ENDING = [signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGILL, signal.SIGTRAP,
          signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGKILL, signal.SIGUSR1,
          signal.SIGSEGV, signal.SIGUSR2, signal.SIGPIPE, signal.SIGALRM, signal.SIGTERM,
          16, signal.SIGXCPU, signal.SIGXFSZ, signal.SIGVTALRM, signal.SIGPROF,
          signal.SIGIO, signal.SIGPWR, signal.SIGSYS, 34, 35, 50, 64]
DUMPING = [signal.SIGQUIT, signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS, signal.SIGSYS]


def name_of(sig):
    if sig == 16:
        return "SIGSTKFLT"
    if sig == signal.SIGIO:
        return "SIGPOLL"  # sigabbrev_np(3) of glibc
    if sig >= 34:
        return f"SIGRTMIN+{sig - 34}"
    return signal.Signals(sig).name


def together(client, calls):
    """Several calls in flight on one connection, at most 32; replies in order."""
    replies, flying = [], []
    for op, params in calls:
        if len(flying) == 32:
            replies.append(client.end(flying.pop(0)))
        flying.append(client.begin(op, params))
    return replies + [client.end(n) for n in flying]


# Exits


@pytest.mark.limit(60)
def test_every_exit_code_is_told(shared_client, backend, everything):
    codes = list(range(256))
    if backend == "native" and not everything:
        codes = [0, 1, 2, 63, 64, 65, 100, 123, 124, 125, 126, 127, 128, 129, 137, 143, 254, 255]
    replies = together(shared_client, [
        ("process.run", {"argv": ["sh", "-c", f"exit {n}"]}) for n in codes])
    for n, r in zip(codes, replies):
        assert r["exit_code"] == n, r
        assert r["signal"] is None
        assert (r["state"], r["reason"], r["exited"]) == ("exited", "exited", True)
        assert r["status"] == ("ok" if n == 0 else "error")
        assert r["core_dumped"] is False


@pytest.mark.limit(60)
def test_every_signal_that_ends_a_command_is_told(shared_client):
    replies = together(shared_client, [
        ("process.run", {"argv": ["sh", "-c", f"kill -{int(s)} $$; exit 77"]}) for s in ENDING])
    for s, r in zip(ENDING, replies):
        assert r["signal"] in (name_of(s), "SIGIO" if s == signal.SIGIO else name_of(s)), r
        assert r["exit_code"] is None
        assert (r["state"], r["reason"], r["status"]) == ("exited", "signaled", "error")
        assert r["core_dumped"] is False, "no core was asked for"


def test_a_command_begins_with_default_signals_and_none_blocked(shared_client):
    r = shared_client.run("cat", "/proc/self/status")
    rows = dict(line.split(":\t") for line in r.out.decode().splitlines())
    assert int(rows["SigBlk"], 16) == 0
    # Real-time signals 32 and 33 belong to the C library.
    assert int(rows["SigIgn"], 16) & ~(3 << 31) == 0
    assert int(rows["SigCgt"], 16) & ~(3 << 31) == 0
    assert rows["NoNewPrivs"] == "1"


@pytest.mark.parametrize("sig", DUMPING)
def test_a_core_dump_is_told(shared_engine, shared_client, sig):
    pattern = pathlib.Path("/proc/sys/kernel/core_pattern").read_text(encoding="ascii").strip()
    if pattern.startswith(("|", "/")):
        pytest.skip(f"core_pattern {pattern!r}: cores do not go to the working directory")
    if resource.getrlimit(resource.RLIMIT_CORE)[1] == 0:
        pytest.skip("RLIMIT_CORE: the hard limit is 0, and nobody here may raise it")
    where = shared_engine.workspace
    before = set(where.iterdir())
    r = shared_client.run("sh", "-c", f"kill -{int(sig)} $$", limits={"core_bytes": 64 << 20})
    cores = set(where.iterdir()) - before
    for p in cores:
        p.unlink()
    assert r["signal"] == name_of(sig)
    assert r["core_dumped"] is True
    assert cores, "the kernel wrote no core although the record says so"


def test_times_and_sizes_of_a_record_are_sane(shared_client):
    r = shared_client.sh("head -c 1000 /dev/zero; head -c 500 /dev/zero >&2; sleep 0.3")
    assert r["duration_ms"] >= 300
    assert r["spawn_ms"] < r["duration_ms"]
    assert r["stdout_bytes"] == 1000 and r["stderr_bytes"] == 500
    assert r["stdout_lost"] == 0 and r["stderr_lost"] == 0
    assert r["max_rss_bytes"] > 0
    assert r["closed"] is True and r["live"] == 0
    assert r["started_at"] <= r["ended_at"]
    assert r["id"].startswith("p_")


# What a command is given


def test_arguments_arrive_as_they_were_given(shared_client):
    args = ["", " ", "a b", "two\nlines", "ä€😀", "$HOME `id` *", "-n", "\\", "'\""]
    r = shared_client.run("sh", "-c", 'for a; do printf "%s\\0" "$a"; done', "sh", *args)
    assert r.out.split(b"\0")[:-1] == [a.encode() for a in args]


def test_a_command_text_is_for_a_shell(shared_client):
    r = shared_client.sh("echo $((6 * 7)) | tr 4 x; echo $0 >&2; exit 5")
    assert (r.out, r["exit_code"]) == (b"x2\n", 5)
    assert b"sh" in r.err
    assert r["command"].startswith("echo")


def test_the_shell_can_be_chosen(shared_client):
    r = shared_client.sh("echo $0", shell="/bin/sh")
    assert r["shell"] == "/bin/sh"
    assert b"sh" in r.out and b"bash" not in r.out
    if os.path.exists("/bin/bash"):
        assert b"bash" in shared_client.sh("echo $0").out
        assert shared_client.sh("shopt -q login_shell && echo yes", login=True).out == b"yes\n"
        assert shared_client.sh("shopt -q login_shell || echo no").out == b"no\n"


def test_the_directory_is_the_workspace_or_below(shared_engine, shared_client):
    below = shared_engine.workspace / "sub"
    below.mkdir(exist_ok=True)
    assert shared_client.run("pwd").out.strip() == bytes(shared_engine.workspace)
    for cwd in ("sub", "./sub", str(below), f"{shared_engine.workspace}/./sub"):
        r = shared_client.run("pwd", "-P", cwd=cwd)
        assert r.out.strip() == bytes(below), cwd


def test_the_environment_is_the_one_asked_for(shared_client):
    r = shared_client.run("env", "-0", env={"ONE": "1", "TEXT": "ä b=c", "EMPTY": ""},
                          trace_id="0af7651916cd43dd8448eb211c80319c")
    env = dict(e.split(b"=", 1) for e in r.out.split(b"\0") if e)
    assert env[b"ONE"] == b"1" and env[b"TEXT"] == "ä b=c".encode() and env[b"EMPTY"] == b""
    assert env[b"PROCTOR_ID"] == r["id"].encode()
    assert env[b"PROCTOR_TRACE_ID"] == b"0af7651916cd43dd8448eb211c80319c"
    assert b"0af7651916cd43dd8448eb211c80319c" in env[b"TRACEPARENT"]
    for name in (b"PROCTOR_STATE_DIR", b"PROCTOR_RUNTIME_DIR", b"PROCTOR_BIN", b"PROCTOR_FAULT"):
        assert name not in env, "the engine's own environment must not reach a command"


@pytest.mark.parametrize("name", ["LD_PRELOAD", "LD_LIBRARY_PATH", "BASH_ENV", "ENV",
                                  "PYTHONPATH", "NODE_OPTIONS", "PROCTOR_ID"])
def test_a_reserved_name_is_refused(shared_client, name):
    e = shared_client.refused("process.run", {"argv": ["true"], "env": {name: "x"}})
    assert (e.code, e.field) == ("denied", f"env.{name}")


# Why a command could not start


def start_error(r):
    assert r["state"] == "exited", r
    assert r["reason"] == "start_failed"
    assert r["exit_code"] is None and r["signal"] is None
    assert r["stdout_bytes"] == 0
    assert r["live"] == 0 and r["exited"] is True
    return r["start_error"]


def script(engine, name, text, mode=0o755):
    p = engine.workspace / name
    p.write_text(text, encoding="ascii")
    p.chmod(mode)
    return p


def test_a_program_that_is_not_there(shared_client):
    for argv in (["no-such-program-anywhere"], ["/no/such/program"], ["./no-such-file"]):
        e = start_error(shared_client.run(*argv))
        assert (e["stage"], e["errno"]) == ("exec", errno.ENOENT), argv
        assert argv[0] in e["message"]
        assert "interpreter" not in e["message"]


def test_a_file_that_is_not_executable(shared_engine, shared_client):
    script(shared_engine, "plain", "echo hello\n", 0o644)
    e = start_error(shared_client.run("./plain"))
    assert (e["stage"], e["errno"]) == ("exec", errno.EACCES)
    e = start_error(shared_client.run("./"))
    assert (e["stage"], e["errno"]) == ("exec", errno.EACCES)


def test_a_file_of_no_known_format(shared_engine, shared_client):
    script(shared_engine, "garbage", "\x7fNOT a program\n")
    e = start_error(shared_client.run("./garbage"))
    assert (e["stage"], e["errno"]) == ("exec", errno.ENOEXEC)


def test_a_script_whose_interpreter_is_missing(shared_engine, shared_client):
    script(shared_engine, "badint", "#!/no/such/interpreter\n")
    e = start_error(shared_client.run("./badint"))
    assert (e["stage"], e["errno"]) == ("interpreter", errno.ENOENT)
    assert "./badint" in e["message"], "must not look like a file that is missing"


def test_arguments_too_long_for_the_kernel(shared_client):
    # Within the limits of a request, over a quarter of the stack (execve(2)) with pointers.
    e = start_error(shared_client.run("true", *["x" * 511] * 4094))
    assert (e["stage"], e["errno"]) == ("exec", errno.E2BIG)


def test_a_directory_that_is_missing(shared_engine, shared_client):
    (shared_engine.workspace / "file").write_text("x", encoding="ascii")
    for cwd, number in (("nowhere", errno.ENOENT), ("file", errno.ENOTDIR)):
        e = start_error(shared_client.run("true", cwd=cwd))
        assert (e["stage"], e["errno"]) == ("cwd", number)
        assert cwd in e["message"]


@pytest.mark.parametrize("cwd", ["/", "/etc", "..", "../..", "sub/../..", "/proc/self/cwd"])
def test_a_directory_outside_the_workspace_is_refused(shared_client, cwd):
    e = shared_client.refused("process.run", {"argv": ["true"], "cwd": cwd})
    assert (e.code, e.field) == ("invalid_input", "cwd")


def test_a_failed_start_leaves_a_record(shared_client):
    r = shared_client.run("no-such-program-anywhere")
    again = shared_client.wait(r["id"])
    assert again["reason"] == "start_failed"
    assert again["start_error"] == r["start_error"]
    listed = shared_client.call("process.list", {"state": "exited", "limit": 1000})
    assert r["id"] in [p["id"] for p in listed["processes"]]


# The command line


PROFILE = {"native": "default", "host": "trusted-host"}


@pytest.fixture
def cli(shared_engine, backend):
    def run(*args, verb="run", **kw):
        return shared_engine.cli(verb, "--profile", PROFILE[backend], *args, **kw)
    return run


def test_run_exits_as_the_command_did(cli):
    for code in (0, 1, 3, 64, 124, 127, 255):
        r = cli("--", "sh", "-c", f"echo out; echo err >&2; exit {code}")
        assert (r.returncode, r.stdout, r.stderr) == (code, b"out\n", b"err\n")


def test_run_exits_with_128_and_the_signal(cli):
    for sig in (signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV, signal.SIGINT):
        assert cli("--", "sh", "-c", f"kill -{int(sig)} $$").returncode == 128 + sig


def test_run_exits_with_124_at_a_timeout(cli):
    r = cli("--timeout", "300ms", "--", "sh", "-c", "echo begun; exec sleep 100")
    assert (r.returncode, r.stdout) == (124, b"begun\n")


def test_run_exits_with_126_and_127_as_shells_do(cli, shared_engine):
    script(shared_engine, "plain", "echo hello\n", 0o644)
    r = cli("--", "./plain")
    assert r.returncode == 126 and b"./plain" in r.stderr
    r = cli("--", "no-such-program-anywhere")
    assert r.returncode == 127 and b"no-such-program-anywhere" in r.stderr


def test_run_exits_with_125_when_proctor_failed(shared_engine, backend):
    r = shared_engine.cli("run", "--profile", "no-such-profile", "--", "true")
    assert r.returncode == 125
    assert b"no-such-profile" in r.stderr and r.stderr.startswith(b"proctor: ")


def test_a_wrong_option_is_told_with_its_likely_meaning(shared_engine):
    r = shared_engine.cli("run", "--profle", "default", "--", "true")
    assert r.returncode in (64, 125)
    assert b"--profle" in r.stderr and b"--profile" in r.stderr


def test_sh_stands_in_for_a_shell(cli):
    r = cli("-c", "echo $((1 + 1)); exit 9", verb="sh")
    assert (r.returncode, r.stdout) == (9, b"2\n")


def test_run_shows_output_that_is_no_text(cli):
    r = cli("--", "printf", "\\377\\000\\342\\202\\254\\001")
    assert r.stdout == b"\xff\0\xe2\x82\xac\x01"


def test_run_json_prints_the_result(cli):
    import json
    r = cli("--json", "--", "sh", "-c", "printf 'a\\0b'; printf '\\377' >&2; exit 4")
    obj = json.loads(r.stdout)
    assert obj["exit_code"] == 4
    assert (obj["stdout"], obj["stdout_encoding"]) == ("a\0b", "utf-8")
    assert (obj["stderr"], obj["stderr_encoding"]) == ("/w==", "base64")


def test_the_workspace_is_writable_for_the_command(cli, shared_engine):
    r = cli("--", "sh", "-c", "umask; echo data > made; mkdir dir; stat -c %a made dir")
    assert r.stdout == b"0022\n644\n755\n"
    made = shared_engine.workspace / "made"
    assert made.read_bytes() == b"data\n"
    assert made.stat().st_uid == shared_engine.workspace.stat().st_uid
    assert stat.S_IMODE(made.stat().st_mode) == 0o644
