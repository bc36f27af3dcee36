# SPDX-License-Identifier: Apache-2.0
"""
A command is never root of the host. Without the user layer a command of root's engine
is root without capabilities, so what is shown here needs no capability. An ordinary
user has nothing of it outside either. Capabilities are looked at by themselves.
"""

import contextlib

from proof import Mechanism, Target, each, said_by

TEXT = "the secret"


def words(*given):
    @contextlib.contextmanager
    def target(_world, _kind):
        yield Target(given)
    return target


def of_victim(name, *more):
    """A file of /proc/PID of a process that has no capability."""
    @contextlib.contextmanager
    def target(world, _kind):
        with world.victim(TEXT, uid=0) as v:
            yield Target((f"/proc/{v.pid}/{name}", *(more or (TEXT,))))
    return target


@contextlib.contextmanager
def stdout_of_victim(world, _kind):
    with world.victim(TEXT, uid=0) as v:
        yield Target((f"/proc/{v.pid}/fd/1", "taken\n"), lambda _keeper: b"taken" in said_by(v))


CAPABILITY = "capabilities are gone from the keeper before it forks"
BOUNDING = ("CapBnd:", "0000000000000000")

TABLE = [
    Mechanism("be_root", ("user",), who=("root",)),
    Mechanism("shadow", ("user",), words("/etc/shadow", "root:"), "read_file", who=("root",)),
    Mechanism("core_pattern", ("mounts", "user"), words("/proc/sys/kernel/core_pattern"),
              "rewrite_file", who=("root",)),
    Mechanism("sysctl", ("mounts", "user"), words("/proc/sys/vm/max_map_count"), "rewrite_file",
              who=("root",)),
    Mechanism("sysrq", ("mounts", "user"), words("/proc/sysrq-trigger"), "open_to_write",
              who=("root",), absent=("ENOENT",)),
    Mechanism("kcore", ("mounts", "user"), words("/proc/kcore", "\x7fELF"), "read_file",
              who=("root",), absent=("ENOENT",), beyond=CAPABILITY),
    Mechanism("capability", ("capabilities", "user"), words(*BOUNDING), "status_lacks",
              who=("root",), beyond=CAPABILITY),
    Mechanism("capability_of_user", ("capabilities",), words(*BOUNDING), "status_lacks",
              who=("user",), beyond=CAPABILITY),
    Mechanism("proc_root", ("mounts", "user", "landlock"), of_victim("root/etc/shadow", "root:"),
              "read_file", who=("root",)),
    Mechanism("proc_environ", ("mounts", "user", "landlock"), of_victim("environ", "SECRET="),
              "read_file", who=("root",)),
    Mechanism("proc_mem", ("mounts", "user", "landlock"), of_victim("mem"), "read_proc_mem",
              who=("root",)),
    Mechanism("proc_fd", ("mounts", "user", "landlock"), stdout_of_victim, "write_file",
              who=("root",)),
]


@each(TABLE)
def test_it_is_stopped_by_these_layers(world, mechanism):
    world.prove(mechanism, "not root")
