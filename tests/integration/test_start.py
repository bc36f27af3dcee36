# SPDX-License-Identifier: Apache-2.0
"""`proctor run` with no engine: it starts one, once, or says clearly why it cannot."""

import json
import os
import shutil
import socket
import subprocess
import pytest

import engine as engines
from fixtures import ORDINARY, reachable_programs

pytestmark = pytest.mark.limit(60)


def profile(backend):
    return ["--profile", engines.PROFILES[backend]]


@pytest.fixture
def home(make_engine):
    """Directories of an engine that nobody has started; it is stopped afterwards."""
    eng = make_engine()
    yield eng
    eng.cli("daemon", "stop", "--kill")


@pytest.fixture
def persons(make_engine, monkeypatch):
    """The same for an ordinary user, who has no entry in the password file."""
    copy = None
    user = None
    if os.geteuid() == 0:
        user = ORDINARY
        path, copy = reachable_programs(user)
        monkeypatch.setenv("PROCTOR_BIN", str(path))
    eng = make_engine("p", user=user)
    if user is not None:
        os.chown(eng.base, user, user)
    yield eng
    eng.cli("daemon", "stop", "--kill")
    if copy:
        shutil.rmtree(copy, ignore_errors=True)


def alive_engines():
    return [p for p in engines.descendants() if p.comm == "proctord"]


def hello(eng, *args, backend="host", **kw):
    r = eng.cli("run", *profile(backend), "--", "sh", "-c", "echo hello; exit 3", *args, **kw)
    assert (r.stdout, r.returncode) == (b"hello\n", 3), r.stderr.decode()
    return r


def unset(*names):
    """For Engine.cli(): it cannot take variables away, `env -u` can."""
    return [x for n in names for x in ("-u", n)]


def cli_without(eng, names, *args, **env):
    return subprocess.run(
        ["env", *unset(*names), str(engines.bindir() / "proctor"), *args], capture_output=True,
        stdin=subprocess.DEVNULL, timeout=60, env={**eng.env(), **env}, cwd=eng.workspace,
        check=False, **eng.as_user())


def test_it_starts_one_and_finds_it_again(home, backend):
    assert alive_engines() == []
    hello(home, backend=backend)
    (first,) = alive_engines()
    hello(home, backend=backend)
    (second,) = alive_engines()
    assert first.pid == second.pid
    r = home.cli("daemon", "status", "--json")
    assert json.loads(r.stdout)["pid"] == first.pid
    st = os.stat(f"/proc/{first.pid}")
    assert st.st_uid == os.geteuid()
    assert os.getsid(first.pid) != os.getsid(0), "it must be in a session of its own"


def test_its_environment_is_clean(home):
    hello(home, env={"PROCTOR_TEST_SECRET_OF_SHELL": "x", "AWS_SECRET_ACCESS_KEY": "y"})
    (p,) = alive_engines()
    with open(f"/proc/{p.pid}/environ", "rb") as f:
        names = {v.split(b"=")[0] for v in f.read().split(b"\0") if v}
    assert b"AWS_SECRET_ACCESS_KEY" not in names, names


@pytest.mark.parametrize("n", [2, 8])
def test_several_at_once_have_one_engine(home, n):
    argv = [str(engines.bindir() / "proctor"), "run", *profile("host"), "--", "echo", "me"]
    running = [subprocess.Popen(argv, env=home.env(), cwd=home.workspace, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)
               for _ in range(n)]
    for p in running:
        out, err = p.communicate(timeout=40)
        assert (out, p.returncode) == (b"me\n", 0), err.decode()
    assert len(alive_engines()) == 1
    r = home.cli("ps", "-a", "--json")
    rows = json.loads(r.stdout)
    rows = rows["processes"] if isinstance(rows, dict) else rows
    assert len(rows) == n


def test_an_old_socket_file_is_no_obstacle(home):
    s = socket.socket(socket.AF_UNIX)
    s.bind(str(home.socket))
    s.close()
    assert home.socket.exists()
    hello(home)


def test_a_file_in_place_of_the_socket_is_named_or_replaced(home):
    home.socket.write_text("x", encoding="utf-8")
    r = home.cli("run", *profile("host"), "--", "true")
    assert r.returncode in (0, 125)
    if r.returncode == 125:
        assert b"proctor.sock" in r.stderr


def test_stale_locks_are_no_obstacle(home):
    (home.runtime / "start.lock").write_text("99999\n", encoding="utf-8")
    (home.state / "engine.lock").write_text("99999\n", encoding="utf-8")
    hello(home)


def test_after_a_kill_the_next_one_starts(home):
    hello(home)
    (p,) = alive_engines()
    engines.end_all([p])
    hello(home)
    assert [q.pid for q in alive_engines()] != [p.pid]


def test_a_missing_run_directory_is_made(home):
    home.runtime.rmdir()
    hello(home)
    assert home.runtime.stat().st_mode & 0o777 == 0o700


def test_missing_directories_in_depth_are_made(home):
    deep = home.base / "a" / "b" / "c"
    hello(home, env={"PROCTOR_RUNTIME_DIR": str(deep), "PROCTOR_STATE_DIR": str(deep / "s")})
    r = home.cli("daemon", "stop", env={"PROCTOR_RUNTIME_DIR": str(deep),
                                        "PROCTOR_STATE_DIR": str(deep / "s")})
    assert r.returncode == 0, r.stderr
    assert engines.settle(lambda p: p.comm == "proctord") == []


def failure(r, *words):
    """A clear error: the status of a failure of proctor itself, and what it is about."""
    text = r.stderr.decode()
    assert r.returncode == 125 and r.stdout == b"", (r.returncode, r.stdout, text)
    assert text.startswith("proctor:"), text
    for word in words:
        assert str(word) in text, text
    # Whoever told why may still be on its way out.
    assert engines.settle(lambda p: p.comm == "proctord") == []


@pytest.mark.usefixtures("as_root")
def test_a_run_directory_of_another_owner_is_refused(home):
    os.chown(home.runtime, 1501, 1501)
    failure(home.cli("run", *profile("host"), "--", "true"), home.runtime)


def test_a_run_directory_that_is_open_to_others_is_refused_or_closed(home):
    home.runtime.chmod(0o777)
    r = home.cli("run", *profile("host"), "--", "true")
    if r.returncode == 0:
        assert home.runtime.stat().st_mode & 0o077 == 0
    else:
        failure(r, home.runtime)


def test_a_link_in_place_of_the_run_directory_is_refused(home):
    home.runtime.rmdir()
    other = home.base / "elsewhere"
    other.mkdir(mode=0o700)
    home.runtime.symlink_to(other)
    failure(home.cli("run", *profile("host"), "--", "true"), home.runtime)


def test_a_file_in_place_of_the_run_directory_is_refused(home):
    home.runtime.rmdir()
    home.runtime.write_text("", encoding="utf-8")
    failure(home.cli("run", *profile("host"), "--", "true"), home.runtime)


def test_a_run_directory_that_cannot_be_written(persons):
    persons.runtime.chmod(0o500)
    failure(persons.cli("run", *profile("host"), "--", "true"), persons.runtime)
    persons.runtime.chmod(0o700)


def test_a_state_directory_that_cannot_be_written(persons):
    persons.state.chmod(0o500)
    failure(persons.cli("run", *profile("host"), "--", "true"), persons.state)
    persons.state.chmod(0o700)


@pytest.mark.usefixtures("as_root")
@pytest.mark.parametrize("which", ["runtime", "state"])
def test_a_full_directory_is_a_clear_error(home, which):
    path = getattr(home, which)
    script = ('mount -t tmpfs -o mode=0700,size=4k,nr_inodes=1 none "$1" && shift && exec "$@"')
    r = subprocess.run(["unshare", "-m", "sh", "-c", script, "sh", str(path),
                        str(engines.bindir() / "proctor"), "run", *profile("host"), "--", "true"],
                       capture_output=True, stdin=subprocess.DEVNULL, timeout=50, env=home.env(),
                       cwd=home.workspace, check=False)
    assert b"mount" not in r.stderr, r.stderr
    failure(r, path)


@pytest.mark.parametrize("length", [107, 108, 109, 300])
def test_a_socket_path_of_any_length(home, length):
    name = home.base / "long"
    tail = length - len(str(name)) - len("/proctor.sock") - 1
    parts = []
    while tail > 0:
        parts.append("d" * min(tail, 100))
        tail -= len(parts[-1]) + 1
    path = name.joinpath(*parts)
    env = {"PROCTOR_RUNTIME_DIR": str(path)}
    hello(home, env=env)
    assert (path / "proctor.sock").exists() and len(str(path)) + 13 >= length - 1
    r = home.cli("daemon", "stop", env=env)
    assert r.returncode == 0, r.stderr
    assert engines.settle(lambda p: p.comm == "proctord") == []


OURS = ("PROCTOR_STATE_DIR", "PROCTOR_RUNTIME_DIR", "XDG_RUNTIME_DIR", "XDG_STATE_HOME")


def test_without_any_xdg_variable(persons):
    args = ["run", *profile("host"), "--", "echo", "hello"]
    r = cli_without(persons, OURS, *args)
    assert (r.stdout, r.returncode) == (b"hello\n", 0), r.stderr.decode()
    state = persons.base / ".local" / "state" / "proctor"
    assert (state / "run" / "proctor.sock").exists()
    assert state.stat().st_mode & 0o077 == 0
    assert cli_without(persons, OURS, "daemon", "stop").returncode == 0
    assert engines.settle(lambda p: p.comm == "proctord") == []


def test_with_xdg_variables(persons):
    run, state = persons.base / "xr", persons.base / "xs"
    for d in (run, state):
        d.mkdir(mode=0o700)
        if persons.user is not None:
            os.chown(d, persons.user, persons.user)
    env = {"XDG_RUNTIME_DIR": str(run), "XDG_STATE_HOME": str(state)}
    r = cli_without(persons, OURS[:2], "run", *profile("host"), "--", "echo", "hello", **env)
    assert (r.stdout, r.returncode) == (b"hello\n", 0), r.stderr.decode()
    assert (run / "proctor" / "proctor.sock").exists()
    assert (state / "proctor" / "journal.db").exists()
    assert cli_without(persons, OURS[:2], "daemon", "stop", **env).returncode == 0
    assert engines.settle(lambda p: p.comm == "proctord") == []


@pytest.mark.usefixtures("as_root")
def test_without_home_and_without_a_password_entry(persons):
    r = cli_without(persons, (*OURS, "HOME"), "run", *profile("host"), "--", "true")
    failure(r, "HOME")


def test_without_home_but_with_directories(persons):
    r = cli_without(persons, ("HOME",), "run", *profile("host"), "--", "echo", "hello")
    assert (r.stdout, r.returncode) == (b"hello\n", 0), r.stderr.decode()


def test_a_relative_directory_is_refused(home):
    failure(home.cli("run", *profile("host"), "--", "true", env={"PROCTOR_RUNTIME_DIR": "run"}),
            "PROCTOR_RUNTIME_DIR")


def test_a_second_engine_for_the_same_state_gives_up(home):
    home.start()
    r = subprocess.run([str(engines.bindir() / "proctord"), "--foreground", "--state",
                        str(home.state), "--runtime", str(home.runtime)], capture_output=True,
                       env=home.env(), stdin=subprocess.DEVNULL, timeout=30, check=False)
    assert r.returncode != 0 and b"engine" in r.stderr, r.stderr
    with home.connect("host") as c:
        assert c.run("true")["exit_code"] == 0


def test_it_ends_by_itself_when_nobody_needs_it(home):
    home.start(args=["--idle-exit", "300"])
    assert engines.wait_gone([home.pid]) == []
    assert home.proc.wait() == 0
    assert engines.settle(lambda p: True) == []


def test_it_does_not_end_while_a_command_lives(home):
    home.start(args=["--idle-exit", "300"])
    with home.connect("host") as c:
        r = c.start("sh", "-c", "read x; exit 0", stdin={"open": True})
    assert engines.wait_gone([home.pid], 1.5) == [home.pid]
    with home.connect("host") as c:
        c.call("process.write", {"id": r["id"], "data": "\n", "close": True})
        c.wait(r["id"], "empty")
    assert engines.wait_gone([home.pid]) == []


def test_daemon_stop_keeps_commands_and_stop_kill_ends_them(home, backend):
    r = home.cli("start", *profile(backend), "--", "sleep", "1000")
    id_ = r.stdout.decode().strip()
    assert id_.startswith("p_"), r.stderr
    assert home.cli("daemon", "stop").returncode == 0
    assert engines.settle(lambda p: p.comm == "proctord") == []
    assert [p for p in engines.descendants() if p.comm == "sleep"]
    row = json.loads(home.cli("inspect", id_).stdout)
    row = row[0] if isinstance(row, list) else row
    assert (row["id"], row["state"], row["live"]) == (id_, "running", 1)
    assert home.cli("daemon", "stop", "--kill").returncode == 0
    assert engines.settle(lambda p: True) == []
