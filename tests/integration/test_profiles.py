# SPDX-License-Identifier: Apache-2.0
"""
Profiles as files: whose counts, what a bad one does, when a change is in force, and
that what they say is done.
"""

import os
import pathlib
import select
import signal

import pytest

import engine as engines
import wire

HEAD = "doc: a test\nbackend: native\nfilesystem: {read: [/usr, /bin, /lib, /lib64]}\n" \
       "network: {mode: none}\n"
TRUSTED = "doc: a test\nbackend: host\nnetwork: {mode: host}\n"


@pytest.fixture
def profiles(place):
    there = pathlib.Path(place) / "config" / "profiles"
    there.mkdir(parents=True)
    return there


@pytest.fixture
def eng(make_engine, profiles):
    return make_engine(env={"PROCTOR_CONFIG_DIR": str(profiles.parent)}).start()


def put(profiles, name, text):
    path = profiles / f"{name}.yaml"
    path.write_text(text)
    path.chmod(0o644)
    return path


def reload(eng):
    """SIGHUP; returns once the engine has said that it is done, or why not."""
    with eng.connect() as c:
        call = c.begin("events.watch", {"kinds": ["log"]})
        c.call("daemon.status")  # the watcher is there
        os.kill(eng.pid, signal.SIGHUP)
        said = []
        while not said or "profiles" not in said[-1]:
            said.append(c.event(call).json["message"])
        return said


def use(eng, name):
    return eng.connect(profiles=[name])


def test_a_file_takes_the_place_of_what_is_built_in(profiles, eng):
    with use(eng, "default") as c:
        assert c.call("policy.show")["profile"]["origin"] == "built in"
    path = put(profiles, "default", HEAD + "timeout_ms: 12345\n")
    assert reload(eng) == ["profiles read anew"]
    with use(eng, "default") as c:
        shown = c.call("policy.show")["profile"]
        assert (shown["origin"], shown["timeout_ms"]) == (str(path), 12345)
        assert shown["text"] == path.read_text()
        assert c.start("true")["timeout_ms"] == 12345


def test_a_connection_gets_the_new_one_and_a_command_keeps_the_old(profiles, eng, native):
    del native
    put(profiles, "mine", HEAD + "environment: {set: {WHICH: old}}\n")
    reload(eng)
    with use(eng, "mine") as c:
        first = c.start("sh", "-c", "read x; echo $WHICH", stdin={"open": True})
        put(profiles, "mine", HEAD + "environment: {set: {WHICH: new}}\n")
        reload(eng)
        assert c.sh("echo $WHICH").out == b"new\n"
        c.call("process.write", {"id": first["id"], "data": "\n"})
        assert c.wait(first["id"]).out == b"old\n"


def test_a_bad_file_is_told_and_replaces_no_good_one(profiles, eng, native):
    del native
    put(profiles, "mine", HEAD + "environment: {set: {WHICH: good}}\n")
    reload(eng)
    with use(eng, "mine") as c:
        put(profiles, "mine", HEAD + "limits:\n  open_files: 3\n")
        said = reload(eng)
        assert any("mine.yaml:6:3: limits.open_files is 3" in s for s in said), said
        assert c.sh("echo $WHICH").out == b"good\n"


def test_one_that_was_never_good_is_refused_with_its_reason(profiles, eng):
    put(profiles, "default", "doc: [")
    reload(eng)
    eng.restart()
    with pytest.raises(wire.Refused) as refused:
        use(eng, "default")
    assert refused.value.code == "unavailable" and "default.yaml:" in str(refused.value)
    r = eng.cli("run", "--", "true")
    assert r.returncode == 125 and b"default.yaml:" in r.stderr


def test_one_that_is_gone_is_denied(profiles, eng, native):
    del native
    path = put(profiles, "mine", HEAD)
    reload(eng)
    with use(eng, "mine") as c:
        assert c.run("true")["exit_code"] == 0
        path.unlink()
        reload(eng)
        with pytest.raises(wire.Refused) as refused:
            c.run("true")
        assert refused.value.code == "denied"


def test_a_sandbox_keeps_the_profile_that_it_was_made_by(profiles, eng, native):
    del native
    put(profiles, "mine", HEAD + "environment: {set: {WHICH: old}}\n")
    reload(eng)
    with use(eng, "mine") as c, eng.connect(profiles=["mine"], sandbox="own") as own:
        box = c.call("sandbox.create", {})["id"]
        assert own.sh("echo mine >/tmp/here; echo $WHICH").out == b"old\n"
        put(profiles, "mine", HEAD + "environment: {set: {WHICH: new}}\n")
        reload(eng)
        assert c.sh("echo $WHICH").out == b"new\n"
        for named in ({}, {"profile": "mine"}):
            assert c.sh("echo $WHICH", sandbox=box, **named).out == b"old\n"
            assert own.sh("cat /tmp/here; echo $WHICH", **named).out == b"mine\nold\n"
        c.call("sandbox.destroy", {"id": box})


def test_a_sandbox_outlives_its_profile_and_its_engine(profiles, eng, native):
    del native
    path = put(profiles, "mine", HEAD)
    reload(eng)
    with use(eng, "mine") as c:
        box = c.call("sandbox.create", {})["id"]
        r = c.start("sleep", "1000", sandbox=box)
    path.unlink()
    eng.kill9()
    eng.start()
    with eng.connect() as c:
        assert c.call("sandbox.get", {"id": box})["state"] == "running"
        assert c.call("process.stats", {"id": r["id"]})["state"] == "running"
        assert c.refused("process.run", {"argv": ["true"], "sandbox": box}).code == "denied"
        assert c.call("sandbox.destroy", {"id": box})["gone"] is True
        assert c.wait(r["id"])["exited"]


def test_an_untrusted_directory_stops_the_start(profiles, eng):
    eng.stop()
    profiles.chmod(0o777)
    r = eng.spawn()
    try:
        assert select.select([r], [], [], engines.PATIENCE)[0]
        assert os.read(r, 16) == b""
    finally:
        os.close(r)
    assert eng.proc.wait(engines.PATIENCE) != 0
    assert f"{profiles} can be written by others" in eng.errors()


@pytest.mark.parametrize("argv, ok", [
    (["true"], True), (["git", "push"], False), (["/usr/bin/git", "push", "x"], False),
    (["git", "pushed"], True), (["sh", "-c", "git push"], True)])
def test_denied_beginnings(profiles, eng, argv, ok):
    put(profiles, "mine", TRUSTED + "commands: {deny: [[git, push]]}\n")
    reload(eng)
    with use(eng, "mine") as c:
        checked = c.call("policy.check", {"argv": argv})
        assert checked["decision"] == ("allow" if ok else "deny")
        if ok:
            c.run(*argv)
            return
        with pytest.raises(wire.Refused) as refused:
            c.run(*argv)
        assert (refused.value.code, refused.value.field) == ("denied", "argv")
        assert "[git, push]" in str(refused.value)


def test_allowed_beginnings(profiles, eng):
    put(profiles, "mine", TRUSTED + "commands: {allow: [uname, [sh, -c]]}\n")
    reload(eng)
    with use(eng, "mine") as c:
        assert c.run("uname")["exit_code"] == 0
        with pytest.raises(wire.Refused) as refused:
            c.run("false")
        assert refused.value.code == "denied" and "commands.allow" in str(refused.value)
        # What a text says is not seen, only the shell that runs it.
        assert c.sh("false", shell="sh")["exit_code"] == 1
        with pytest.raises(wire.Refused) as refused:
            c.sh("true", shell="bash")
        assert (refused.value.code, refused.value.field) == ("denied", "command")


def test_what_is_not_listed_is_not_shown(profiles, eng, native):
    del native
    put(profiles, "mine", HEAD)
    reload(eng)
    with use(eng, "mine") as c:
        assert c.run("test", "-e", "/etc/passwd")["exit_code"] == 1
    with use(eng, "default") as c:
        assert c.run("test", "-e", "/etc/passwd")["exit_code"] == 0


def test_limits_of_the_profile_hold(eng, native):
    del native
    with use(eng, "strict") as c:
        assert c.sh("ulimit -Hn").out == b"1024\n"
        assert c.sh("ulimit -Hu").out != b"unlimited\n"


def test_a_person_sees_the_file(profiles, eng):
    text = HEAD + "# a comment \x1b[31m\n"
    put(profiles, "mine", text.replace("\x1b", ""))
    reload(eng)
    r = eng.cli("policy", "show", "mine")
    assert r.returncode == 0
    head, rest = r.stdout.decode().split("\n", 1)
    assert head == f"# profile mine, {profiles}/mine.yaml"
    assert rest == text.replace("\x1b", "")
