# SPDX-License-Identifier: Apache-2.0
"""
Environment values, standard input and output are nobody's business but the caller's:
they are in no byte of the journal, of its write-ahead log, or of the engine's log.

A label that must be there shows that the search finds what there is.
"""

import base64
import contextlib
import secrets

import pytest

import wire


class Marks:
    """Words that occur nowhere by chance. `secret` may be in no file, `open` must be."""

    def __init__(self):
        self.secret = {}
        self.open = self.word("label")

    @staticmethod
    def word(what):
        return f"{what}-{secrets.token_hex(16)}"

    def hide(self, what):
        """A new word to be hidden: as it is, and in base64."""
        word = self.word(what)
        self.secret[what] = [word.encode(), base64.b64encode(word.encode())[:-4]]
        return word

    def halves(self, what):
        """A hidden word in two pieces, which may be known."""
        word = self.hide(what)
        return word[:16], word[16:]


def kept(eng):
    """Every file of the engine but the boxes, which are made to hold output."""
    files = [*eng.state.glob("journal.db*"), *eng.state.glob("*.log*"), eng.log]
    assert eng.state / "journal.db" in files and eng.log.exists()
    found = {}
    for path in files:
        with contextlib.suppress(FileNotFoundError):  # the write-ahead log, at the end
            found[path.name] = path.read_bytes()
    return found


def check(eng, marks):
    files = kept(eng)
    told = [(name, what) for name, data in files.items() for what, forms in marks.secret.items()
            if any(form in data for form in forms)]
    assert told == []
    assert any(marks.open.encode() in data for data in files.values())


def hidden(marks, **more):
    """Parameters of a command that prints its input, a variable, and more."""
    left, right = marks.halves("printed")
    bad_left, bad_right = marks.halves("complained")
    return {"argv": ["sh", "-c", 'cat; echo "$VALUE"; echo "$0$1"; echo "$2$3" >&2; exit 3',
                     left, right, bad_left, bad_right],
            "env": {"VALUE": marks.hide("environment")}, "label": marks.open, **more}


def printed(marks, *what):
    return b"".join(marks.secret[w][0] + b"\n" for w in what)


def start_running(c, marks):
    """A command that has printed a line of its input and waits for more."""
    r = c.start("sh", "-c", 'read x; echo "$x"; echo "$VALUE" >&2; read y', label=marks.open,
                stdin={"open": True}, env={"VALUE": marks.hide("environment of a running one")})
    line = marks.hide("written") + "\n"
    c.call("process.write", {"id": r["id"], "data": line})
    assert c.read_until(r["id"], b"\n")[0].decode() == line
    return r["id"]


def test_values_input_and_output_are_in_no_file(make_engine, backend):
    marks = Marks()
    eng = make_engine(env={"VALUE_OF_ENGINE": marks.hide("environment of the engine")}).start()
    with eng.connect(backend) as c:
        r = c.call("process.run", {**hidden(marks, stdin=marks.hide("input") + "\n"),
                                   "idempotency_key": "key"})
        assert r.out == printed(marks, "input", "environment", "printed"), (r.out, r.err)
        assert (r.err, r["exit_code"]) == (printed(marks, "complained"), 3)
        data = base64.b64encode(marks.hide("input in base64").encode()).decode()
        c.call("process.run", hidden(marks, stdin={"base64": data}))
        id_ = start_running(c, marks)
        check(eng, marks)
        eng.kill9()
    check(eng, marks)
    eng.start()
    with eng.connect(backend) as c:
        check(eng, marks)
        assert c.kill(id_, signal="SIGKILL")["gone"]
        c.call("process.release", {"id": id_})
        check(eng, marks)
    assert eng.stop() == 0
    check(eng, marks)


@pytest.mark.parametrize("bad", [
    {"cwd": "/nonexistent"}, {"argv": ["no-such-program"]}, {"profile": "no-such-profile"},
    {"timeout_ms": -1}, {"no_such_key": 1}, {"sandbox": "s_" + "0" * 26}, {"env": {"A=B": "x"}},
])
def test_nor_those_of_calls_that_fail(engine, backend, bad):
    marks = Marks()
    with engine.connect(backend) as c:
        assert c.run("true", label=marks.open)["exit_code"] == 0
        params = {**hidden(marks, stdin=marks.hide("input")), **bad}
        if "env" in bad:
            params["env"] = {**bad["env"], "VALUE": marks.hide("environment beside a bad one")}
        try:
            assert c.call("process.run", params)["reason"] == "start_failed"
        except wire.Refused as e:
            said = str(e).encode()
            assert not [f for forms in marks.secret.values() for f in forms if f in said]
        check(engine, marks)
        assert c.run("true")["exit_code"] == 0
    assert engine.stop() == 0
    check(engine, marks)


def test_nor_bytes_of_a_frame_that_is_none(engine, backend):
    marks = Marks()
    with engine.connect(backend) as c:
        assert c.run("true", label=marks.open)["exit_code"] == 0
        with engine.connect(backend) as d:
            text = '{"op": "process.run", "params": {"stdin": "' + marks.hide("broken") + '", }}'
            d.send_bytes(wire.pack(wire.CALL, 1, text=text.encode()))
            with contextlib.suppress(wire.Gone, wire.Refused):
                d.end(1)
        assert c.run("true")["exit_code"] == 0
        check(engine, marks)
