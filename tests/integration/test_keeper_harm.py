# SPDX-License-Identifier: Apache-2.0
"""A command cannot harm its keeper, which is process 1 of its namespace and of its own uid."""

import os
import re

import pytest

import engine as engines
from fixtures import (connect, lines, probe, put_probe, read_status,  # noqa: F401
                      shared_engine, whose)

pytestmark = pytest.mark.usefixtures("native")

# What is not named must be refused with one of these.
REFUSED = {"EPERM", "EACCES"}
OTHERS = {
    "mrelease": {"EPERM", "EACCES", "EINVAL", "ENOSYS"},  # it is not dying
    "setpgid_1": {"EPERM", "EACCES", "ESRCH"},
    "core_sched_1": {"EPERM", "EACCES", "EINVAL", "ENODEV", "ESRCH"},
    "kcmp_1": {"EPERM", "EACCES", "ENOSYS"},
    "migrate_1": {"EPERM", "EACCES", "ENOSYS", "EINVAL"},
    "move_1": {"EPERM", "EACCES", "ENOSYS"},
    "madvise_remote": {"EPERM", "EACCES", "ENOSYS"},
    # Files that a kernel may not have.
    "sched_write": {"EPERM", "EACCES", "ENOENT"},
    "autogroup_write": {"EPERM", "EACCES", "ENOENT"},
    "clear_refs_write": {"EPERM", "EACCES", "ENOENT"},
}


@pytest.fixture
def c(shared_engine):  # noqa: F811
    with connect(shared_engine) as connection:
        yield connection


def held(c, shared_engine, probe, *what, **params):  # noqa: F811
    """
    A shell that runs the probe after a first line of input, and exits with 7 after
    a second. Returns the record and the keeper's pid.
    """
    prog = put_probe(probe, shared_engine)
    r = c.start("sh", "-c", f"echo ready; read x; {prog} {' '.join(what)}; echo done; "
                "read x; exit 7", stdin={"open": True}, **params)
    c.read_until(r["id"], b"ready\n")
    r = c.call("process.stats", {"id": r["id"]})
    keeper = engines.Process(r["pid"]).ppid
    assert engines.Process(keeper).comm.startswith("proctor-keeper")
    return r, keeper


def go_on(c, r):
    c.call("process.write", {"id": r["id"], "data": "\n"})


def facts(pid):
    """What could have been changed of a process, as the host sees it."""
    with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
        rest = f.read().rpartition(")")[2].split()
    with open(f"/proc/{pid}/oom_score_adj", encoding="utf-8") as f:
        oom = f.read()
    try:
        with open(f"/proc/{pid}/limits", encoding="utf-8") as f:
            limits = f.read()
    except PermissionError:  # undumpable, and the test runs as an ordinary user
        limits = None
    st = read_status(pid)
    return {
        "state": rest[0] in "SR", "pgrp": rest[2], "session": rest[3],
        "priority": rest[15], "nice": rest[16], "threads": rest[17],
        "rt_priority": rest[37], "policy": rest[38],
        "oom": oom, "limits": limits, "affinity": os.sched_getaffinity(pid),
        "tracer": st["TracerPid"], "uid": st["Uid"], "name": st["Name"],
        "caps": st["CapEff"], "seccomp": st["Seccomp"],
    }


def test_every_attempt_is_refused_and_changes_nothing(c, shared_engine, probe):  # noqa: F811
    r, keeper = held(c, shared_engine, probe, "harm")
    before = facts(keeper)
    go_on(c, r)
    out, _ = c.read_until(r["id"], b"done\n")
    found = lines(out)
    wrong = {n: v for n, v in found.items() if v not in OTHERS.get(n, REFUSED)}
    assert len(found) > 50 and wrong == {}
    assert facts(keeper) == before
    go_on(c, r)
    end = c.wait(r["id"], "empty")
    assert (end["reason"], end["exit_code"]) == ("exited", 7)


def test_no_signal_reaches_it(c, shared_engine, probe):  # noqa: F811
    r, keeper = held(c, shared_engine, probe, "signals")
    before = facts(keeper)
    go_on(c, r)
    out, _ = c.read_until(r["id"], b"done\n")
    assert b"sent\n" in out
    assert facts(keeper) == before
    now = c.call("process.stats", {"id": r["id"]})
    assert now["state"] == "running" and now["reason"] is None
    go_on(c, r)
    end = c.wait(r["id"], "empty")
    assert (end["reason"], end["exit_code"]) == ("exited", 7)


def test_its_timers_fire_after_all_that(c, shared_engine, probe):  # noqa: F811
    prog = put_probe(probe, shared_engine)
    r = c.sh(f"{prog} signals; {prog} harm >/dev/null; trap '' TERM; sleep 1000 & wait; wait; "
             "sleep 1000", timeout_ms=1500, grace_ms=100)
    assert r["reason"] == "timeout"
    assert c.wait(r["id"], "empty")["live"] == 0


def test_kill_9_of_process_1_by_the_shell(c):
    r = c.sh("kill -9 1; kill -STOP 1; echo alive; exit 3")
    assert (r.out, r["exit_code"], r["reason"]) == (b"alive\n", 3, "exited")


def test_kill_of_everything_ends_the_command_alone(c):
    # kill -1 reaches all but process 1 and the caller, who goes last.
    r = c.run("/usr/bin/python3", "-c", "import os, signal\n"
              "if os.fork() == 0: signal.pause()\n"
              "print('before', flush=True)\n"
              "os.kill(-1, signal.SIGKILL)\nos.kill(os.getpid(), signal.SIGKILL)\n")
    assert r.out == b"before\n"
    assert (r["reason"], r["signal"]) == ("signaled", "SIGKILL")
    assert c.wait(r["id"], "empty")["live"] == 0


def test_orphans_and_zombies_without_number_do_not_upset_it(c):
    r = c.sh("i=0; while [ $i -lt 300 ]; do (true & true &) ; i=$((i + 1)); done; echo end; exit 4")
    assert (r.out, r["exit_code"]) == (b"end\n", 4)
    assert c.wait(r["id"], "empty")["live"] == 0


def test_low_limits_of_the_command_are_not_the_keepers(c, shared_engine, probe):  # noqa: F811
    r, keeper = held(c, shared_engine, probe, "harm", "prlimit_get",
                     limits={"open_files": 16, "file_bytes": 0, "cpu_seconds": 1})
    go_on(c, r)
    # The ring grows although the command itself may write no file.
    out, _ = c.read_until(r["id"], b"done\n")
    assert lines(out)["prlimit_get"] in REFUSED
    if os.geteuid() == 0:
        with open(f"/proc/{keeper}/limits", encoding="utf-8") as f:
            text = f.read()
        assert not re.search(r"Max open files\s+16\s", text)
        assert re.search(r"Max file size\s+unlimited", text)
    go_on(c, r)
    assert c.wait(r["id"], "empty")["exit_code"] == 7


ALLOWED = re.compile(r"^(/dev/null|socket:\[\d+\]|pipe:\[\d+\]"
                     r"|anon_inode:\[?(signalfd|eventpoll|timerfd|pidfd|eventfd)\]?|pidfd:.*)$")


def descriptors(pid):
    found = {}
    for n in os.listdir(f"/proc/{pid}/fd"):
        try:
            found[int(n)] = os.readlink(f"/proc/{pid}/fd/{n}")
        except FileNotFoundError:
            continue
    return found


@pytest.mark.usefixtures("as_root")
def test_a_keeper_holds_its_own_descriptors_alone(c, shared_engine, probe):  # noqa: F811
    first, k1 = held(c, shared_engine, probe, "harm", "ptrace_seize")
    second, k2 = held(c, shared_engine, probe, "harm", "ptrace_seize")
    a, b = descriptors(k1), descriptors(k2)
    # The second was made while the first lived: it has nothing of the first.
    box1, box2 = (str(shared_engine.box(r["id"])) for r in (first, second))
    boxes_a = [t for t in a.values() if t.endswith(".box")]
    boxes_b = [t for t in b.values() if t.endswith(".box")]
    assert {os.path.basename(t) for t in boxes_a} == {os.path.basename(box1)}
    assert {os.path.basename(t) for t in boxes_b} == {os.path.basename(box2)}
    other = {t for t in [*a.values(), *b.values()] if not t.endswith(".box") and not ALLOWED.match(t)}
    assert other == set()

    def kinds(table):
        return {n: re.sub(r"\d+", "N", os.path.basename(t) if ".box" not in t else "box")
                for n, t in table.items()}
    assert kinds(a) == kinds(b)
    for table in (a, b):
        assert all(table[i] == "/dev/null" for i in (0, 1, 2)), table
        assert sum(t.startswith("socket:") for t in table.values()) == 2, table  # control, listen
        # stdin, stdout, stderr: one end of each
        assert sum(t.startswith("pipe:") for t in table.values()) == 3, table
    pipes = [{t for t in table.values() if t.startswith("pipe:")} for table in (a, b)]
    assert not pipes[0] & pipes[1]
    for r in (first, second):
        go_on(c, r)
        c.read_until(r["id"], b"done\n")
        go_on(c, r)
        assert c.wait(r["id"], "empty")["exit_code"] == 7


def test_the_keeper_is_in_no_pid_namespace_of_another(c, shared_engine, probe):  # noqa: F811
    r, keeper = held(c, shared_engine, probe, "harm", "ptrace_seize")
    assert read_status(keeper)["NSpid"].split()[-1] == "1"
    st = read_status(keeper)
    assert "0" not in st["Uid"].split(), "a keeper of a sandbox is not the host's root"
    go_on(c, r)
    c.read_until(r["id"], b"done\n")
    go_on(c, r)
    c.wait(r["id"], "empty")
