# SPDX-License-Identifier: Apache-2.0
"""The digests of daemon.status are those of the programs that run and of the profiles."""

import hashlib
import json
import shutil

import engine as engines


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_programs_are_those_that_run(engine):
    with engine.connect() as c:
        d = c.call("daemon.status")["digests"]
        assert d["programs"] == {"proctord": sha256(engines.bindir() / "proctord"),
                                 "proctor-keeper": sha256(engines.bindir() / "proctor-keeper")}
        assert c.call("daemon.status")["digests"] == d


def test_a_replaced_engine_is_not_taken_for_the_running_one(make_engine, place, monkeypatch):
    copies = place / "bin"
    copies.mkdir()
    for name in ("proctor", "proctord", "proctor-keeper"):
        shutil.copy2(engines.bindir() / name, copies / name)
    running = sha256(copies / "proctord")
    monkeypatch.setenv("PROCTOR_BIN", str(copies))
    eng = make_engine().start()
    (copies / "proctord").unlink()
    (copies / "proctord").write_bytes(b"another")
    (copies / "proctor-keeper").unlink()
    with eng.connect() as c:
        assert c.call("daemon.status")["digests"]["programs"] == {"proctord": running,
                                                                 "proctor-keeper": None}


def test_several_who_ask_at_once_get_the_same(engine):
    connections = [engine.connect() for _ in range(6)]
    calls = [(c, c.begin("daemon.status")) for c in connections for _ in range(3)]
    gone = connections.pop()
    gone.close()
    said = {json.dumps(c.end(n)["digests"], sort_keys=True) for c, n in calls if c is not gone}
    assert len(said) == 1 and "null" not in said.pop()
    for c in connections:
        c.close()


def test_every_profile_has_one_of_its_own(engine):
    with engine.connect() as c:
        profiles = c.call("daemon.status")["digests"]["profiles"]
        names = c.call("policy.show")["profiles"]
        assert set(names) <= set(profiles)
    assert len(set(profiles.values())) == len(profiles)
    for text in profiles.values():
        assert len(text) == 64 and int(text, 16)


def test_the_next_engine_says_the_same(engine):
    found = []
    for _ in range(2):
        with engine.connect() as c:
            found.append(c.call("daemon.status")["digests"])
        engine.restart()
    assert found[0] == found[1]


def test_a_key_with_another_request_is_refused(shared_client):
    first = shared_client.call("process.start", {"argv": ["true"], "idempotency_key": "k"})
    again = shared_client.call("process.start", {"argv": ["true"], "idempotency_key": "k"})
    assert again["id"] == first["id"]
    e = shared_client.refused("process.start", {"argv": ["false"], "idempotency_key": "k"})
    assert e.code == "conflict", e
