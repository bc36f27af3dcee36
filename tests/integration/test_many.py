# SPDX-License-Identifier: Apache-2.0
"""Many commands at once: none is lost, and what they cost comes back."""

import os

import pytest

import engine as engines

WINDOW = 32  # calls in flight; the engine takes 64 of a connection


def windows(c, calls):
    """Makes all calls, some at a time; their replies in order."""
    replies, waiting = [], []
    for op, params in calls:
        waiting.append(c.begin(op, params))
        if len(waiting) == WINDOW:
            replies.append(c.end(waiting.pop(0), 60))
    replies += [c.end(n, 60) for n in waiting]
    return replies


def all_ids(c, state):
    """Every id that process.list gives, page by page."""
    found, cursor = [], None
    while True:
        params = {"state": state, "limit": 64}
        if cursor:
            params["cursor"] = cursor
        r = c.call("process.list", params)
        found += [p["id"] for p in r["processes"]]
        cursor = r["next_cursor"]
        if not cursor:
            return found


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def round_of(c, n):
    started = windows(c, [("process.start", {"argv": ["sh", "-c", "echo number $0; read x; exit 9",
                                                      str(i)], "stdin": {"open": True}})
                          for i in range(n)])
    ids = [r["id"] for r in started]
    assert len(set(ids)) == n
    for i, id_ in enumerate(ids):
        out, _ = c.read_until(id_, b"\n")
        assert out == f"number {i}\n".encode()
    running = all_ids(c, "running")
    assert sorted(running) == sorted(ids), "the listing differs from what runs"
    assert c.call("daemon.status")["live"] == n
    # The first half ends; the listing follows.
    half = ids[: n // 2]
    windows(c, [("process.write", {"id": i, "data": "\n", "close": True}) for i in half])
    ends = windows(c, [("process.wait", {"id": i, "for": "empty"}) for i in half])
    assert {(e["exit_code"], e["reason"], e["live"]) for e in ends} == {(9, "exited", 0)}
    assert sorted(all_ids(c, "running")) == sorted(ids[n // 2:])
    assert set(half) <= set(all_ids(c, "all"))
    rest = ids[n // 2:]
    windows(c, [("process.kill", {"id": i, "signal": "SIGKILL"}) for i in rest])
    ends = windows(c, [("process.wait", {"id": i, "for": "empty"}) for i in rest])
    assert {(e["reason"], e["live"]) for e in ends} == {("killed", 0)}
    assert all_ids(c, "running") == []
    windows(c, [("process.release", {"id": i}) for i in ids])
    assert all_ids(c, "all") == []


@pytest.mark.limit(180)
def test_many_commands_at_once(engine, backend, everything):
    n = 500 if everything else 200
    with engine.connect(backend) as c:
        round_of(c, n // 4)
        fds, memory = descriptors(engine.pid), engines.memory_kib(engine.pid)
        keepers = {p.pid for p in engine.keepers()}
        round_of(c, n)
        assert c.call("daemon.status")["live"] == 0
        # A few boxes made ahead of need and prepared keepers come and go.
        assert abs(descriptors(engine.pid) - fds) <= 16
        # AddressSanitizer keeps up to 256 MiB of freed memory in quarantine.
        bound = 320 * 1024 if engines.sanitized() else 4096
        assert engines.memory_kib(engine.pid) - memory <= bound, "KiB that did not come back"
        left = engines.settle(lambda p: p.comm.startswith("proctor-keeper")
                              and p.pid not in keepers, 2)
        assert len(left) <= 8, left
        # They are unlinked some at a time, when the engine has nothing else to do.
        boxes = engines.settle_files(engine.state / "boxes", 16)
        assert len(boxes) <= 16, "boxes of released commands are still there"


@pytest.mark.limit(120)
def test_many_at_once_over_many_connections(engine, backend):
    peers = [engine.connect(backend) for _ in range(20)]
    try:
        calls = [(c, c.begin("process.run", {"argv": ["sh", "-c", "echo $0", f"{i} {j}"]}), i, j)
                 for i, c in enumerate(peers) for j in range(5)]
        for c, call, i, j in calls:
            r = c.end(call, 60)
            assert r.out == f"{i} {j}\n".encode() and r["exit_code"] == 0
    finally:
        for c in peers:
            c.close()
    with engine.connect(backend) as c:
        assert len(all_ids(c, "all")) == 100
