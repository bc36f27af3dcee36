# SPDX-License-Identifier: Apache-2.0
"""
fixtures - what the tests of isolation share beyond conftest

whose           "root" and "user": the engine runs as root, and as an ordinary user
shared_engine   conftest's, once for each of the two
probe           path of probe.c's program, copied into a workspace by put_probe()

Import the names that a test file uses; an imported shared_engine takes the place
of conftest's. The connection is made as the engine's user: root may talk to
everybody's engine, and what is tested here must hold for that user himself.
"""

import contextlib
import os
import pathlib
import shutil
import subprocess
import tempfile

import pytest

import engine as engines
import wire
from conftest import finish

ORDINARY = 1500
HERE = pathlib.Path(__file__).parent


@contextlib.contextmanager
def being(uid):
    """The test acts as uid (None: as it is) where credentials are looked at."""
    if uid is None:
        yield
        return
    gid, groups = os.getegid(), os.getgroups()
    os.setgroups([])
    os.setegid(uid)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(gid)
        os.setgroups(groups)


def connect(eng, backend="native", **hello):
    """engine.connect() as the engine's own user."""
    with being(eng.user):
        return eng.connect(backend, **hello)


def reachable_programs(uid):
    """The folder of programs; a copy of it if that user cannot get there."""
    there = engines.bindir().resolve()
    with being(uid):
        if os.access(there / "proctord", os.X_OK, effective_ids=True):
            return there, None
    copy = pathlib.Path(tempfile.mkdtemp(prefix="proctor-bin-"))
    copy.chmod(0o755)
    for name in ("proctor", "proctord", "proctor-keeper"):
        shutil.copy2(there / name, copy / name)
    return copy, copy


@pytest.fixture(scope="module", params=["root", "user"])
def whose(request):
    if os.geteuid() != 0:
        if request.param == "root":
            pytest.skip("root: the tests run as an ordinary user")
        yield None
        return
    if request.param == "root":
        yield None
        return
    old = os.environ["PROCTOR_BIN"]
    path, copy = reachable_programs(ORDINARY)
    os.environ["PROCTOR_BIN"] = str(path)
    yield ORDINARY
    os.environ["PROCTOR_BIN"] = old
    if copy:
        shutil.rmtree(copy, ignore_errors=True)


# What the engine's own environment holds and no command may see.
SECRETS = {"AWS_SECRET_ACCESS_KEY": "hidden", "PROCTOR_TEST_SECRET": "hidden",
           "LD_LIBRARY_PATH": "/nonexistent", "BASH_ENV": "/nonexistent/env"}


def home_for(place, whose, name="e"):
    base = place / name
    base.mkdir(mode=0o700)
    if whose is not None:
        os.chown(base, whose, whose)
    return base


@pytest.fixture(scope="module")
def shared_engine(whose, shared_place):
    base = home_for(shared_place, whose, f"e{whose or 0}")
    eng = engines.Engine(base, user=whose, env=SECRETS).start()
    yield eng
    finish(eng)


@pytest.fixture(scope="session")
def probe(tmp_path_factory):
    to = tmp_path_factory.mktemp("probe") / "probe"
    cc = os.environ.get("CC", "gcc").split()
    subprocess.run([*cc, "-std=gnu17", "-D_GNU_SOURCE", "-O1", "-static", "-o", str(to),
                    str(HERE / "probe.c")], check=True)
    return to


def put_probe(probe, eng, workspace=None):
    """Its path below the workspace of an engine, for its user to run."""
    to = (workspace or eng.workspace) / "probe"
    if not to.exists():
        shutil.copyfile(probe, to)
        to.chmod(0o755)
        if eng.user is not None:
            os.chown(to, eng.user, eng.user)
    return "./probe"


def lines(out):
    """What the probe said: {name: verdict}."""
    return dict(line.split(" ", 1) for line in out.decode().splitlines() if " " in line)


def status_of(text):
    """/proc/PID/status as a dict of its rows."""
    rows = (line.split(":", 1) for line in text.splitlines() if ":" in line)
    return {k: v.strip() for k, v in rows}


def read_status(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as f:
        return status_of(f.read())


def refused_or_not_started(c, **params):
    """
    A run that must not happen: an error of the call, or a record that says
    start_failed. Returns the code, or the stage of the failure.
    """
    try:
        r = c.call("process.run", params)
    except wire.Refused as e:
        return e.code
    assert r["reason"] == "start_failed", f"it ran: {dict(r)!r} {r.out!r}"
    assert r["exit_code"] is None and r["start_error"]["stage"], dict(r)
    return r["start_error"]["stage"]
