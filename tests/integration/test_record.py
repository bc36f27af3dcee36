# SPDX-License-Identifier: Apache-2.0
"""
What a record shows of a command that is too long for it: all of it is run, and what is
cut says so, also after a restart of the engine.
"""

import contextlib
import json
import sqlite3

SHOWN = 4096


def whole_length(eng, id_):
    """As the journal has it: of the process whose record names id_."""
    with contextlib.closing(sqlite3.connect(eng.state / "journal.db")) as db:
        rows = [json.loads(spec) for (spec,) in db.execute("SELECT spec FROM processes")]
    (row,) = [r for r in rows if r["label"] == id_]
    return row["kept"]["command_bytes"]


def record_of(c, id_):
    return c.call("process.wait", {"id": id_})


def check_both(eng, backend, params, cut):
    """The record of a command, then again by the next engine."""
    with eng.connect(backend) as c:
        r = c.call("process.run", {**params, "label": "long"})
        assert r["exit_code"] == 0, dict(r)
        assert r["command_truncated"] is cut
    eng.kill9()
    eng.start()
    with eng.connect(backend) as c:
        again = record_of(c, r["id"])
    for k in ("command", "argv", "command_truncated", "isolation", "cwd"):
        assert again[k] == r[k], k
    return r


def test_a_long_command_runs_whole_and_is_shown_cut(make_engine, backend):
    eng = make_engine().start()
    text = "x" * (100 << 10)
    command = f"printf %s {text} | wc -c"
    r = check_both(eng, backend, {"command": command}, True)
    assert r.out.split() == [b"102400"]
    assert r["command"] == command[:SHOWN] + "..."
    assert whole_length(eng, "long") == len(command)


def test_many_arguments_all_come_and_some_are_shown(make_engine, backend):
    eng = make_engine().start()
    argv = ["sh", "-c", 'echo $#', "sh", *(f"argument-{i}" for i in range(4000))]
    r = check_both(eng, backend, {"argv": argv}, True)
    assert r.out == b"4000\n"
    *whole, part, rest = r["argv"]
    assert whole == argv[:len(whole)]
    assert part.endswith("...") and argv[len(whole)].startswith(part[:-3])
    assert rest == "..."
    assert whole_length(eng, "long") == sum(len(a) + 1 for a in argv)


def test_a_character_across_the_cut_is_left_out(make_engine, backend):
    eng = make_engine().start()
    command = ": " + "x" * (SHOWN - 3) + "\u20ac" * 100
    r = check_both(eng, backend, {"command": command}, True)
    assert r["command"] == ": " + "x" * (SHOWN - 3) + "..."
    assert whole_length(eng, "long") == len(command.encode())


def test_a_short_command_is_shown_whole(make_engine, backend):
    eng = make_engine().start()
    check_both(eng, backend, {"argv": ["true", "..."]}, False)
