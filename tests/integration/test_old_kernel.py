# SPDX-License-Identifier: Apache-2.0
"""
Kernels that lack something: the native backend says what, or does without where that
takes nothing away; it never does with less. The engine runs under a filter that
answers newer system calls as an older kernel does.
"""

import pathlib
import platform
import subprocess

import pytest

import engine as engines
import wire

HERE = pathlib.Path(__file__).parent

# x86-64 and all newer architectures have the same numbers from 424 on.
NEW = {
    "open_tree": 428, "move_mount": 429, "fsopen": 430, "fsconfig": 431, "fsmount": 432,
    "pidfd_open": 434, "clone3": 435, "close_range": 436, "openat2": 437,
    "mount_setattr": 442, "landlock_create_ruleset": 444, "landlock_add_rule": 445,
    "landlock_restrict_self": 446,
}

# What is missing; the doctor's row; what the call says of it.
LACKING = [
    (["landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self"], "Landlock",
     "Landlock"),
    (["open_tree"], "descriptor-based mount calls", "clone the mount"),
    (["mount_setattr"], "descriptor-based mount calls", "restrict the mount"),
    (["move_mount"], "descriptor-based mount calls", "attach"),
    (["fsopen"], "descriptor-based mount calls", "mount a tmpfs"),
    (["clone3"], "clone3 and close_range", ""),
    (["close_range"], "clone3 and close_range", "close_range"),
]


@pytest.fixture(scope="module")
def lack(tmp_path_factory):
    if platform.machine() not in ("x86_64", "aarch64", "riscv64"):
        pytest.skip(f"{platform.machine()}: the numbers of its system calls are not known here")
    to = tmp_path_factory.mktemp("lack") / "lack"
    subprocess.run(["gcc", "-std=gnu17", "-D_GNU_SOURCE", "-O1", "-o", str(to),
                    str(HERE / "lack.c")], check=True)
    return to


@pytest.fixture
def old(lack, make_engine):
    def make(*calls):
        return make_engine(under=[str(lack), *[str(NEW[c]) for c in calls], "--"])
    return make


@pytest.mark.parametrize("calls, row, word", LACKING, ids=[x[0][0] for x in LACKING])
def test_what_is_missing_is_named_and_nothing_runs(old, native, calls, row, word):
    del native
    eng = old(*calls).start()
    eng.workspace.chmod(0o777)
    with eng.connect("native") as c:
        for _ in range(3):  # the third would find a keeper ahead of need
            with pytest.raises(wire.Refused) as refused:
                c.sh("touch ran")
            assert refused.value.code == "unsupported"
            said = str(refused.value)
            assert word in said and ("proctor doctor" in said or "run Linux" in said), said
        assert not (eng.workspace / "ran").exists()
        doctor = c.call("daemon.doctor")
        found = {x["name"]: x for x in doctor["checks"]}[row]
        assert found["state"] == "missing" and found["detail"] and found["cure"], found
        assert doctor["ok"] is False
        assert c.call("daemon.status")["prepared_keepers"] == 0
    assert eng.cli("doctor").returncode != 0


def test_without_openat2_no_workspace_can_be_trusted(old):
    eng = old("openat2").start()
    with pytest.raises(wire.Refused) as refused:
        eng.connect("native")
    assert refused.value.code == "unsupported" and "openat2" in str(refused.value)


@pytest.mark.parametrize("calls", [["landlock_create_ruleset"], ["open_tree", "fsopen"],
                                   ["clone3"]], ids=lambda v: v[0])
def test_host_needs_less(old, calls):
    eng = old(*calls).start()
    with eng.connect("host") as c:
        if calls == ["clone3"]:
            with pytest.raises(wire.Refused) as refused:
                c.run("true")
            assert refused.value.code == "unsupported" and "clone3" in str(refused.value)
        else:
            assert c.run("echo", "on").out == b"on\n"
