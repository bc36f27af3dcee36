# SPDX-License-Identifier: Apache-2.0
"""
A command gets no variable, descriptor or signal setting of its engine's, and does not run
before its last layer is there. The first are no layers: they are made anew for every
command, so they are compared with a child that nobody has cleaned up for.
"""

import contextlib
import signal

from proof import Mechanism, Target, each


def words(*given):
    @contextlib.contextmanager
    def target(_world, _kind):
        yield Target(given)
    return target


TABLE = [
    Mechanism("variable", (), words("PROCTOR_TEST_SECRET")),
    Mechanism("ignored_signal", (), words(str(int(signal.SIGUSR1)))),
    Mechanism("blocked_signal", (), words(str(int(signal.SIGUSR2)))),
    Mechanism("extra_descriptor", ()),
    Mechanism("run_without_filter", ("seccomp",), words("Seccomp:", "2"), "status_lacks"),
]


@each(TABLE)
def test_it_is_not_there(world, mechanism):
    world.prove(mechanism, "inherited")
