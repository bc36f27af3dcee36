# SPDX-License-Identifier: Apache-2.0
"""Commands on a terminal of their own."""

import pytest

import engine as engines
import wire


def shell(client, command, **params):
    """A command on a terminal, started; its id."""
    params.setdefault("pty", {"cols": 100, "rows": 30})
    return client.call("process.start", {"command": command, **params})["id"]


def test_it_is_a_terminal_with_a_session(client):
    id_ = shell(client, "test -t 0 && test -t 1 && test -t 2 && echo all; tty; "
                "ps -o pid=,sid=,tpgid= -p $$ 2>/dev/null || cat /proc/$$/stat; "
                "echo got > /dev/tty; stty size")
    end = client.wait(id_, "empty")
    lines = end.out.replace(b"\r", b"").split(b"\n")
    assert lines[0] == b"all"
    assert lines[1].startswith(b"/dev/pts/")
    assert b"got" in lines and b"30 100" in lines
    assert b"\r\n" in end.out, "a terminal turns newlines into CR NL"
    assert end["exit_code"] == 0 and end["stderr_bytes"] == 0


def test_the_shell_leads_its_session(client):
    id_ = shell(client, "cut -d' ' -f1,5,6,7,8 /proc/$$/stat")
    pid, pgrp, sid, tty, tpgid = map(int, client.wait(id_, "empty").out.split())
    assert pid == sid == pgrp == tpgid
    assert tty != 0, "no controlling terminal"


def test_the_default_size(client):
    id_ = shell(client, "stty size", pty={})
    assert client.wait(id_).out == b"24 80\r\n"


def test_a_resize_reaches_the_command(client):
    id_ = shell(client, "trap 'stty size' WINCH; echo ready; while :; do sleep 0.05; done")
    client.read_until(id_, b"ready")
    client.call("process.resize", {"id": id_, "cols": 132, "rows": 43})
    client.read_until(id_, b"43 132")
    for bad in ({"cols": 0, "rows": 5}, {"cols": 5, "rows": 1001}, {"cols": 5}):
        assert client.refused("process.resize", {"id": id_, **bad}).code == "invalid_input"
    assert client.kill(id_, signal="KILL")["gone"] is True
    assert client.refused("process.resize", {"id": id_, "cols": 80, "rows": 24}).code == "conflict"


def test_a_command_without_a_terminal_cannot_be_resized(client):
    id_ = client.start("sleep", "1000")["id"]
    assert client.refused("process.resize", {"id": id_, "cols": 80, "rows": 24}).code == "conflict"
    client.kill(id_, signal="KILL")


def test_input_is_typed_on_the_terminal(client):
    id_ = shell(client, "echo ready; read x; echo \"<$x>\"; cat; echo end", stdin={"open": True})
    client.read_until(id_, b"ready")
    client.call("process.write", {"id": id_, "data": "ab\x7fc\n"})  # erase works: cooked mode
    client.read_until(id_, b"<ac>")
    client.call("process.write", {"id": id_, "data": "line\n"})
    client.read_until(id_, b"line\r\nline\r\n")  # the echo, then cat
    client.call("process.write", {"id": id_, "data": "\x04"})  # end of file
    client.read_until(id_, b"end")
    assert client.wait(id_, "empty")["exit_code"] == 0


def test_interrupt_is_a_key(client):
    id_ = shell(client, "trap 'echo caught; exit 3' INT; echo ready; while :; do sleep 0.05; done",
                stdin={"open": True})
    client.read_until(id_, b"ready")
    client.call("process.write", {"id": id_, "data": "\x03"})
    end = client.wait(id_)
    assert end["exit_code"] == 3 and b"caught" in end.out


def test_attach_shows_what_was_and_what_comes(engine, client, backend):
    id_ = shell(client, "echo before; read x; echo after $x; exit 5", stdin={"open": True})
    client.read_until(id_, b"before")
    with engine.connect(backend) as one, engine.connect(backend) as two:
        a = one.begin("process.attach", {"id": id_, "input": True})
        b = two.begin("process.attach", {"id": id_})
        one.event(a, "output")
        two.event(b, "output")
        one.call("process.write", {"id": id_, "data": "typed\n"})
        last = {}
        for c, call in ((one, a), (two, b)):
            last[c] = c.end(call)
            text = b"".join(e.raw for e in last[c].events if e.kind == "output")
            assert b"after typed" in text
            assert last[c]["exit_code"] == 5


def test_detaching_leaves_the_command_alone(engine, client, backend):
    id_ = shell(client, "echo ready; read x; exit 6", stdin={"open": True})
    with engine.connect(backend) as c:
        c.event(c.begin("process.attach", {"id": id_, "input": True}), "output")
    assert client.call("process.stats", {"id": id_})["state"] == "running"
    client.call("process.write", {"id": id_, "data": "\n"})
    assert client.wait(id_)["exit_code"] == 6


def test_attach_stops_when_cancelled(client):
    id_ = shell(client, "echo ready; read x; exit 6", stdin={"open": True})
    call = client.begin("process.attach", {"id": id_})
    client.event(call, "output")
    client.cancel(call)
    with pytest.raises(wire.Refused) as e:
        client.end(call)
    assert e.value.code == "cancelled"
    client.call("process.write", {"id": id_, "data": "\n"})
    assert client.wait(id_)["exit_code"] == 6


def test_children_hang_up_when_the_leader_ends(client):
    id_ = shell(client, "sleep 1000 & echo ready; exit 4")
    end = client.wait(id_, "empty", wait_ms=10000)
    assert end["exit_code"] == 4 and end["live"] == 0 and end["closed"] is True
    assert [p for p in engines.descendants() if not engines.is_ours(p)] == []


def test_a_child_that_ignores_the_hangup_is_still_told(client):
    id_ = shell(client, "(trap '' HUP; exec setsid sleep 1000) & sleep 0.2; exit 4")
    r = client.wait(id_)
    assert r["exit_code"] == 4
    assert client.kill(id_, grace_ms=100)["gone"] is True
    assert client.wait(id_, "empty")["live"] == 0


def test_kill_ends_a_terminal_session(client):
    id_ = shell(client, "set -m; sleep 1000 & sleep 1001 & echo ready; wait")
    client.read_until(id_, b"ready")
    assert client.kill(id_, grace_ms=200)["gone"] is True


@pytest.mark.limit(60)
def test_much_output_by_a_terminal_is_exact(client):
    size = 2 << 20
    id_ = shell(client, f"stty -opost; yes 0123456 | head -c {size}", ring_bytes=4 << 20)
    got, lost = client.read_all(id_)
    assert lost == 0 and got == (b"0123456\n" * (size // 8))


def test_a_terminal_of_the_native_backend_is_its_own(native, engine):
    with engine.connect("native") as c:
        end = c.call("process.run", {"command": "ls /dev/pts; tty", "pty": {}})
    lines = end.out.replace(b"\r", b"").split()
    assert sorted(lines[:-1]) in ([b"0", b"ptmx"], [b"0"]), "terminals of others are visible"
    assert lines[-1] == b"/dev/pts/0"


def test_capture_and_a_terminal_exclude_each_other(client):
    e = client.refused("process.run", {"command": "true", "pty": {}, "capture": "separate"})
    assert e.code == "invalid_input" and e.field in ("capture", "pty")
