# SPDX-License-Identifier: Apache-2.0
"""What a hello has fixed, no later call of that connection widens."""

import os
import pathlib
import tempfile
import threading
import time

import pytest

import wire
from fixtures import (being, connect, home_for, refused_or_not_started,  # noqa: F401
                      shared_engine, whose)


@pytest.fixture
def c(shared_engine, backend):  # noqa: F811
    with connect(shared_engine, backend) as connection:
        yield connection


def make_dir(eng, path):
    """A directory that belongs to the engine's user."""
    path.mkdir(exist_ok=True)
    if eng.user is not None:
        os.chown(path, eng.user, eng.user)
    return path


@pytest.mark.parametrize("cwd", ["/", "..", "../x", "/etc", "/tmp", "sub/../..", "sub/../../etc",
                                 "/proc/self/root", "//", "."+"/.."])
def test_cwd_stays_in_the_workspace(c, shared_engine, cwd):  # noqa: F811
    make_dir(shared_engine, shared_engine.workspace / "sub")
    e = c.refused("process.run", {"argv": ["touch", "/tmp/never"], "cwd": cwd})
    assert (e.code, e.field) == ("invalid_input", "cwd"), e


def test_a_name_that_only_begins_alike_is_outside(c, shared_engine):  # noqa: F811
    make_dir(shared_engine, shared_engine.base / "ws-other")
    e = c.refused("process.run", {"argv": ["true"], "cwd": f"{shared_engine.workspace}-other"})
    assert (e.code, e.field) == ("invalid_input", "cwd"), e


def test_cwd_inside_works(c, shared_engine):  # noqa: F811
    sub = make_dir(shared_engine, shared_engine.workspace / "sub")
    for cwd in ("sub", "./sub", str(sub), "sub/../sub"):
        r = c.run("pwd", cwd=cwd)
        assert r.out.decode().strip() == str(sub), (cwd, r.out, r.err)


@pytest.mark.parametrize("to", ["/", "/etc", "..", "../..", "/proc/self/cwd"])
def test_a_link_in_the_workspace_is_no_way_out(c, shared_engine, to):  # noqa: F811
    link = shared_engine.workspace / "way-out"
    link.unlink(missing_ok=True)
    link.symlink_to(to)
    mark = shared_engine.workspace / "it-ran"
    assert refused_or_not_started(c, argv=["touch", str(mark)], cwd="way-out") in (
        "cwd", "invalid_input")
    assert not mark.exists()


@pytest.mark.limit(60)
def test_a_rename_at_the_wrong_moment_is_no_way_out(c, shared_engine):  # noqa: F811
    ws = pathlib.Path(tempfile.mkdtemp(dir=shared_engine.workspace))
    make_dir(shared_engine, ws)
    link, spare = ws / "flip", ws / "flip-real"
    make_dir(shared_engine, spare)
    link.symlink_to("/etc")
    stop = threading.Event()
    swaps = 0

    def swap():
        nonlocal swaps
        third = ws / "flip-third"
        while not stop.is_set():
            os.rename(link, third)
            os.rename(spare, link)
            os.rename(third, spare)
            swaps += 1

    t = threading.Thread(target=swap)
    t.start()
    inside = outside = 0
    try:
        for _ in range(40):
            r = c.run("sh", "-c", "pwd -P; stat -c %i .", cwd=str(link))
            if r["reason"] == "start_failed":
                outside += 1
                assert r["start_error"]["stage"] == "cwd", dict(r)
                continue
            inside += 1
            assert r.out.decode().startswith(str(ws)), r.out
    finally:
        stop.set()
        t.join()
    assert swaps > 10 and inside + outside == 40


def test_a_workspace_that_was_exchanged_is_not_followed(shared_engine, backend):  # noqa: F811
    ws = make_dir(shared_engine, shared_engine.base / "ws-swap")
    other = make_dir(shared_engine, shared_engine.base / "other-swap")
    with connect(shared_engine, backend, workspace=str(ws)) as c:
        assert c.run("touch", "one")["exit_code"] == 0
        moved = shared_engine.base / "ws-moved"
        os.rename(ws, moved)
        for replacement in ("link", "directory"):
            if replacement == "link":
                ws.symlink_to(other)
            else:
                ws.unlink()
                make_dir(shared_engine, ws)
            try:
                r = c.call("process.run", {"argv": ["touch", f"two-{replacement}"]})
            except wire.Refused as e:
                assert e.code in ("invalid_input", "conflict", "unavailable", "denied",
                                  "not_found"), e
            else:
                assert r["reason"] in ("start_failed", "exited")
            assert os.listdir(other) == []
            if not ws.is_symlink():
                assert os.listdir(ws) == []
        os.rmdir(ws)
        os.rename(moved, ws)
    assert sorted(os.listdir(ws))[0] == "one"
    for name in os.listdir(ws):
        (ws / name).unlink()
    os.rmdir(ws)
    os.rmdir(other)


def test_a_profile_that_the_hello_did_not_name(shared_engine, native):  # noqa: F811
    with connect(shared_engine, "native") as c:
        e = c.refused("process.run", {"argv": ["true"], "profile": "trusted-host"})
        assert e.code in ("denied", "invalid_input") and e.field == "profile", e
        e = c.refused("sandbox.create", {"profile": "trusted-host"})
        assert e.code in ("denied", "invalid_input", "unsupported") and e.field == "profile", e
        r = c.run("true")
        assert r["profile"] == "default" and r["isolation"]["backend"] == "native"


def test_the_profile_may_be_named_that_it_has(c, backend):
    name = {"native": "default", "host": "trusted-host"}[backend]
    assert c.run("true", profile=name)["profile"] == name


def test_without_a_word_it_is_not_the_host(shared_engine, native):  # noqa: F811
    with connect(shared_engine, None) as c:
        assert c.run("true")["isolation"]["backend"] == "native"
        assert c.refused("process.run", {"argv": ["true"], "profile": "trusted-host"}).field \
            == "profile"


def test_a_second_hello_closes_the_connection(shared_engine, backend):  # noqa: F811
    with connect(shared_engine, backend) as c:
        c.send(wire.HELLO, 0, {"version": 1, "client": "again", "workspace": "/",
                               "profiles": ["trusted-host"], "allow_wide": True})
        with pytest.raises((wire.Gone, wire.Refused)):
            f = c.recv()
            assert "error" in f.json, f
            raise wire.Refused(f.json["error"])
        with pytest.raises(wire.Gone):
            while True:
                c.recv()
    with connect(shared_engine, backend) as c:
        assert c.run("true")["exit_code"] == 0


def test_no_call_names_another_workspace(c, shared_engine):  # noqa: F811
    other = make_dir(shared_engine, shared_engine.base / "other-ws")
    e = c.refused("process.run", {"argv": ["true"], "workspace": str(other)})
    assert e.code == "invalid_input", e


@pytest.mark.parametrize("where", ["/", "parent", "other", "link", "/etc"])
def test_no_sandbox_gets_another_workspace(shared_engine, native, where):  # noqa: F811
    other = make_dir(shared_engine, shared_engine.base / "other-ws")
    link = shared_engine.workspace / "link-to-other"
    link.unlink(missing_ok=True)
    link.symlink_to(other)
    path = {"parent": shared_engine.base, "other": other, "link": link}.get(where, where)
    with connect(shared_engine, "native") as c:
        e = c.refused("sandbox.create", {"workspace": str(path)})
        assert e.code in ("invalid_input", "denied"), e
        assert c.call("sandbox.list")["sandboxes"] == []


def test_no_sandbox_of_another_workspace_can_be_joined(shared_engine, native):  # noqa: F811
    other = make_dir(shared_engine, shared_engine.base / "other-ws")
    with connect(shared_engine, "native") as mine, \
         connect(shared_engine, "native", workspace=str(other)) as theirs:
        box = mine.call("sandbox.create")
        try:
            e = theirs.refused("process.run", {"argv": ["touch", "x"], "sandbox": box["id"]})
            assert e.code in ("denied", "invalid_input", "not_found"), e
            assert not (shared_engine.workspace / "x").exists()
            assert mine.run("true", sandbox=box["id"])["exit_code"] == 0
        finally:
            assert mine.call("sandbox.destroy", {"id": box["id"]})["gone"]


@pytest.mark.parametrize("name,most", [("processes", 50), ("open_files", 64),
                                       ("file_bytes", 4096), ("lifetime_ms", 60000)])
def test_limits_are_never_above_the_hello(shared_engine, backend, name, most):  # noqa: F811
    if backend == "host" and name == "processes":
        pytest.skip("host backend: it cannot count the processes of one command")
    with connect(shared_engine, backend, limits={name: most}) as c:
        e = c.refused("process.run", {"argv": ["true"], "limits": {name: most + 1}})
        assert e.code in ("invalid_input", "denied") and name in (e.field or ""), e
        assert c.run("true", limits={name: most - 1})["exit_code"] == 0
        if name == "open_files":
            # Not asked for: then the ceiling's own counts.
            assert int(c.sh("ulimit -n").out) <= most


def test_operations_are_those_of_the_hello(shared_engine, backend):  # noqa: F811
    with connect(shared_engine, backend, operations=["process.list", "daemon.status"]) as c:
        assert c.call("process.list")["processes"] == []
        for op, params in (("process.run", {"argv": ["true"]}), ("sandbox.create", {}),
                           ("process.start", {"argv": ["true"]})):
            assert c.refused(op, params).code == "denied"


@pytest.mark.parametrize("workspace", ["/", "home"])
def test_wide_workspaces_are_refused_unless_named_by_hand(shared_engine, backend,  # noqa: F811
                                                          workspace):
    import pwd
    if workspace == "home":
        try:
            workspace = pwd.getpwuid(shared_engine.user or os.geteuid()).pw_dir
        except KeyError:
            pytest.skip("home: the user has no entry in the password file")
        if workspace == "/":
            pytest.skip("home: it is /")
    with pytest.raises(wire.Refused) as info:
        connect(shared_engine, backend, workspace=workspace)
    assert info.value.code in ("invalid_input", "denied"), info.value
    assert "workspace" in str(info.value)


def test_the_root_directory_is_no_native_workspace_by_any_hand(shared_engine, native):  # noqa: F811
    with pytest.raises(wire.Refused) as info:
        connect(shared_engine, "native", workspace="/", allow_wide=True).run("true")
    assert "workspace" in str(info.value)


@pytest.mark.parametrize("workspace", ["/nonexistent/x", "relative", "", "/etc/passwd", "a\0b"])
def test_workspaces_that_are_none(shared_engine, backend, workspace):  # noqa: F811
    with pytest.raises(wire.Refused) as info:
        connect(shared_engine, backend, workspace=workspace)
    assert info.value.code in ("invalid_input", "not_found", "denied"), info.value
    assert "workspace" in str(info.value)


def test_a_workspace_is_opened_with_its_users_rights(shared_engine, backend,  # noqa: F811
                                                     shared_place):
    if shared_engine.user is None:
        pytest.skip("an ordinary engine beside a root that owns the directory: this one is root's")
    closed = shared_place / "closed"
    (closed / "in").mkdir(mode=0o777, parents=True, exist_ok=True)
    closed.chmod(0o700)
    with pytest.raises(wire.Refused) as info:
        connect(shared_engine, backend, workspace=str(closed / "in"))
    assert info.value.code in ("invalid_input", "denied", "not_found"), info.value


def test_unknown_profiles_are_refused_in_the_hello(shared_engine):  # noqa: F811
    with pytest.raises(wire.Refused) as info:
        connect(shared_engine, None, profiles=["no-such-profile"])
    assert info.value.code in ("invalid_input", "not_found") and "no-such" in str(info.value)


@pytest.mark.usefixtures("as_root")
def test_other_users_are_not_let_in(shared_engine):  # noqa: F811
    # The directory is closed to them; a socket that was passed on must be too.
    shared_engine.runtime.chmod(0o755)
    shared_engine.base.chmod(0o755)
    mode = shared_engine.socket.stat().st_mode & 0o777
    try:
        assert mode == 0o600
        shared_engine.socket.chmod(0o666)
        with being(1501):
            c = wire.Connection(wire.dial(shared_engine.socket))
        with c:
            begin = time.monotonic()
            with pytest.raises((wire.Refused, wire.Gone)) as info:
                # It may be closed before a byte was read.
                c.send(wire.HELLO, 0, {"version": 1, "client": "stranger"})
                f = c.recv()
                raise wire.Refused(f.json["error"])
            if info.type is wire.Refused:
                assert info.value.code == "unauthenticated"
            with pytest.raises(wire.Gone):
                while True:
                    c.recv()
            assert time.monotonic() - begin < 9, "closed only by the hello's time limit"
    finally:
        shared_engine.socket.chmod(mode)
        shared_engine.base.chmod(0o700)
        shared_engine.runtime.chmod(0o700)
