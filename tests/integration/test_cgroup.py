# SPDX-License-Identifier: Apache-2.0
"""
Limits that a control group keeps: memory, and on the host the number of processes.
What is ended for want of memory is told, the keeper never is, and no group is left.

Everything here is below a group of the engine's own; no other is looked at.
"""

import os
import pathlib

import pytest

import engine as engines

MIB = 1 << 20
LIMIT = 32 * MIB

# Holds as many MiB as asked for, touched, and says so. Static: no library is charged.
EATS = "import sys; b = bytearray(int(sys.argv[1]) << 20); b[::4096] = b'x' * len(b[::4096]); " \
       "print('held', flush=True)"


def python():
    for name in ("/usr/bin/python3", "/usr/local/bin/python3"):
        if os.path.exists(name):
            return name
    return pytest.skip("python3: none in a directory that sandboxes show")


def eat(mib):
    return [python(), "-I", "-S", "-c", EATS, str(mib)]


def own_group(controller, pid="self"):
    """Where a process is in a v1 hierarchy, or None."""
    for line in pathlib.Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            return path
    return None


def mount_of(controller):
    for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        head, tail = line.split(" - ", 1)
        kind, _, options = tail.split(" ", 2)
        if kind == "cgroup" and controller in options.split(","):
            return pathlib.Path(head.split(" ")[4])
    return None


def missing():
    """Why this user can have no groups here, or None."""
    for controller in ("memory", "pids"):
        mount, own = mount_of(controller), own_group(controller)
        if not mount or own is None:
            return f"cgroups: no v1 hierarchy with {controller}"
        if not os.access(f"{mount}{own}", os.W_OK):
            return f"cgroups: {mount}{own} cannot be written"
    return None


@pytest.fixture
def groups(request):
    if missing():
        pytest.skip(missing())
    return "v1"


def base_of(engine, controller="memory"):
    """The base of an engine's groups, which only exists once it has made one."""
    st = os.stat(engine.state)
    h = 0xcbf29ce484222325
    for v in (st.st_dev, st.st_ino):
        for shift in range(0, 64, 8):
            h = (h ^ (v >> shift & 0xff)) * 0x100000001b3 & 0xffffffffffffffff
    own = own_group(controller, engine.pid if engine.running() else "self")
    return pathlib.Path(f"{mount_of(controller)}{own}") / f"proctor-{h:016x}"


def below(group):
    """Names of the groups in a group."""
    return {d.name for d in group.iterdir() if d.is_dir()} if group.exists() else set()


def settle(engine):
    """Groups of commands that are left once the engine has had time."""
    left = set()
    for controller in ("memory", "pids"):
        cmds = base_of(engine, controller) / "cmds"
        if cmds.exists():
            engines.settle_files(cmds, len(os.listdir(cmds)) - len(below(cmds)))
            left |= below(cmds)
    return left


def layer(record, name="cgroup"):
    return next(x for x in record["isolation"]["layers"] if x["name"] == name)


# Memory


def test_a_command_that_takes_too_much_is_ended(engine, client, groups):
    r = client.call("process.run", {"argv": eat(200), "limits": {"memory_bytes": LIMIT}})
    assert (r["reason"], r["status"], r["signal"]) == ("oom", "killed", "SIGKILL"), r
    assert b"held" not in r.out
    assert r["oom"]["limit_bytes"] == LIMIT and r["oom"]["killed"] == 1
    assert LIMIT * 0.9 < r["oom"]["peak_bytes"] <= LIMIT
    assert r["memory_peak_bytes"] == r["oom"]["peak_bytes"]
    assert layer(r) == {"name": "cgroup", "state": "applied", "why": None, "note": "v1 memory"}
    assert r["cgroup_path"].endswith(f"/cmds/{r['id']}")
    assert settle(engine) == set()


def test_a_command_below_its_limit_is_left_alone(engine, client, groups):
    r = client.call("process.run", {"argv": eat(40), "limits": {"memory_bytes": 256 * MIB}})
    assert (r["reason"], r["exit_code"], r.out) == ("exited", 0, b"held\n")
    assert r["oom"] is None and 40 * MIB < r["memory_peak_bytes"] < 256 * MIB
    assert settle(engine) == set()


def test_a_child_that_takes_too_much_does_not_end_the_others(engine, client, groups):
    words = " ".join(f"'{w}'" if i != 4 else '"$EATS"' for i, w in enumerate(eat(200)))
    r = client.call("process.run", {
        "command": f"{words}; echo child ended with $?", "env": {"EATS": EATS},
        "shell": "/bin/sh", "limits": {"memory_bytes": LIMIT}})
    assert b"child ended with 137" in r.out, r.err
    assert (r["reason"], r["exit_code"]) == ("exited", 0)
    assert r["oom"]["killed"] == 1
    assert settle(engine) == set()


def test_all_processes_of_a_command_count_together(client, groups):
    """None of them takes more than the limit."""
    each = " ".join(f"'{w}'" if i != 4 else '"$EATS"' for i, w in enumerate(eat(24)))
    hold = EATS + "; import time; time.sleep(1000)"
    r = client.call("process.run", {
        "command": f"{each} & {each} & {each} & wait; exit 0", "env": {"EATS": hold},
        "shell": "/bin/sh", "limits": {"memory_bytes": 48 * MIB}, "timeout_ms": 3000,
        "grace_ms": 0})
    assert r["oom"] and r["oom"]["killed"] >= 1
    assert r["memory_peak_bytes"] <= 48 * MIB


def test_what_is_too_much_does_not_go_to_swap(client, groups):
    """Memory and swap together have the same limit."""
    r = client.start("sleep", "1000", limits={"memory_bytes": LIMIT})
    group = pathlib.Path(f"{mount_of('memory')}{r['cgroup_path']}")
    assert int((group / "memory.limit_in_bytes").read_text()) == LIMIT
    both = group / "memory.memsw.limit_in_bytes"
    if both.exists():
        assert int(both.read_text()) == LIMIT
    else:
        assert int((group / "memory.swappiness").read_text()) == 0
    client.kill(r["id"])


def test_the_private_tmp_counts_as_memory(engine, native, groups):
    with engine.connect("native") as c:
        r = c.call("process.run", {
            "command": "exec head -c 200000000 /dev/zero >/tmp/big",
            "limits": {"memory_bytes": LIMIT}})
        assert r["reason"] == "oom", r
        assert not r["exit_code"]


def test_the_keeper_is_outside_of_the_group(engine, client, groups):
    r = client.start("sleep", "1000", limits={"memory_bytes": LIMIT})
    pid = client.call("process.stats", {"id": r["id"]})["pid"]
    keeper = engines.Process(pid).ppid
    assert own_group("memory", pid) == r["cgroup_path"]
    assert own_group("memory", keeper) == own_group("memory", engine.pid)
    assert own_group("memory", engine.launcher()) == own_group("memory", engine.pid)
    client.kill(r["id"])


def test_the_record_outlives_keeper_and_engine(engine, groups, backend):
    with engine.connect(backend) as c:
        r = c.call("process.run", {"argv": eat(200), "limits": {"memory_bytes": LIMIT}})
    engine.kill9()
    engine.start()
    with engine.connect(backend) as c:
        again = c.wait(r["id"])
    assert again["reason"] == "oom" and again["oom"] == r["oom"]
    assert again["memory_peak_bytes"] == r["memory_peak_bytes"]
    shown = engine.cli("box", "show", engine.box(r["id"])).stdout
    assert b"oom_killed" in shown


def test_a_command_without_such_a_limit_has_no_group(engine, client):
    r = client.run("true")
    assert r["cgroup_path"] is None and r["oom"] is None and r["memory_peak_bytes"] is None
    assert layer(r)["state"] == "absent" and "no limit" in layer(r)["why"]
    if not missing():
        assert not base_of(engine).exists()


def test_without_the_group_nothing_would_limit_it(make_engine, groups, native):
    """What the tests above see is the group's doing alone."""
    e = make_engine(env={"PROCTOR_LEAVE_OUT": "cgroup"}).start()
    with e.connect("native") as c:
        r = c.call("process.run", {"argv": eat(200), "limits": {"memory_bytes": LIMIT}})
        if layer(r)["state"] == "applied":
            pytest.skip("fault injection: not in this build")
        assert (r["reason"], r.out) == ("exited", b"held\n")
        assert layer(r)["why"] == "left out for a test"
    assert settle(e) == set()


# Processes


# At most 200 at once, whatever happens: a limit that does not hold harms nobody.
BOMB = "i=0; while [ $i -lt 200 ]; do sleep 1000 & i=$((i+1)); done; echo all; kill 0"


def test_a_fork_bomb_on_the_host_meets_its_limit(engine, groups):
    with engine.connect("host") as c:
        r = c.call("process.run", {"command": BOMB, "shell": "/bin/sh",
                                   "limits": {"processes": 20}, "grace_ms": 0,
                                   "leftover": "kill"})
        assert b"all" not in r.out and b"fork" in r.err.lower(), r.err
        assert layer(r)["note"] == "v1 pids"
        assert c.call("process.run", {"command": "sleep 0 & sleep 0 & wait; echo fine",
                                      "limits": {"processes": 20}}).out == b"fine\n"
    assert settle(engine) == set()


def test_both_limits_have_one_group_in_each_hierarchy(engine, groups):
    with engine.connect("host") as c:
        r = c.start("sleep", "1000", limits={"processes": 20, "memory_bytes": LIMIT})
        assert layer(r)["note"] == "v1 memory, pids"
        for controller in ("memory", "pids"):
            assert below(base_of(engine, controller) / "cmds") == {r["id"]}
        c.kill(r["id"])
    assert settle(engine) == set()


# What is left


def test_a_hundred_at_once_leave_nothing(engine, client, groups):
    ids = [client.start("sleep", "1000", limits={"memory_bytes": 64 * MIB})["id"]
           for _ in range(100)]
    cmds = base_of(engine) / "cmds"
    assert below(cmds) == set(ids)
    for i in ids:
        client.kill(i)
    assert settle(engine) == set()
    engine.stop()
    assert not base_of(engine).exists()


def test_the_next_engine_removes_what_the_last_one_left(engine, backend, groups):
    """One command ends while there is no engine, one lives on and is adopted."""
    os.mkfifo(engine.workspace / "go")
    os.chmod(engine.workspace / "go", 0o666)
    with engine.connect(backend) as c:
        short = c.start("sh", "-c", "read x <go", limits={"memory_bytes": LIMIT})
        long = c.start("sleep", "1000", limits={"memory_bytes": LIMIT})
        pid = c.call("process.stats", {"id": short["id"]})["pid"]
    cmds = base_of(engine) / "cmds"
    engine.kill9()
    with open(engine.workspace / "go", "wb", buffering=0) as f:
        f.write(b"\n")
    assert engines.wait_gone([pid]) == []
    assert below(cmds) == {short["id"], long["id"]}
    (cmds / "p_0123456789abcdef0123456789").mkdir()  # of a start that came to nothing
    (cmds / "s_0123456789abcdef0123456789" / "p_0123").mkdir(parents=True)
    engine.start()
    with engine.connect(backend) as c:
        assert c.wait(short["id"])["exit_code"] == 0
        engines.settle_files(cmds, len(os.listdir(cmds)) - len(below(cmds)) + 1)
        assert below(cmds) == {long["id"]}
        c.kill(long["id"])
    assert settle(engine) == set()
    engine.stop()
    assert not base_of(engine).exists()


def test_an_engine_that_starts_elsewhere_goes_on_where_groups_are(engine, groups, native):
    """As from another session: its own group is not that of the engine before it."""
    mount, own = mount_of("memory"), own_group("memory")
    elsewhere = pathlib.Path(f"{mount}{own}") / f"proctor-test-{os.getpid()}"
    base = base_of(engine)
    with engine.connect("native") as c:
        old = c.start("sleep", "1000", limits={"memory_bytes": LIMIT})
    engine.kill9()
    elsewhere.mkdir()
    try:
        engine.as_user = lambda: {
            "preexec_fn": lambda: (elsewhere / "tasks").write_text("0")}
        engine.start()
        assert own_group("memory", engine.pid).endswith(elsewhere.name)
        with engine.connect("native") as c:
            new = c.start("sleep", "1000", limits={"memory_bytes": LIMIT})
            assert below(base / "cmds") == {old["id"], new["id"]}
            assert new["cgroup_path"] == own_group("memory", c.call(
                "process.stats", {"id": new["id"]})["pid"])
            for r in (old, new):
                c.kill(r["id"])
        engine.stop()
        assert not base.exists()
        # Nothing is left there: the next one begins where it is.
        engine.start()
        with engine.connect("native") as c:
            r = c.run("true", limits={"memory_bytes": LIMIT})
            assert elsewhere.name in r["cgroup_path"]
        engine.stop()
        assert below(elsewhere) == set()
    finally:
        left = engines.settle(engines.is_ours)
        # A group has its dead until somebody reaps them; here that is the test.
        engines.reap_orphans({engine.pid})
        engine.proc.wait(engines.PATIENCE)
        elsewhere.rmdir()
    assert left == []


def test_a_start_that_fails_leaves_no_group(engine, client, groups):
    r = client.run("/does/not/exist", limits={"memory_bytes": LIMIT})
    assert r["reason"] == "start_failed" and r["oom"] is None
    assert settle(engine) == set()


def test_an_engine_leaves_other_groups_alone(make_engine, groups):
    """Two engines, one place: each has a base of its own, and ends without the other's."""
    a, b = make_engine("a").start(), make_engine("b").start()
    with a.connect("native") as ca, b.connect("native") as cb:
        ra = ca.start("sleep", "1000", limits={"memory_bytes": LIMIT})
        rb = cb.start("sleep", "1000", limits={"memory_bytes": LIMIT})
        assert base_of(a) != base_of(b)
        b.restart()
        assert below(base_of(a) / "cmds") == {ra["id"]}
        ca.kill(ra["id"])
    with b.connect("native") as cb:
        cb.kill(rb["id"])
    assert settle(a) | settle(b) == set()
    b.stop()


# A sandbox


def test_a_command_of_a_sandbox_has_its_group_below_that_of_the_sandbox(engine, native, groups):
    with engine.connect("native") as c:
        s = c.call("sandbox.create", {})["id"]
        a, b = (c.start("sleep", "1000", sandbox=s, limits={"memory_bytes": LIMIT})
                for _ in range(2))
        cmds = base_of(engine) / "cmds"
        assert below(cmds) == {s} and below(cmds / s) == {a["id"], b["id"]}
        big = c.call("process.run", {"argv": eat(200), "sandbox": s,
                                     "limits": {"memory_bytes": LIMIT}})
        assert big["reason"] == "oom" and big["cgroup_path"].endswith(f"/{s}/{big['id']}")
        for r in (a, b):
            assert c.call("process.stats", {"id": r["id"]})["state"] == "running"
            c.kill(r["id"])
        c.call("sandbox.destroy", {"id": s, "grace_ms": 0})
    assert settle(engine) == set()


def test_keepers_made_ahead_of_need_take_a_group_along(engine, native, groups):
    """From the third on of one plan; each has its own limit."""
    with engine.connect("native") as c:
        for i in range(6):
            limit = (32 + i) * MIB
            r = c.call("process.run", {"argv": eat(200), "limits": {"memory_bytes": limit}})
            assert (r["reason"], r["oom"]["limit_bytes"]) == ("oom", limit)
            r = c.run("true")
            assert r["cgroup_path"] is None and r["exit_code"] == 0
        assert c.call("daemon.status")["prepared_keepers"] > 0
    assert settle(engine) == set()


# Where there are none


ORDINARY = 65534


@pytest.fixture
def ordinary(make_engine, as_root):
    """An engine of a user who may make no groups."""
    own = f"{mount_of('memory')}{own_group('memory')}" if mount_of("memory") else None
    if own and os.stat(own).st_uid == ORDINARY:
        pytest.skip("cgroups: this group is the ordinary user's own")
    eng = make_engine("u", user=ORDINARY)
    os.chown(eng.base, ORDINARY, ORDINARY)
    return eng


def write_profile(eng, optional):
    d = eng.base / ".config" / "proctor" / "profiles"
    d.mkdir(parents=True)
    (d / "default.yaml").write_text(f"""\
doc: A test's.
backend: host
network: {{mode: host}}
environment: {{path: caller}}
limits: {{memory_bytes: 100000000}}
optional: {optional}
""")
    for path in (eng.base / ".config", d.parent, d, d / "default.yaml"):
        os.chown(path, ORDINARY, ORDINARY)
        path.chmod(0o700 if path.is_dir() else 0o600)


def test_a_limit_of_an_optional_layer_is_left_out_and_told(ordinary):
    write_profile(ordinary, "[cgroup]")
    ordinary.start()
    with ordinary.connect(profiles=["default"]) as c:
        r = c.run("true")
        assert r["exit_code"] == 0 and r["cgroup_path"] is None
        assert layer(r)["state"] == "absent"
        assert "cannot be written" in layer(r)["why"] or "version" in layer(r)["why"]
        # What a call asks for is never left out.
        e = c.refused("process.run", {"argv": ["true"], "limits": {"memory_bytes": LIMIT}})
        assert (e.code, e.field) == ("unsupported", "limits.memory_bytes")
        assert "layer cgroup" in e.message and "doctor" in e.message


def test_a_limit_that_is_not_optional_is_refused(ordinary):
    write_profile(ordinary, "[]")
    ordinary.start()
    with ordinary.connect(profiles=["default"]) as c:
        e = c.refused("process.run", {"argv": ["true"]})
        assert (e.code, e.field) == ("unsupported", "limits.memory_bytes")


def test_the_doctor_says_which_controllers_there_are(engine, groups):
    with engine.connect() as c:
        row = next(x for x in c.call("daemon.doctor")["checks"] if x["name"] == "control groups")
    assert row["state"] == "ok" and "memory, pids" in str(row), row


def test_the_doctor_says_why_there_are_none(ordinary):
    ordinary.start()
    with ordinary.connect() as c:
        row = next(x for x in c.call("daemon.doctor")["checks"] if x["name"] == "control groups")
    assert row["state"] != "ok" and "written" in str(row) or "version" in str(row), row
    assert "limits.memory_bytes" in str(row)
