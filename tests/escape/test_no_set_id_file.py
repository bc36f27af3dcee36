# SPDX-License-Identifier: Apache-2.0
"""A command leaves no set-id file and no device behind, and gains nothing by set-id programs."""

import contextlib
import os
import shutil
import stat
import subprocess

import pytest

import fixtures
import proof
from proof import Mechanism, Target, each


def made(is_it):
    @contextlib.contextmanager
    def target(world, _kind):
        path = world.workspace / "made"
        path.unlink(missing_ok=True)
        yield Target(("made",), lambda _keeper: path.exists() and is_it(path.lstat().st_mode))
        path.unlink(missing_ok=True)
    return target


SET_ID = [Mechanism(n, ("seccomp",), made(lambda mode: bool(mode & 0o6000)), absent=("ENOSYS",))
          for n in ("suid_chmod", "suid_fchmod", "suid_fchmodat2", "suid_open", "suid_openat2",
                    "suid_mknod", "suid_tmpfile")]
NODES = [
    Mechanism("whiteout", ("landlock",), made(stat.S_ISCHR)),
    Mechanism("device_node", ("landlock", "user"), made(stat.S_ISCHR), who=("root",),
              beyond="CAP_MKNOD is needed, which is gone before any step of a plan"),
]


@each(SET_ID + NODES)
def test_it_is_stopped_by_these_layers(world, mechanism):
    world.prove(mechanism, "set-id files")


def test_a_set_uid_program_gives_nothing(world):
    """
    Inside, nosuid mounts and a user namespace without root stop it as well, and no plan
    is without these: so it is shown where no_new_privs is alone, in trusted-host.
    """
    if world.user is None:
        pytest.skip("user: who is root gains nothing by it")
    program = world.place / "set-uid"
    shutil.copyfile(world.program, program)
    os.chown(program, 0, 0)
    program.chmod(0o4755)
    eng = world.engine(frozenset({"no_new_privs", "seccomp", "landlock"}))
    with fixtures.connect(eng, "host", workspace=str(world.workspace)) as without:
        said = without.run(str(program), "be_root").out
    direct = subprocess.run([str(program), "be_root"], stdin=subprocess.DEVNULL, user=world.user,
                            capture_output=True, check=True, timeout=20).stdout
    assert (direct, said) == (b"ok\n", b"ok\n")
    assert world.connection(proof.BARE).run(str(program), "be_root").out == b"nothing\n"
