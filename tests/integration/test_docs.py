# SPDX-License-Identifier: Apache-2.0
"""The documents against the tables and the programs that they describe."""

import json
import os
import pathlib
import re
import subprocess

import pytest

import engine as engines
from test_cli import verbs

ROOT = pathlib.Path(__file__).resolve().parents[2]


def build_root():
    """The build folder that the programs are in, where the manual is made too."""
    for p in (engines.bindir(), *engines.bindir().resolve().parents):
        if (p / "build.ninja").exists():
            return p
    pytest.skip("build folder: the programs lie outside of one, the manual is not beside them")


def page(name):
    """The words of a manual page, its font escapes taken out."""
    text = (build_root() / "man" / name).read_text(encoding="utf-8")
    text = re.sub(r"\\f[BIRP]|\\f\(..|\\f\[[A-Z]*\]", "", text)
    text = text.replace("\\-", "-").replace("\\&", "").replace("\\e", "\\").replace("\\(hy", "-")
    return re.sub(r'^\.(B|I|BR|IR|BI|RB|RI|SM) ', "", text, flags=re.M).replace('"', "")


def table():
    out = subprocess.run([str(build_root() / "tools" / "optable"), "--json"], capture_output=True,
                         check=True).stdout
    return json.loads(out)


def names(text):
    """Words of a page; a field of an inner object has its path: isolation.layers[].name"""
    return set(re.findall(r"[A-Za-z0-9_.\[\]-]*[A-Za-z0-9_]", text))


def fields(schema, told=(), path=""):
    """Paths of all properties of a JSON Schema, but for objects that are told elsewhere."""
    found = set()
    for name, inner in schema.get("properties", {}).items():
        found |= {path + name} | fields(inner, told, f"{path}{name}.")
    items = schema.get("items")
    if items and items.get("properties") not in told:
        found |= fields(items, told, f"{path[:-1]}[].")
    return found


def test_every_operation_and_field_is_in_the_manual():
    words = names(page("proctor-operations.7"))
    t = table()
    operations = t["operations"]
    assert len(operations) >= 22
    told = [t["record"]["properties"], t["sandbox"]["properties"]]
    missing = set()
    for op in operations:
        if op["name"] not in words:
            missing.add(op["name"])
        missing |= {f"{op['name']}: {f}" for f in fields(op["params"]) - words}
        missing |= {f"{op['name']} result: {f}" for f in fields(op["result"], told) - words}
    for name in ("record", "sandbox"):
        assert len(fields(t[name])) >= 10
        missing |= {f"{name}: {f}" for f in fields(t[name]) - words}
    assert missing == set()


def test_every_operation_says_what_it_does():
    for op in table()["operations"]:
        assert len(op["description"]) > 20 and op["title"], op["name"]
        for name, schema in op["params"].get("properties", {}).items():
            assert len(schema.get("description", "")) > 8, (op["name"], name)


def test_every_error_is_in_the_protocol_and_the_manual():
    protocol = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
    words = names(page("proctor-operations.7"))
    codes = [e["code"] for e in table()["errors"]]
    assert len(codes) == 11
    assert [c for c in codes if c not in protocol] == []
    assert [c for c in codes if c not in words] == []


def test_every_frame_type_and_the_versions_are_in_the_protocol():
    protocol = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8").lower()
    header = (ROOT / "src" / "wire" / "frame.h").read_text(encoding="utf-8")
    types = re.findall(r"\bFRAME_(HELLO|CALL|REPLY|EVENT|CANCEL)\b", header)
    assert len(set(types)) == 5
    assert [t for t in types if t.lower() not in protocol] == []


def test_every_event_and_its_fields_are_in_the_manual():
    words = names(page("proctor-operations.7"))
    events = table()["events"]
    assert len(events) >= 8
    assert [e["name"] for e in events if e["name"] not in words] == []
    assert [(e["name"], f) for e in events for f in fields(e["fields"]) if f not in words] == []


def test_every_verb_is_in_the_manual():
    text = page("proctor.1")
    found = verbs()
    assert len(found) >= 25
    assert [v for v in found if not re.search(rf"\b{v}\b", text)] == []


def test_every_option_is_in_the_manual():
    text = page("proctor.1")
    options = text.split("OPTIONS", 1)[1]
    found = set()
    for verb in verbs():
        r = subprocess.run([str(engines.bindir() / "proctor"), "help", *verb.split()],
                           capture_output=True, check=True, timeout=20, stdin=subprocess.DEVNULL)
        found |= set(re.findall(r"^  (?:-\w,|   ) (--[a-z-]+)", r.stdout.decode(), re.M))
    assert len(found) >= 60
    assert sorted(o for o in found if not re.search(rf"{o}(?![a-z-])", options)) == []


def test_every_test_that_security_names_exists():
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    named = set(re.findall(r"tests/[A-Za-z0-9_./-]+\.(?:py|c)", text))
    assert len(named) >= 5
    assert sorted(n for n in named if not (ROOT / n).is_file()) == []


def claims():
    """Rows of the table of claims: [claim, mechanism, test]."""
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    part = text.split("## Claims", 1)[1].split("\n## ", 1)[0]
    rows = [[c.strip() for c in line.strip().strip("|").split("|")]
            for line in part.splitlines() if line.startswith("|")]
    return rows[2:]


def test_every_claim_has_a_mechanism_and_a_test():
    rows = claims()
    assert len(rows) >= 15
    assert [r for r in rows if len(r) != 3 or not r[1] or "tests/" not in r[2]] == []


def linked(path):
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8")):
        yield target, (path.parent / target)


def test_links_between_documents_lead_somewhere():
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
    assert len(pages) >= 6
    broken = [(p.name, t) for p in pages for t, to in linked(p) if not to.exists()]
    assert broken == []


def test_documents_name_no_file_that_is_not_there():
    missing = []
    for name in ("README.md", "ARCHITECTURE.md", "HACKING.md", "SECURITY.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        for path in re.findall(r"`((?:src|tests|docs|tools|man|bench|include)/[\w./-]*\w/?)`", text):
            if "NAME" not in path and not (ROOT / path).exists():
                missing.append((name, path))
    assert missing == []


@pytest.mark.parametrize("program", ["proctor", "proctord"])
def test_version_and_help_are_answered(program):
    for flag in ("--version", "--help"):
        r = subprocess.run([str(engines.bindir() / program), flag], capture_output=True, timeout=20,
                           stdin=subprocess.DEVNULL, check=False,
                           env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"})
        assert r.returncode == 0 and r.stdout and not r.stderr, (program, flag, r)
