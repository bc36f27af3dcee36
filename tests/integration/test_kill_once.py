# SPDX-License-Identifier: Apache-2.0
"""A signal that is sent once by process.kill, while its process ends in other ways."""

import os
import signal

import pytest

import engine as engines
import wire

ROUNDS = 60

# How it may end: the signal was sent, or the end was faster.
FASTER = ("conflict", "not_found")


def answered(c, call):
    """What became of it; anything but an answer is a failure."""
    try:
        r = c.end(call)
    except wire.Refused as e:
        assert e.code in FASTER, e
        return e.code
    assert r["sent"] in ("SIGWINCH", None), dict(r)
    return "gone" if r["gone"] else "sent"


def released(c, id_):
    """Releases it as soon as it has ended."""
    c.call("process.wait", {"id": id_, "for": "empty", "wait_ms": 20000})
    c.call("process.release", {"id": id_})


def test_a_release_in_between_hurts_nobody(engine, client):
    with engine.connect() as other:
        for _ in range(ROUNDS):
            id_ = client.start("sh", "-c", "read x", stdin={"open": True})["id"]
            wait = other.begin("process.wait", {"id": id_, "for": "empty", "wait_ms": 20000})
            end = other.begin("process.write", {"id": id_, "data": "x\n", "close": True})
            calls = [client.begin("process.kill", {"id": id_, "signal": "SIGWINCH"})
                     for _ in range(4)]
            other.end(wait)
            try:
                other.end(end)
            except wire.Refused as e:
                assert e.code == "conflict", e
            other.call("process.release", {"id": id_})
            assert {answered(client, n) for n in calls} <= {"sent", "gone", *FASTER}
        assert client.run("true")["exit_code"] == 0


def keeper_of(eng, pid, backend):
    """The keeper of a command: its parent in the host's eyes."""
    parent = engines.Process(engines.Process(pid).pid).ppid
    assert engines.is_ours(engines.Process(parent)), engines.Process(parent)
    return parent


def test_the_keepers_death_in_between_hurts_nobody(engine, client, backend):
    with engine.connect() as other:
        for _ in range(ROUNDS // 3):
            r = client.start("sh", "-c", "echo up; exec sleep 60")
            client.read_until(r["id"], b"up\n")
            pid = client.call("process.stats", {"id": r["id"]})["pid"]
            keeper = keeper_of(engine, pid, backend)
            calls = [client.begin("process.kill", {"id": r["id"], "signal": "SIGWINCH"})
                     for _ in range(2)]
            os.kill(keeper, signal.SIGKILL)
            calls += [client.begin("process.kill", {"id": r["id"], "signal": "SIGWINCH"})
                      for _ in range(2)]
            released(other, r["id"])
            assert {answered(client, n) for n in calls} <= {"sent", "gone", *FASTER}
            if backend == "host":
                os.kill(pid, signal.SIGKILL)  # there it outlives its keeper
        assert client.run("true")["exit_code"] == 0


def test_a_keeper_that_does_not_answer_is_not_said_to_have_sent(engine):
    with engine.connect("host") as c:
        r = c.start("sh", "-c", "trap 'echo heard' HUP; echo up; while :; do read x; done",
                    stdin={"open": True})
        c.read_until(r["id"], b"up\n")
        pid = c.call("process.stats", {"id": r["id"]})["pid"]
        keeper = keeper_of(engine, pid, "host")
        os.kill(keeper, signal.SIGSTOP)
        try:
            e = c.refused("process.kill", {"id": r["id"], "signal": "SIGHUP"})
        finally:
            os.kill(keeper, signal.SIGCONT)
        assert e.code == "timeout" and "does not answer" in e.message, e
        c.kill(r["id"], signal="SIGKILL")
