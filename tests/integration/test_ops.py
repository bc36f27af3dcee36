# SPDX-License-Identifier: Apache-2.0
"""
Each operation of the table: once with good input, its answer compared with the
table; and with every bad value that the table's limits imply, for every field.
"""

import copy
import json
import os
import pathlib
import re
import subprocess

import pytest

import engine as engines
import wire

# The contract: names are final.
OPERATIONS = [
    "process.run", "process.start", "process.list", "process.stats", "process.wait",
    "process.read", "process.write", "process.signal", "process.kill", "process.resize",
    "process.attach", "process.release", "sandbox.create", "sandbox.list", "sandbox.get",
    "sandbox.destroy", "call.cancel", "policy.show", "policy.check", "events.watch",
    "daemon.status", "daemon.doctor"]

RECORD = """
    id pid sandbox_pid sandbox agent label command argv shell cwd profile call_id trace_id state
    status reason exit_code signal core_dumped exited closed live started_at ended_at duration_ms
    spawn_ms cpu_ms max_rss_bytes cgroup_path capture stdin_open timeout_ms stdout_bytes
    stderr_bytes stdout_lost stderr_lost isolation denials""".split()

# Made by front ends out of the raw bytes: not on the engine's socket.
BY_FRONT_ENDS = re.compile(r"^((stderr_)?(data|encoding)|std(out|err)(_encoding|_omitted)?)$")


def find_optable():
    places = []
    if "PROCTOR_BUILD" in os.environ:
        places.append(pathlib.Path(os.environ["PROCTOR_BUILD"]) / "tools")
    places += [engines.bindir(), engines.bindir() / ".." / "tools", engines.bindir() / "tools"]
    for p in places:
        if (p / "optable").exists():
            return p / "optable"
    raise RuntimeError(f"no optable in {places}")


@pytest.fixture(scope="module")
def table():
    out = subprocess.run([str(find_optable()), "--json"], capture_output=True, check=True).stdout
    return json.loads(out)


def operation(table, name):
    return next(o for o in table["operations"] if o["name"] == name)


def test_the_table_has_the_operations_and_the_record(table):
    assert sorted(o["name"] for o in table["operations"]) == sorted(OPERATIONS)
    assert set(RECORD) <= set(table["record"]["properties"])
    for o in table["operations"]:
        assert o["description"] and o["title"], o["name"]
        for name, f in o["params"]["properties"].items():
            assert f.get("description"), (o["name"], name)


# Bad values


def types_of(schema):
    t = schema.get("type", [])
    return set(t if isinstance(t, list) else [t])


SAMPLES = {"string": "x", "integer": 7, "number": 1.5, "boolean": True, "object": {}, "array": []}
BAD_TEXTS = ["\x01", "relative", "two words", "-", "../x", "a\nb", "\u007f"]


def bad_scalars(s):
    """Values that a schema forbids, each with what is wrong about it."""
    types = types_of(s)
    if types:
        for t, v in SAMPLES.items():
            if t not in types and not (t == "integer" and "number" in types):
                yield f"a {t}", v
    if "integer" in types:
        yield "a number as text", "7"
        if "minimum" in s:
            yield "below the least", s["minimum"] - 1
        if s.get("maximum", 1 << 62) < (1 << 62):
            yield "above the most", s["maximum"] + 1
            yield "far above the most", (1 << 63) - 1
        yield "far below the least", -(1 << 63)
    if "enum" in s and "string" in types:
        yield "no choice", "no-such-choice"
        yield "a choice in capitals", s["enum"][0].upper()
    if "string" in types and "enum" not in s:
        if s.get("minLength", 0) > 0:
            yield "empty", ""
        if "maxLength" in s and s["maxLength"] < (3 << 20):
            yield "too long", "x" * (s["maxLength"] + 1)
        if "pattern" in s:
            for text in BAD_TEXTS:
                if not re.search(s["pattern"].replace("$", r"\Z"), text):
                    yield f"text {text!r}", text
        yield "a NUL", "a\0b"


def bad_values(name, s):
    """(field that the error must name, what is wrong, value)"""
    for what, v in bad_scalars(s):
        yield name, what, v
    types = types_of(s)
    if "array" in types:
        if s.get("minItems", 0) > 0:
            yield name, "no items", []
        if "maxItems" in s and s["maxItems"] < 10000:
            yield name, "too many items", ["x"] * (s["maxItems"] + 1)
        items = s.get("items", {})
        for what, v in bad_scalars(items):
            yield name, f"an item that is {what}", [v]
    if "object" in types and isinstance(s.get("additionalProperties"), dict):
        for what, v in bad_scalars(s["additionalProperties"]):
            yield name, f"a member that is {what}", {"A": v}
        for bad in ("", "1A", "A=B", "A B", "Ä"):
            yield name, f"a member called {bad!r}", {bad: "x"}
        if "maxProperties" in s:
            yield name, "too many members", {f"N{i}": "x" for i in range(s["maxProperties"] + 1)}
    elif "object" in types:
        for member, below in s.get("properties", {}).items():
            for field, what, v in bad_values(f"{name}.{member}", below):
                yield field, what, {member: v}
        yield f"{name}.no_such_key", "an unknown key", {"no_such_key": 1}
    if "anyOf" in s:
        for v in (True, 1.5, [], {"no_such_key": 1}):
            yield name, f"of no form: {v!r}", v


def names(error, field):
    """The stage of an error holds at most 23 bytes; a member of env may be added."""
    told = error.field or ""
    return told == field or told == field[:23] or told.startswith(field + ".")


def refusal(client, op, params):
    """What is wrong with the engine's answer to bad parameters: (error, complaint)."""
    try:
        r = client.call(op, params)
    except wire.Refused as e:
        if e.code != "invalid_input":
            return e, f"{e.code} instead of invalid_input"
        return e, None
    if r.get("id", "").startswith("p_"):
        client.kill(r["id"], signal="SIGKILL")
    return None, "not refused"


@pytest.mark.limit(60)
@pytest.mark.parametrize("op", OPERATIONS)
def test_every_bad_value_is_refused_by_name(shared_engine, native, table, op):
    o = operation(table, op)
    problems, tried = [], 0
    with shared_engine.connect("native") as c:
        for name, schema in o["params"]["properties"].items():
            for field, what, value in bad_values(name, schema):
                if (op, name, what) == ("process.write", "data", "a NUL"):
                    continue  # input is bytes
                params = {**copy.deepcopy(o["example"]), name: value}
                tried += 1
                e, complaint = refusal(c, op, params)
                if not complaint and not names(e, field):
                    complaint = f"names {e.field!r}"
                if not complaint and (name not in e.message or "allowed" not in e.message):
                    complaint = f"does not say what is allowed: {e.message!r}"
                if complaint:
                    problems.append(f"{field}: {what} ({str(value)[:60]!r}): {complaint}")
        for name in o["params"].get("required", []):
            params = {k: v for k, v in o["example"].items() if k != name}
            tried += 1
            e, complaint = refusal(c, op, params)
            if complaint or e.field != name:
                problems.append(f"{name}: missing: {complaint or e}")
        e, complaint = refusal(c, op, {**o["example"], "no_such_key": 1})
        if complaint or e.field != "no_such_key":
            problems.append(f"an unknown key: {complaint or e}")
    assert tried > 0 or not o["params"]["properties"]
    assert not problems, f"{len(problems)} of {tried}:\n" + "\n".join(problems)


@pytest.mark.parametrize("op,params,field", [
    ("process.run", {}, "command"),
    ("process.start", {"command": "true", "argv": ["true"]}, "argv"),
    ("process.start", {"argv": [""]}, "argv"),
    ("process.start", {"argv": ["true"], "shell": "sh"}, "shell"),
    ("process.start", {"argv": ["true"], "login": True}, "login"),
    ("process.start", {"argv": ["true"], "overflow": "block"}, "consumer"),
    ("process.start", {"argv": ["true"], "consumer": "me"}, "consumer"),
    ("process.start", {"argv": ["true"], "overflow": "block", "consumer": "me",
                       "capture": "discard"}, "overflow"),
    ("process.start", {"argv": ["true"], "pty": {}, "capture": "separate"}, "capture"),
    ("process.start", {"argv": ["x" * 131071] * 17}, "argv"),
    ("process.wait", {}, "id"),
    ("process.wait", {"id": "p_x", "ids": ["p_x"]}, "ids"),
    ("process.wait", {"id": "p_x", "pid": 5}, "pid"),
    ("process.read", {"id": "p_x", "stream": "stderr", "stderr_offset": 1}, "stderr_offset"),
    ("process.read", {"id": "p_x", "tail_bytes": 1, "tail_lines": 1}, "tail_lines"),
    ("process.read", {"id": "p_x", "offset": 1, "tail_lines": 1}, "tail_lines"),
    ("process.read", {"id": "p_x", "ack": True, "offset": 1}, "consumer"),
    ("process.read", {"id": "p_x", "ack": True, "consumer": "me"}, "offset"),
    ("process.write", {"id": "p_x", "data": "***", "encoding": "base64"}, "data"),
    ("process.signal", {"id": "p_x", "signal": "SIGNOTHING"}, "signal"),
    ("process.signal", {"id": "p_x", "signal": 0}, "signal"),
    ("process.signal", {"id": "p_x", "signal": 65}, "signal"),
    ("process.signal", {"id": "p_x", "signal": "-9"}, "signal"),
    ("process.kill", {"id": "p_x", "signal": "TERM KILL"}, "signal"),
])
def test_what_no_single_field_can_say(shared_engine, native, op, params, field):
    with shared_engine.connect("native") as c:
        e = c.refused(op, params)
    assert (e.code, e.field) == ("invalid_input", field)


def test_an_unknown_operation_is_refused(shared_engine, native):
    with shared_engine.connect("native") as c:
        for op in ("process.nothing", "", "PROCESS.RUN", "process.run "):
            assert c.refused(op).code in ("not_found", "invalid_input", "unsupported")


def test_an_operation_outside_the_ceiling_is_denied(shared_engine, native):
    with shared_engine.connect("native", operations=["process.list"]) as c:
        assert "processes" in c.call("process.list")
        for op, params in (("process.run", {"argv": ["true"]}), ("daemon.status", {})):
            assert c.refused(op, params).code == "denied"


# Good values


def fits(schema, value, path):
    """Compares a value with a JSON Schema of the table; yields what does not fit."""
    is_a = {"string": isinstance(value, str), "boolean": isinstance(value, bool),
            "integer": isinstance(value, int) and not isinstance(value, bool),
            "number": isinstance(value, (int, float)) and not isinstance(value, bool),
            "object": isinstance(value, dict), "array": isinstance(value, list),
            "null": value is None}
    types = types_of(schema)
    if types and not any(is_a[t] for t in types):
        yield f"{path}: {value!r} is none of {sorted(types)}"
        return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{path}: {value!r} is none of {schema['enum']}"
    if isinstance(value, list):
        for i, item in enumerate(value):
            yield from fits(schema.get("items", {}), item, f"{path}[{i}]")
    if isinstance(value, dict) and "properties" in schema:
        for k in value:
            if k not in schema["properties"]:
                yield f"{path}.{k}: not in the table"
            else:
                yield from fits(schema["properties"][k], value[k], f"{path}.{k}")


def check(table, op, reply):
    """The answer has what the table says: all keys, no others, of these types."""
    schema = operation(table, op)["result"]
    value = {k: v for k, v in reply.items() if k != "raw"}
    problems = list(fits(schema, value, op))
    problems += [f"{op}: {k} is for front ends" for k in value if BY_FRONT_ENDS.match(k)]
    if "state" in schema["properties"] and "exit_code" in schema["properties"]:
        problems += [f"{op}: {k} is missing" for k in RECORD if k not in value]
    assert not problems, "\n".join(problems)
    return reply


def test_process_operations_answer_as_the_table_says(shared_engine, shared_client, table,
                                                     backend):
    c = shared_client
    call_id = f"ops-{backend}"

    def call(op, params, **kw):
        return check(table, op, c.call(op, params, **kw))

    r = call("process.run", {"command": "echo out; echo err >&2; exit 3", "label": "ops"})
    assert (r.out, r.err, r["exit_code"], r["label"]) == (b"out\n", b"err\n", 3, "ops")

    s = call("process.start", {"argv": ["sh", "-c", "echo up; read x; exit 4"],
                               "stdin": {"open": True}, "call_id": "ops-1"})
    id_ = s["id"]
    assert s["state"] in ("starting", "running") and s["call_id"] == "ops-1"
    c.read_until(id_, b"up")

    listed = call("process.list", {"limit": 1000})
    assert [p["pid"] for p in listed["processes"] if p["id"] == id_][0] > 0
    stats = call("process.stats", {"id": id_})
    assert stats["live"] == 1 and stats["memory_bytes"] > 0
    assert call("process.stats", {"pid": stats["pid"]})["id"] == id_
    w = call("process.wait", {"id": id_, "wait_ms": 0})
    assert w["exited"] is False
    got = call("process.read", {"id": id_, "stream": "both", "offset": 0})
    assert got.out == b"up\n"
    assert call("process.signal", {"id": id_, "signal": "cont"})["sent"] == "SIGCONT"
    assert call("process.kill", {"id": id_, "dry_run": True})["dry_run"] is True
    call("process.write", {"id": id_, "data": "x\n"})
    assert call("process.wait", {"id": id_})["exit_code"] == 4
    assert call("process.attach", {"id": id_})["exit_code"] == 4
    assert call("process.release", {"id": id_})["id"] == id_

    t = call("process.start", {"command": "echo up; exec sleep 1000",
                               "pty": {"cols": 20, "rows": 5}})
    c.read_until(t["id"], b"up")
    call("process.resize", {"id": t["id"], "cols": 30, "rows": 6})
    killed = call("process.kill", {"id": t["id"], "signal": "kill"})
    assert killed["gone"] is True and killed["survivors"] == []

    k = call("process.start", {"argv": ["sleep", "1000"], "call_id": call_id})
    cancelled = call("call.cancel", {"call_id": call_id})
    assert [p["id"] for p in cancelled["processes"]] == [k["id"]]
    assert c.wait(k["id"], "empty")["reason"] == "cancelled"


def test_sandbox_operations_answer_as_the_table_says(shared_engine, native, table):
    with shared_engine.connect("native") as c:
        s = check(table, "sandbox.create", c.call("sandbox.create", {"label": "ops"}))
        assert s["id"].startswith("s_") and s["label"] == "ops"
        r = c.run("echo", "inside", sandbox=s["id"])
        assert r.out == b"inside\n" and r["sandbox"] == s["id"]
        listed = check(table, "sandbox.list", c.call("sandbox.list", {"label": "ops"}))
        assert [x["id"] for x in listed["sandboxes"]] == [s["id"]]
        assert check(table, "sandbox.get", c.call("sandbox.get", {"id": s["id"]}))["id"] == s["id"]
        d = check(table, "sandbox.destroy", c.call("sandbox.destroy", {"id": s["id"]}))
        assert d["gone"] is True
        assert c.call("sandbox.list", {"label": "ops"})["sandboxes"] == []


def test_policy_operations_answer_as_the_table_says(shared_client, table, backend):
    c = shared_client
    shown = check(table, "policy.show", c.call("policy.show"))
    assert engines.PROFILES[backend] in shown["profiles"]
    ok = check(table, "policy.check", c.call("policy.check", {"argv": ["true"]}))
    assert ok["decision"] == "allow" and ok["plan"]
    assert ok["plan"][-1], "the plan in words"
    listed = c.call("process.list", {"state": "all", "limit": 1000})["processes"]
    again = c.call("process.list", {"state": "all", "limit": 1000})["processes"]
    assert len(listed) == len(again), "policy.check starts nothing"
    e = c.refused("policy.show", {"profile": "no-such-profile"})
    assert e.field == "profile"


def test_daemon_operations_answer_as_the_table_says(shared_engine, shared_client, table):
    status = check(table, "daemon.status", shared_client.call("daemon.status"))
    assert status["pid"] == shared_engine.pid
    assert status["state_dir"] == str(shared_engine.state)
    assert engines.Process(status["launcher_pid"]).comm.startswith("proctor-keeper")
    doctor = check(table, "daemon.doctor", shared_client.call("daemon.doctor"))
    assert doctor["checks"]


def test_events_are_sent_as_they_happen(shared_engine, shared_client, table, backend):
    kinds = {e["name"]: e["fields"] for e in table["events"]}
    with shared_engine.connect(backend) as watcher:
        call = watcher.begin("events.watch", {"kinds": ["start", "exit", "empty"],
                                              "label": "watched"})
        # The watch stands before the command starts: calls of one connection are in order.
        watcher.call("process.list", {"limit": 1})
        shared_client.run("true", label="not-watched")
        r = shared_client.run("sh", "-c", "exit 3", label="watched")
        seen = []
        while len(seen) < 3:
            e = watcher.event(call)
            problems = list(fits(kinds[e.kind], e.json, e.kind))
            assert not problems, problems
            assert e.json["id"] == r["id"]
            seen.append(e.kind)
        assert seen == ["start", "exit", "empty"]
        watcher.cancel(call)
        with pytest.raises(wire.Refused) as e:
            watcher.end(call)
        assert e.value.code == "cancelled"


def test_a_list_is_given_in_pages(shared_engine, shared_client):
    mine = [shared_client.run("true", label="paged")["id"] for _ in range(7)]
    got, cursor = [], None
    for _ in range(10):
        params = {"state": "all", "label": "paged", "limit": 3}
        if cursor:
            params["cursor"] = cursor
        r = shared_client.call("process.list", params)
        assert len(r["processes"]) <= 3
        got += [p["id"] for p in r["processes"]]
        cursor = r["next_cursor"]
        if not cursor:
            break
    assert sorted(got) == sorted(mine), "each once, none left out"
    for id_ in mine:
        shared_client.call("process.release", {"id": id_})


def test_an_idempotency_key_gives_the_same_process(engine, client, backend):
    params = {"command": "echo x >> made; echo done", "idempotency_key": "k1"}
    first = client.call("process.run", params)
    again = client.call("process.run", params)
    assert first["id"] == again["id"] and again.out == b"done\n"
    e = client.refused("process.run", {**params, "command": "echo other"})
    assert e.code == "conflict"
    engine.kill9()
    engine.start()
    with engine.connect(backend) as c:
        after = c.call("process.run", params)
        assert after["id"] == first["id"]
    assert (engine.workspace / "made").read_bytes() == b"x\n"


def test_limits_reach_the_command(shared_client):
    r = shared_client.sh("ulimit -n; ulimit -t; ulimit -c; ulimit -f", shell="/bin/sh",
                         limits={"open_files": 77, "cpu_seconds": 50, "core_bytes": 0,
                                 "file_bytes": 512 * 1024})
    assert r.out.split() == [b"77", b"50", b"0", b"1024"]


def test_limits_may_not_be_wider_than_the_ceiling(shared_engine, native):
    with shared_engine.connect("native", limits={"open_files": 100}) as c:
        assert c.sh("ulimit -n", limits={"open_files": 50}).out == b"50\n"
        assert int(c.sh("ulimit -n").out) <= 100
        e = c.refused("process.run", {"argv": ["true"], "limits": {"open_files": 200}})
        assert e.code in ("denied", "invalid_input") and e.field == "limits.open_files"


def test_memory_limits_are_applied_or_refused(shared_client):
    """Never ignored: either the machine has cgroups, or the call says unsupported."""
    try:
        r = shared_client.run("sh", "-c", "exit 0", limits={"memory_bytes": 64 << 20})
        assert r["cgroup_path"]
    except wire.Refused as e:
        assert e.code == "unsupported" and "memory" in e.message
