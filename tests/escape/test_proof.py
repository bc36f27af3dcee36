# SPDX-License-Identifier: Apache-2.0
"""What the proofs rest on: the layers left out are left out, and no run is empty."""

import contextlib

import pytest

import proof
from proof import Mechanism, Target

# How the record calls them; "mounts" is a root of one's own.
RECORDED = {"network": "network", "pid": "pid", "ipc": "ipc", "uts": "uts", "mounts": "root",
            "seccomp": "seccomp", "landlock": "landlock", "rlimits": "rlimits"}


@contextlib.contextmanager
def harmless(_world, _kind):
    yield Target(("harmless", "text"))


def states(world, left_out):
    r = world.connection(frozenset(left_out)).run(str(world.program), "be_root")
    assert r["exit_code"] == 0, dict(r)
    return {x["name"]: (x["state"], x["why"]) for x in r["isolation"]["layers"]}


@pytest.mark.parametrize("layer", RECORDED)
def test_the_record_says_what_is_left_out_and_nothing_else_is(world, layer):
    everything, without = states(world, ()), states(world, (layer,))
    assert everything[RECORDED[layer]][0] == "applied"
    assert {n for n in everything if everything[n] != without[n]} == {RECORDED[layer]}
    assert without[RECORDED[layer]] == ("absent", "left out for a test")


@pytest.mark.parametrize("name", ["no_such_attempt", "victim"])
def test_an_attempt_that_was_not_made_is_an_error(world, name):
    with pytest.raises(AssertionError, match="was not made"):
        world.run(proof.NONE, name, Target(("ready",) if name == "victim" else ()))


def test_a_layer_that_stops_nothing_is_found(world):
    with pytest.raises(AssertionError, match="without uts"):
        world.prove(Mechanism("unshare_user", ("uts",)), "")
    with pytest.raises(AssertionError, match="uts alone does not stop it"):
        world.prove(Mechanism("unshare_user", ("seccomp", "uts")), "")
    with pytest.raises(AssertionError, match="in the sandbox: ok"):
        world.prove(Mechanism("harmless", ("seccomp",), harmless, "write_file"), "")
