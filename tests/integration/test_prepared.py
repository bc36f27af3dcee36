# SPDX-License-Identifier: Apache-2.0
"""
Keepers made ahead of need: whom they serve, how many there are, and that nothing
is left of one that served nobody.
"""

import contextlib
import os
import signal
import socket
import time

import pytest

import engine as engines
import wire

PER_PLAN = 2
MOST = 8


def standing(c, least=PER_PLAN):
    """Waits until so many stand ready; there is no event for what concerns nobody."""
    end = time.monotonic() + engines.PATIENCE
    while True:
        n = c.call("daemon.status")["prepared_keepers"]
        if n >= least or time.monotonic() > end:
            return n
        time.sleep(0.005)


def warm(c, **params):
    """Two like commands: from then on keepers stand ready for a third."""
    for _ in range(2):
        assert c.run("true", **params)["exit_code"] == 0
    assert standing(c) == PER_PLAN


def keepers(eng):
    """The pids of all keepers, without the launcher."""
    with eng.connect() as c:
        launcher = c.call("daemon.status")["launcher_pid"]
    return {p.pid for p in eng.keepers() if p.pid != launcher}


def keeper_of(c, record):
    """Which keeper runs it: the command's parent."""
    return engines.Process(c.call("process.stats", {"id": record["id"]})["pid"]).ppid


def end(c, record):
    c.kill(record["id"], signal="KILL")


def kill_all(pids):
    """With the first of its kind the others are dismissed, and may be gone already."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@pytest.fixture
def ready(engine, client):
    warm(client)
    end_at = time.monotonic() + engines.PATIENCE
    while len(found := keepers(engine)) > PER_PLAN and time.monotonic() < end_at:
        time.sleep(0.005)  # those of the commands that were to warm it are ending
    return found


def test_once_is_not_enough(engine, client):
    assert client.run("true")["exit_code"] == 0
    assert client.call("daemon.status")["prepared_keepers"] == 0
    assert not engines.settle(lambda p: p.pid in keepers(engine), 5)


def test_the_next_command_is_run_by_one_that_stood_ready(client, ready):
    assert len(ready) == PER_PLAN
    r = client.start("sleep", "1000")
    assert keeper_of(client, r) in ready
    assert client.call("process.stats", {"id": r["id"]})["isolation"]["backend"] in (
        "native", "host")
    end(client, r)


def test_they_are_made_again(engine, client, ready):
    seen = set(ready)
    for _ in range(5):
        assert standing(client) == PER_PLAN
        seen |= keepers(engine)
        r = client.start("sleep", "1000")
        assert keeper_of(client, r) in seen
        end(client, r)
    assert len(seen) > PER_PLAN


def test_the_wait_is_not_counted_as_the_start(client, ready):
    del ready
    time.sleep(0.3)  # time itself is what is tested: a keeper that has waited
    assert client.run("true")["spawn_ms"] < 300


@pytest.mark.parametrize("params", [
    {"stdin": {"text": "hello\n"}}, {"capture": "combined"}, {"capture": "discard"},
    {"pty": {"cols": 90, "rows": 30}}, {"pty": {}, "stdin": {"text": "hello\n"}},
    {"env": {"WHO": "hello"}}, {"timeout_ms": 20000},
    {"overflow": "block", "consumer": "reader"}])
def test_every_kind_of_command_can_be_given_to_one(client, ready, params):
    r = client.start("sh", "-c", "read x; echo $x $WHO $(tty)", **{"stdin": {"open": True},
                                                                   **params})
    if r["stdin_open"] and "stdin" not in params:
        assert keeper_of(client, r) in ready
        client.call("process.write", {"id": r["id"], "data": "hello\n"})
    done = client.wait(r["id"])
    assert (done["exit_code"], done["reason"]) == (0, "exited"), dict(done)
    if params.get("capture") != "discard":
        assert b"hello" in done.out


def test_another_ring_gets_a_box_of_its_own(client, ready):
    r = client.start("sleep", "1000", ring_bytes=65536)
    assert keeper_of(client, r) not in ready
    end(client, r)


def test_another_workspace_is_not_served(engine, client, ready, backend):
    del client
    other = engine.base / "other"
    other.mkdir(mode=0o777)
    (other / "here").write_text("other")
    with engine.connect(backend, workspace=str(other)) as c:
        r = c.start("sleep", "1000")
        # Without a sandbox there is nothing that a workspace changes.
        assert (keeper_of(c, r) in ready) == (backend == "host")
        assert c.run("cat", "here").out == b"other"
        end(c, r)


def test_a_workspace_that_was_replaced_is_not_served(engine, client, ready, backend):
    if backend == "host":
        pytest.skip("host: no sandbox shows a workspace")
    engine.workspace.rename(engine.base / "moved")
    engine.workspace.mkdir(mode=0o777)
    (engine.workspace / "new").write_text("new")
    with engine.connect(backend) as c:
        r = c.start("sleep", "1000")
        assert keeper_of(c, r) not in ready
        assert c.run("cat", "new").out == b"new"
        end(c, r)


def test_a_bad_request_takes_none(engine, client, ready):
    for bad in ({"argv": ["true"], "cwd": "/nowhere/else"}, {"argv": []},
                {"argv": ["true"], "env": {"LD_PRELOAD": "x"}},
                {"argv": ["true"], "limits": {"open_files": 1 << 60}}):
        with pytest.raises(wire.Refused):
            client.call("process.run", bad)
    assert keepers(engine) == ready
    r = client.run("/no/such/program")
    assert r["reason"] == "start_failed" and r["start_error"]["stage"] == "exec", dict(r)


def test_one_that_was_killed_hurts_nobody(client, ready):
    kill_all(ready)
    assert not engines.wait_gone(ready)
    assert client.run("echo", "on").out == b"on\n"
    warm(client)


def test_one_that_dies_as_it_is_taken_is_told(engine, client, ready, backend):
    """Stopped, it cannot die before its command has been given to it."""
    if backend == "native":
        pytest.skip("native: covered by host; the engine's part is the same")
    for pid in ready:
        os.kill(pid, signal.SIGSTOP)
    call = client.begin("process.run", {"argv": ["echo", "never"]})
    client.call("daemon.status")  # by now it has been given away
    kill_all(ready)
    with pytest.raises(wire.Refused) as refused:
        client.end(call)
    assert refused.value.code == "unavailable" and "not started" in str(refused.value)
    assert not engines.wait_gone(ready)
    assert client.run("echo", "on").out == b"on\n"
    assert engine.running()


def test_they_end_with_the_engine(engine, ready):
    engine.kill9()
    assert not engines.wait_gone(ready)
    engine.start()
    with engine.connect() as c:
        status = c.call("daemon.status")
        assert (status["adopted"], status["lost"]) == (0, 0)
        known = {p["id"] for p in c.call("process.list", {"state": "all"})["processes"]}
    assert not engine.leftovers()
    assert {b.stem for b in (engine.state / "boxes").iterdir()} == known
    assert not list((engine.state / "keepers").iterdir())


def test_an_engine_that_is_told_to_stop_leaves_none(engine, client, ready):
    known = {p["id"] for p in client.call("process.list", {"state": "all"})["processes"]}
    launcher = engine.launcher()
    engine.stop()
    assert not engines.wait_gone(ready | {launcher})
    assert {b.stem for b in (engine.state / "boxes").iterdir()} == known
    assert not list((engine.state / "keepers").glob("*.sock"))


def test_nobody_else_can_commit_one(engine, ready, client):
    """The socket by which a next engine would adopt it turns everybody away."""
    del client
    found = [s for s in (engine.state / "keepers").glob("*.sock")]
    assert len(found) >= len(ready)
    for path in found:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
            s.settimeout(engines.PATIENCE)
            s.connect(str(path))
            assert s.recv(4096) == b""


def test_there_are_never_more_than_a_few(engine, backend):
    if backend == "host":
        pytest.skip("host: all workspaces have one plan")
    before = set()
    for i in range(MOST):
        ws = engine.base / f"w{i}"
        ws.mkdir(mode=0o777)
        with engine.connect(backend, workspace=str(ws)) as c:
            for _ in range(3):
                assert c.run("true")["exit_code"] == 0
            before = keepers(engine)
            assert len(before) <= MOST + 1, before  # one may still be ending
    with engine.connect(backend) as c:
        assert c.call("daemon.status")["prepared_keepers"] <= MOST
        assert c.run("true")["exit_code"] == 0


def test_a_sandbox_has_its_own_and_takes_them_along(engine, client, backend):
    if backend == "host":
        pytest.skip("host: has no sandboxes")
    box = client.call("sandbox.create", {})["id"]
    before = keepers(engine)
    for _ in range(2):
        assert client.run("true", sandbox=box)["exit_code"] == 0
    assert standing(client) == PER_PLAN
    inside = keepers(engine) - before
    r = client.start("sh", "-c", "echo $$ > /tmp/mine; exec sleep 1000", sandbox=box)
    assert keeper_of(client, r) in inside
    end(client, r)
    client.call("sandbox.destroy", {"id": box})
    assert not engines.wait_gone(inside | before)
    assert client.call("daemon.status")["prepared_keepers"] == 0
