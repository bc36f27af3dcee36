# SPDX-License-Identifier: Apache-2.0
"""
The engine dies by SIGKILL wherever it is, and nothing is lost, doubled or left.

Each command leaves a file of its name, made with O_EXCL, in the workspace: what
ran is known without asking any engine, a second start of the same is seen, and
what an engine calls start_failed must have left none.
"""

import collections
import os
import random
import shutil
import sqlite3
import subprocess
import tempfile
import time

import pytest

import engine as engines
import wire

POINTS = ["intent", "launch", "exec", "running", "exit", "reply"]
COMMANDS = 50
# How often each point is passed at least while COMMANDS commands run: intent is
# once for each turn of the loop that has any, exit once for each that ends by itself.
PASSES = {"intent": 8, "launch": 40, "exec": 40, "running": 40, "exit": 20, "reply": 40}
LINES = 4000

ONCE = 'set -C; echo $$ >"marks/$0" || echo again >>"twice/$0"; set +C; '

# kind -> (body of the shell, further parameters)
KINDS = {
    "short": ("exit 11", {}),
    "printing": (f"i=0; while [ $i -lt {LINES} ]; do printf '%08d\\n' $i; i=$((i + 1)); done; "
                 "exit 12", {}),
    "long": ("echo begun; exec sleep 1000", {}),
    "waiting": ("read x; echo got $x; exit 13", {"stdin": {"open": True}}),
    "terminal": ("read x; exit 14", {"pty": {}, "stdin": {"open": True}}),
    "timing-out": ("echo begun; exec sleep 1000", {"timeout_ms": 200, "grace_ms": 100}),
    "stubborn": ("trap '' TERM; sleep 1000; sleep 1000", {"timeout_ms": 200, "grace_ms": 100}),
    "lingering": ("sleep 1000 & exit 15", {}),
}
PRINTED = b"".join(b"%08d\n" % i for i in range(LINES))


def seed():
    value = int(os.environ.get("PROCTOR_TEST_SEED", "0")) or random.SystemRandom().randrange(1 << 32)
    print(f"PROCTOR_TEST_SEED={value}")
    return value


def prepare(eng):
    for name in ("marks", "twice"):
        (eng.workspace / name).mkdir(exist_ok=True)


def params_of(kind, label):
    body, more = KINDS[kind]
    return {"argv": ["sh", "-c", ONCE + body, label], "label": label, **more}


def listed(c, **filters):
    found, cursor = [], None
    while True:
        r = c.call("process.list", {"state": "all", "limit": 100, **filters,
                                    **({"cursor": cursor} if cursor else {})})
        found += r["processes"]
        cursor = r["next_cursor"]
        if not cursor:
            return found


def take(c, calls, told):
    """One frame; a reply to one of calls is noted in told."""
    f = c.recv()
    if f.type == wire.REPLY and f.call in calls:
        label = calls.pop(f.call)
        result = c.result(f)
        if label:
            told[label] = result["id"]


def load(c, rng, round_, die_after):
    """
    Sends COMMANDS calls of all kinds and takes what comes until the engine dies,
    or until all have been answered. Returns (labels by kind, ids told by label).
    """
    kinds = [k for k in KINDS for _ in range(COMMANDS // len(KINDS) + 1)][:COMMANDS]
    rng.shuffle(kinds)
    asked, told, calls = {}, {}, {}
    try:
        for i, kind in enumerate(kinds):
            label = f"r{round_}-{i}-{kind}"
            # A run that never ends by itself would hold the round up.
            op = "process.run" if kind in ("short", "printing") and i % 2 else "process.start"
            asked[label] = kind
            calls[c.begin(op, params_of(kind, label))] = label
            if die_after == i:
                return asked, told
            if i % 5 == 4:
                # A turn of the loop of its own for the next ones.
                calls[c.begin("daemon.status")] = None
                while None in calls.values():
                    take(c, calls, told)
        while calls:
            take(c, calls, told)
    except wire.Gone:
        pass
    return asked, told


def journalled(eng):
    """How many processes the journal of a dead engine has; read from a copy."""
    with tempfile.TemporaryDirectory(prefix="proctor-journal-") as d:
        for path in eng.state.glob("journal.db*"):
            if not path.name.endswith("-shm"):
                shutil.copy(path, d)
        db = sqlite3.connect(f"{d}/journal.db")
        try:
            return db.execute("SELECT count(*) FROM processes").fetchone()[0]
        finally:
            db.close()


def settle_one(c, rec, kind):
    """Brings a command to its end and says what that must be."""
    id_ = rec["id"]
    if kind in ("waiting", "terminal") and not rec["exited"]:
        c.call("process.write", {"id": id_, "data": "word\n"})
    if kind in ("long", "lingering"):
        c.wait(id_, "exited", wait_ms=0)
        if kind == "lingering":
            # Its shell ends by itself; what it left is ended here.
            c.wait(id_, "exited")
        k = c.kill(id_, signal="SIGKILL")
        assert k["gone"], dict(k)
    end = c.wait(id_, "empty", wait_ms=30000)
    assert end["done"] and end["live"] == 0, dict(end)
    want = {"short": ("exited", 11), "printing": ("exited", 12), "long": ("killed", None),
            "waiting": ("exited", 13), "terminal": ("exited", 14),
            "timing-out": ("timeout", None), "stubborn": ("timeout", None),
            "lingering": ("exited", 15)}[kind]
    assert (end["reason"], end["exit_code"]) == want, dict(end)
    if kind == "printing":
        data, lost = c.read_all(id_)
        assert (data == PRINTED, lost) == (True, 0), (len(data), lost, data[:40])
        assert end["stdout_bytes"] == len(PRINTED)
        middle = c.call("process.read", {"id": id_, "stream": "stdout", "offset": 4501,
                                         "max_bytes": 1000})
        assert middle.out == PRINTED[4501:5501]
    if kind == "waiting":
        assert c.read_all(id_)[0] == b"got word\n"


def check_after(eng, c, asked, told, journal_rows):
    """What the next engine says against what happened. Returns the records."""
    rows = listed(c)
    records = {r["label"]: r for r in rows}
    assert len(records) == len(rows), "a call has two processes"
    assert set(records) <= set(asked)
    assert len(rows) == journal_rows, "journal and listing differ"
    for label, id_ in told.items():
        assert records[label]["id"] == id_, f"{label} was told and is not known"
    marks = set(os.listdir(eng.workspace / "marks"))
    assert marks <= set(records), "something ran that the engine does not know"
    for label, r in records.items():
        assert r["state"] != "lost" and r["reason"] != "lost", dict(r)
    return records


def one_round(eng, backend, rng, round_, point):
    prepare(eng)
    env = {"PROCTOR_FAULT": f"{point}:{rng.randint(1, PASSES[point])}"} if point else {}
    eng.start(env=env)
    asked, told = {}, {}
    try:
        with eng.connect(backend) as c:
            asked, told = load(c, rng, round_, rng.randrange(COMMANDS) if not point else None)
            if not point:
                eng.kill9()  # with calls in flight
            # Exits may come later than replies: those of the timing-out, at the latest.
            died = bool(point) and engines.wait_gone([eng.pid], 5) == []
    except wire.Gone:
        died = True  # at the reply to the hello
    eng.kill9()
    assert eng.proc.returncode == -9
    rows = journalled(eng)
    eng.start()
    with eng.connect(backend) as c:
        records = check_after(eng, c, asked, told, rows)
        failed = set()
        for label, r in records.items():
            if r["reason"] == "start_failed":
                failed.add(label)
            else:
                settle_one(c, r, asked[label])
        marks = set(os.listdir(eng.workspace / "marks"))
        assert not failed & marks, "called start_failed, and it ran"
        assert marks == set(records) - failed, "called ended, and it never ran"
        assert os.listdir(eng.workspace / "twice") == []
        for r in records.values():
            c.call("process.release", {"id": r["id"]})
    # Nobody starts once all have been judged: marks are still the same.
    assert eng.stop() == 0
    assert engines.settle(lambda p: True) == []
    assert set(os.listdir(eng.workspace / "marks")) == marks
    return died, len(records), len(failed)


@pytest.mark.limit(1500 if os.environ.get("PROCTOR_TEST_ALL") == "1" else 150)
def test_the_engine_is_killed_again_and_again(make_engine, backend, everything, capsys):
    rng = random.Random(seed())
    # Half of the kills for each backend: 20 in all, or 200, each point at least 10 then.
    each, at_random = (15, 10) if everything else (1, 4)
    plan = POINTS * each + [None] * at_random
    rng.shuffle(plan)
    hits = collections.Counter()
    commands = failures = 0
    for round_, point in enumerate(plan):
        # A journal of its own for each: its rows are those of the round.
        eng = make_engine(f"e{round_}")
        died, n, failed = one_round(eng, backend, rng, round_, point)
        commands += n
        failures += failed
        hits[point if died else "random"] += 1
        shutil.rmtree(eng.base)
    with capsys.disabled():
        said = ", ".join(f"{p} {hits[p]}" for p in [*POINTS, "random"])
        print(f"\n  kills of the engine ({backend}): {said}; {commands} commands, "
              f"{failures} start_failed")
    assert sum(hits.values()) == len(plan)
    for p in POINTS:
        assert hits[p] >= (10 if everything else 1), hits


def test_a_timeout_fires_while_there_is_no_engine(engine, backend):
    prepare(engine)
    with engine.connect(backend) as c:
        ids, pids = [], []
        for i, kind in enumerate(("timing-out", "stubborn")):
            p = params_of(kind, f"t{i}")
            p["timeout_ms"] = 700
            r = c.call("process.start", p)
            ids.append(r["id"])
            pids.append(c.call("process.stats", {"id": r["id"]})["pid"])
    engine.kill9()
    assert engines.wait_gone(pids) == []
    engine.start()
    with engine.connect(backend) as c:
        for id_ in ids:
            end = c.wait(id_, "empty")
            assert (end["reason"], end["status"], end["live"]) == ("timeout", "timeout", 0)
            # The gap is not counted: it was ended when its time was over.
            assert end["duration_ms"] < 5000


def test_exits_of_the_gap_are_known(engine, backend):
    prepare(engine)
    with engine.connect(backend) as c:
        r = c.call("process.start", params_of("waiting", "gap"))
        pid = c.call("process.stats", {"id": r["id"]})["pid"]
        fifo = engine.workspace / "fifo"
        os.mkfifo(fifo)
        s = c.start("sh", "-c", "read x <fifo; echo said; exit 21")
        spid = c.call("process.stats", {"id": s["id"]})["pid"]
    engine.kill9()
    with open(fifo, "wb") as f:
        f.write(b"go\n")
    assert engines.wait_gone([spid]) == []
    assert engines.alive(pid)
    engine.start()
    with engine.connect(backend) as c:
        end = c.wait(s["id"], "empty")
        assert (end["exit_code"], end["reason"]) == (21, "exited")
        assert c.read_all(s["id"])[0] == b"said\n"
        status = c.call("daemon.status")
        assert (status["adopted"], status["lost"]) == (1, 0)
        assert c.call("process.stats", {"id": r["id"]})["pid"] == pid
        c.call("process.write", {"id": r["id"], "data": "word\n"})
        assert c.wait(r["id"], "empty")["exit_code"] == 13


def test_the_same_key_after_a_crash_is_the_same_process(make_engine, backend):
    eng = make_engine()
    for point in ("intent", "launch", "running", "reply"):
        prepare(eng)
        eng.start(env={"PROCTOR_FAULT": f"{point}:1"})
        request = {**params_of("waiting", f"key-{point}"), "idempotency_key": f"key-{point}"}
        with pytest.raises(wire.Gone):
            with eng.connect(backend) as c:
                c.call("process.start", request)
                # Some points come only with a later turn of the loop.
                while True:
                    c.recv(10)
        eng.kill9()
        before = journalled(eng)
        eng.start()
        with eng.connect(backend) as c:
            r = c.call("process.start", request)
            rows = listed(c, label=f"key-{point}")
            if before:
                assert [x["id"] for x in rows if x["id"] == r["id"]] == [r["id"]]
            ran = os.listdir(eng.workspace / "marks")
            assert os.listdir(eng.workspace / "twice") == []
            e = c.refused("process.start", {**request, "label": "another request"})
            assert e.code == "conflict", e
            for x in rows:
                if not x["exited"]:
                    assert c.kill(x["id"], signal="SIGKILL")["gone"]
            assert len(ran) <= 1
        eng.stop()
        for m in os.listdir(eng.workspace / "marks"):
            (eng.workspace / "marks" / m).unlink()


def keeper_of(c, id_):
    pid = c.call("process.stats", {"id": id_})["pid"]
    keeper = engines.Process(pid).ppid
    assert engines.Process(keeper).comm.startswith("proctor-keeper")
    return pid, engines.Process(keeper)


def test_a_killed_keeper_is_told_as_lost(engine, backend):
    with engine.connect(backend) as c:
        r = c.start("sh", "-c", "echo before; exec sleep 1000")
        c.read_until(r["id"], b"before\n")
        other = c.start("sh", "-c", "read x; exit 3", stdin={"open": True})
        pid, keeper = keeper_of(c, r["id"])
        command = engines.Process(pid)
        waiting = c.begin("process.wait", {"id": r["id"], "for": "exited"})
        engines.end_all([keeper])
        end = c.end(waiting)
        assert (end["state"], end["status"], end["reason"]) == ("lost", "lost", "lost"), dict(end)
        assert end["exit_code"] is None and end["signal"] is None
        # What it has printed is still there.
        data = c.call("process.read", {"id": r["id"], "stream": "stdout", "offset": 0})
        assert data.out == b"before\n"
        if backend == "native":
            assert engines.wait_gone([pid]) == [], "its namespace must go with the keeper"
        else:
            assert end["live"] is None
            engines.end_all([command])
        c.call("process.write", {"id": other["id"], "data": "x\n"})
        assert c.wait(other["id"], "empty")["exit_code"] == 3
        assert c.run("true")["exit_code"] == 0
        box = engine.box(r["id"])
        shown = engine.cli("box", "show", box)
        assert shown.returncode == 0 and shown.stdout, shown.stderr


def test_a_keeper_that_is_killed_in_the_gap_is_lost_too(engine, backend):
    with engine.connect(backend) as c:
        r = c.start("sleep", "1000")
        pid, keeper = keeper_of(c, r["id"])
        command = engines.Process(pid)
    engine.kill9()
    engines.end_all([keeper])
    if backend == "native":
        assert engines.wait_gone([pid]) == []
    else:
        assert engines.alive(pid)
        engines.end_all([command])
    engine.start()
    with engine.connect(backend) as c:
        row = c.call("process.stats", {"id": r["id"]})
        assert (row["state"], row["reason"]) == ("lost", "lost")
        assert c.call("daemon.status")["lost"] == 1


def test_a_killed_launcher_is_replaced_and_nobody_else_ends(engine, backend):
    with engine.connect(backend) as c:
        first = c.call("daemon.status")["launcher_pid"]
        r = c.start("sh", "-c", "echo up; read x; exit 5", stdin={"open": True})
        c.read_until(r["id"], b"up\n")
        engines.end_all([engines.Process(first)])
        # A call that comes in that very moment may be told so, but not for long.
        end = time.monotonic() + 10
        while True:
            try:
                assert c.run("true")["exit_code"] == 0
                break
            except wire.Refused as e:
                assert e.code == "unavailable" and time.monotonic() < end, e
        second = c.call("daemon.status")["launcher_pid"]
        assert second not in (None, first) and engines.alive(second)
        c.call("process.write", {"id": r["id"], "data": "x\n"})
        assert c.wait(r["id"], "empty")["exit_code"] == 5


def test_launcher_and_engine_both_killed(engine, backend):
    with engine.connect(backend) as c:
        launcher = c.call("daemon.status")["launcher_pid"]
        r = c.start("sh", "-c", "echo up; read x; exit 5", stdin={"open": True})
        c.read_until(r["id"], b"up\n")
    engines.end_all([engines.Process(launcher)])
    engine.kill9()
    engine.start()
    with engine.connect(backend) as c:
        assert c.call("process.stats", {"id": r["id"]})["state"] == "running"
        c.call("process.write", {"id": r["id"], "data": "x\n"})
        assert c.wait(r["id"], "empty")["exit_code"] == 5


def test_a_killed_cli_ends_nothing(engine, backend):
    p = subprocess.Popen([str(engines.bindir() / "proctor"), "run", "--profile",
                          engines.PROFILES[backend], "--label", "cli", "--", "sh", "-c",
                          "echo up; read x; echo got; exit 4"], stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE, env=engine.env(), cwd=engine.workspace)
    with p:
        assert p.stdout.readline() == b"up\n"
        p.kill()
        p.wait()
        with engine.connect(backend) as c:
            (row,) = listed(c, label="cli")
            assert row["state"] == "running"
            # Its input was a pipe of ours: it goes straight to the command.
            p.stdin.write(b"x\n")
            p.stdin.flush()
            end = c.wait(row["id"], "empty")
            assert end["exit_code"] == 4
            assert c.read_all(row["id"])[0] == b"up\ngot\n"


def test_on_disconnect_kill_ends_it(engine, backend):
    with engine.connect(backend) as c, engine.connect(backend) as d:
        call = d.begin("process.run", {"argv": ["sleep", "1000"], "label": "leave",
                                       "on_disconnect": "kill"})
        events = c.begin("events.watch", {"kinds": ["start"], "label": "leave"})
        rows = listed(c, label="leave")
        id_ = rows[0]["id"] if rows else c.event(events, "start").json["id"]
        d.close()
        end = c.wait(id_, "empty")
        assert end["reason"] == "disconnected" and end["live"] == 0, (call, dict(end))


def test_keepers_of_the_previous_protocol_are_adopted(make_engine, backend):
    eng = make_engine()
    prepare(eng)
    eng.start(env={"PROCTOR_KEEPER_PROTOCOL": "1"})
    with eng.connect(backend) as c:
        ids = {k: c.call("process.start", params_of(k, k))["id"]
               for k in ("long", "waiting", "terminal", "printing", "lingering")}
        c.read_until(ids["long"], b"begun\n")
    eng.kill9()
    eng.start()
    with eng.connect(backend) as c:
        row = c.call("process.stats", {"id": ids["long"]})
        assert row["state"] == "running" and row["live"] == 1
        for kind, id_ in ids.items():
            settle_one(c, c.call("process.stats", {"id": id_}), kind)
        assert c.run("true")["exit_code"] == 0


@pytest.mark.parametrize("other", ["0" * 31 + "1", "00000000-0000-4000-8000-000000000001"])
def test_after_a_reboot_all_is_lost_and_no_stranger_signalled(make_engine, backend, other):
    eng = make_engine()
    eng.start(env={"PROCTOR_BOOT_ID": "f" * 32})
    with eng.connect(backend) as c:
        r = c.start("sleep", "1000")
        pid, keeper = keeper_of(c, r["id"])
        ended = c.run("sh", "-c", "exit 6")
    command = engines.Process(pid)
    eng.kill9()
    try:
        eng.start(env={"PROCTOR_BOOT_ID": other})
        with eng.connect(backend) as c:
            row = c.call("process.stats", {"id": r["id"]})
            assert (row["state"], row["reason"], row["status"]) == ("lost", "lost", "lost")
            assert row["exit_code"] is None and row["pid"] is None
            assert "reboot" in str(dict(row)), dict(row)
            before = c.call("process.stats", {"id": ended["id"]})
            assert (before["exit_code"], before["reason"]) == (6, "exited")
            # Nothing of it can live; its number may be anybody's now, and is left alone.
            k = c.kill(r["id"], signal="SIGKILL")
            assert (k["gone"], k["sent"], k["state"]) == (True, None, "lost"), dict(k)
            assert c.run("true")["exit_code"] == 0
            assert engines.alive(pid) and engines.alive(keeper.pid)
    finally:
        engines.end_all([command, keeper])


def test_a_stopped_engine_answers_those_who_wait_and_leaves_commands(engine, backend):
    with engine.connect(backend) as c:
        r = c.start("sh", "-c", "read x; exit 2", stdin={"open": True})
        call = c.begin("process.wait", {"id": r["id"]})
        c.call("daemon.status")
        engine.proc.terminate()
        try:
            c.end(call)
            raise AssertionError("the wait had a result")
        except wire.Refused as e:
            assert e.code == "unavailable", e
    assert engine.stop() == 0
    engine.start()
    with engine.connect(backend) as c:
        assert c.call("process.stats", {"id": r["id"]})["state"] == "running"
        c.call("process.write", {"id": r["id"], "data": "x\n"})
        assert c.wait(r["id"], "empty")["exit_code"] == 2
