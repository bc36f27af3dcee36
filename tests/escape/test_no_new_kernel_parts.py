# SPDX-License-Identifier: Apache-2.0
"""No namespace, no mount, no system call and no socket that is not on a list."""

import contextlib

from proof import Mechanism, Target, each

BOTH = ("seccomp", "landlock")  # a ruleset refuses to change mounts as well
NOT_HERE = ("ENOSYS", "EAFNOSUPPORT", "EPROTONOSUPPORT", "EOPNOTSUPP")


@contextlib.contextmanager
def text(_world, _kind):
    yield Target(("kept",))


def typing_possible(_world):
    """Since Linux 6.2 it may be switched off, and with it what is to be shown."""
    try:
        with open("/proc/sys/dev/tty/legacy_tiocsti", encoding="utf-8") as f:
            return None if f.read().strip() == "1" else "TIOCSTI: off by dev.tty.legacy_tiocsti"
    except FileNotFoundError:
        return None


NAMESPACES = [Mechanism(n, ("seccomp",), absent=("ENOSYS",)) for n in (
    "unshare_user", "clone_user", "clone_user_high", "clone3_user", "enter_namespace")]

# Each with all rights in namespaces of its own, which it has to get first.
MOUNTS = [
    *(Mechanism(n, ("seccomp",)) for n in ("nested_chroot", "nested_fsopen", "nested_open_tree")),
    *(Mechanism(n, BOTH) for n in ("nested_mount", "nested_bind", "nested_umount",
                                   "nested_pivot", "nested_cgroup")),
]

CALLS = [
    *(Mechanism(n, ("seccomp",), absent=NOT_HERE) for n in (
        "io_uring", "perf", "bpf", "userfault", "notify_all", "executable_reads", "compare",
        "segments", "x32_entry", "i386_entry")),
    Mechanism("keyring", ("seccomp",), text, absent=NOT_HERE),
    Mechanism("push_input", ("seccomp",), always={"pty": {}}, needs=typing_possible),
]

SOCKETS = [Mechanism(n, ("seccomp",), absent=NOT_HERE) for n in (
    "raw_socket", "packet_socket", "alg_socket", "vsock_socket", "netlink_generic",
    "netlink_netfilter", "netlink_audit", "netlink_diag")]


@each(NAMESPACES)
def test_no_namespace(world, mechanism):
    world.prove(mechanism, "namespaces")


@each(MOUNTS)
def test_no_mount(world, mechanism):
    world.prove(mechanism, "mounts")


@each(CALLS)
def test_no_other_call(world, mechanism):
    world.prove(mechanism, "system calls")


@each(SOCKETS)
def test_no_other_socket(world, mechanism):
    world.prove(mechanism, "sockets")
