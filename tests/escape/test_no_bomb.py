# SPDX-License-Identifier: Apache-2.0
"""A command that grows without end meets its limits. Without them it is ended at a bound."""

import contextlib

import wire
from proof import NONE, Mechanism, Target, each

PROCESSES, BYTES, FILES = 200, 1 << 20, 500
MEMORY = {"limits": {"memory_bytes": 32 << 20}}


def words(*given):
    @contextlib.contextmanager
    def target(_world, _kind):
        yield Target(given)
    return target


@contextlib.contextmanager
def file(world, _kind):
    path = world.workspace / "large"
    yield Target(("large", str(BYTES)), lambda _keeper: path.stat().st_size == BYTES)
    path.unlink()


def memory_limits(world):
    """Control groups may not be there for this user: the engine says so itself."""
    try:
        world.connection(NONE).run(str(world.program), "be_root", **MEMORY)
    except wire.Refused as e:
        if e.code == "unsupported":
            return f"cgroups: {e.message[:100]}"
        raise
    return None


TABLE = [
    Mechanism("fork_bomb", ("rlimits",), words(str(PROCESSES)),
              params={"limits": {"processes": 50}}),
    Mechanism("memory_bomb", ("cgroup",), words(str(96 << 20)), params=MEMORY,
              needs=memory_limits),
    Mechanism("file_bomb", ("rlimits",), file, params={"limits": {"file_bytes": 65536}}),
    Mechanism("descriptor_bomb", ("rlimits",), words(str(FILES)),
              params={"limits": {"open_files": 64}}),
]


@each(TABLE)
def test_it_is_stopped_by_its_limits(world, mechanism):
    world.prove(mechanism, "limits")
