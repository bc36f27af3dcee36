# SPDX-License-Identifier: Apache-2.0
"""What a native command sees, and what it cannot do, under a root and an ordinary engine."""

import fcntl
import os
import pathlib
import re
import socket
import subprocess
import sys

import pytest

from fixtures import (SECRETS, connect, lines, probe, put_probe,  # noqa: F401
                      read_status, shared_engine, status_of, whose)

pytestmark = pytest.mark.usefixtures("native")

NAMESPACES = ("user", "mnt", "pid", "net", "ipc", "uts", "cgroup")
TOP = {"bin", "sbin", "lib", "lib32", "lib64", "libx32", "usr", "etc", "opt", "nix", "proc", "sys",
       "dev", "tmp", "home", "root", "run", "var", "mnt", "srv", "media", "boot"}
MAY_BE_SET = {"PATH", "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "PROCTOR_ID", "TRACEPARENT",
              "PROCTOR_TRACE_ID", "LANG", "TERM", "TZ", "COLORTERM", "NO_COLOR",
              # a shell's own
              "PWD", "OLDPWD", "SHLVL", "_"}


@pytest.fixture
def c(shared_engine):  # noqa: F811
    with connect(shared_engine) as connection:
        yield connection


def said(c, command, **params):
    r = c.sh(command, **params)
    assert r["exit_code"] == 0, (dict(r), r.out, r.err)
    return r.out.decode()


@pytest.fixture
def waiting(c):
    """A command that waits for a byte: its record."""
    r = c.start("sh", "-c", "echo ready; read x", stdin={"open": True})
    c.read_until(r["id"], b"ready\n")
    yield c.call("process.stats", {"id": r["id"]})
    c.call("process.write", {"id": r["id"], "data": "\n", "close": True})
    assert c.wait(r["id"], "empty")["live"] == 0


def test_it_is_nobody_with_no_rights(c):
    st = status_of(said(c, "cat /proc/self/status"))
    uids = set(st["Uid"].split())
    assert len(uids) == 1 and uids != {"0"}
    gids = set(st["Gid"].split())
    assert len(gids) == 1 and gids != {"0"}
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(st[name], 16) == 0, name
    assert st["NoNewPrivs"] == "1"
    assert st["Seccomp"] == "2"


def test_the_host_too_sees_no_root(shared_engine, waiting):  # noqa: F811
    st = read_status(waiting["pid"])
    uids = set(st["Uid"].split())
    assert len(uids) == 1 and "0" not in uids
    assert "0" not in st["Gid"].split()
    if shared_engine.user is None and os.geteuid() == 0:
        assert st["Groups"].split() == [], "a root engine must drop the groups"
    else:
        assert uids == {str(shared_engine.user or os.geteuid())}


def test_namespaces_are_its_own(c):
    out = said(c, " ".join(["readlink", *(f"/proc/self/ns/{n}" for n in NAMESPACES)]))
    inside = out.split()
    assert len(inside) == len(NAMESPACES)
    same = [n for n, i in zip(NAMESPACES, inside) if i == os.readlink(f"/proc/self/ns/{n}")]
    assert same == []


def test_two_commands_share_no_namespace(c):
    # Both live: the numbers of a namespace that is gone may be given out again.
    look = "cd /proc/self/ns; readlink user mnt pid net ipc uts; echo; read x"
    both = [c.start("sh", "-c", look, stdin={"open": True}) for _ in range(2)]
    seen = [set(c.read_until(p["id"], b"\n\n")[0].split()) for p in both]
    for p in both:
        c.call("process.write", {"id": p["id"], "close": True, "data": "\n"})
        c.wait(p["id"], "empty")
    assert len(seen[0]) == 6 and not seen[0] & seen[1]


NS_GET_USERNS = 0xB701


def net_of(pid):
    """The network namespace of a process and the user namespace that owns it."""
    fd = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    owner = fcntl.ioctl(fd, NS_GET_USERNS)
    try:
        return os.fstat(fd).st_ino, os.fstat(owner).st_ino
    finally:
        os.close(owner)
        os.close(fd)


def kept_by(pid):
    """The network namespaces that a launcher has ready."""
    links = (os.readlink(f"/proc/{pid}/fd/{n}") for n in os.listdir(f"/proc/{pid}/fd"))
    return [int(x[5:-1]) for x in links if x.startswith("net:[")]


def test_a_prepared_network_is_used_once(c, as_root):
    """More commands than are ever ready: each has its own, and nobody is in a kept one."""
    look = "cat /proc/net/fib_trie; echo; echo end; read x"
    live, prepared = [], 0
    try:
        for _ in range(12):
            live.append(c.start("sh", "-c", look, stdin={"open": True}))
            assert b"127.0.0.1" in c.read_until(live[-1]["id"], b"end\n")[0]
        pids = [c.call("process.stats", {"id": p["id"]})["pid"] for p in live]
        used = [net_of(p) for p in pids]
        assert len({net for net, _ in used}) == len(live)
        for pid, (_, owner) in zip(pids, used):
            prepared += owner != os.stat(f"/proc/{pid}/ns/user").st_ino
        # The launcher had a moment between two of them, at the least.
        assert prepared > 0
        kept = kept_by(c.call("daemon.status")["launcher_pid"])
        assert len(set(kept)) == len(kept) and not set(kept) & {net for net, _ in used}
    finally:
        for p in live:
            c.call("process.kill", {"id": p["id"], "grace_ms": 0})
            c.wait(p["id"], "empty")


# With all capabilities of root in a sandbox's mount namespace.
BREAK_OUT = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
fd = os.open(f"/proc/{sys.argv[1]}/ns/mnt", os.O_RDONLY)
assert libc.unshare(0x20000) == 0 and libc.setns(fd, 0x20000) == 0
top = sorted(os.listdir("/"))
here = os.stat(".")
removed = 0
while libc.umount2(b"/proc", 2) == 0:
    removed += 1
print("proc", removed, *[n for n in os.listdir("/proc") if n.isdigit()])
for path in (b"/usr", b"/etc"):
    print("umount", libc.umount2(path, 2), os.strerror(ctypes.get_errno()))
# The classic way out of a chroot.
os.chroot("/dev")
for _ in range(20):
    os.chdir("..")
print("root", os.path.samestat(here, os.stat(".")), sorted(os.listdir(".")) == top)
os.chroot(".")
print("secret", os.path.exists(sys.argv[2]))
"""


def test_below_its_root_lies_nothing_of_the_host(c, as_root, shared_engine, waiting):  # noqa: F811
    secret = str(shared_engine.state / "journal.db")
    assert os.path.exists(secret)
    out = subprocess.run([sys.executable, "-c", BREAK_OUT, str(waiting["pid"]), secret], check=True,
                         capture_output=True, text=True, timeout=20).stdout.splitlines()
    # Its own /proc can be taken away; what is below shows no process at all.
    assert out[0] == "proc 1", out
    assert out[1:3] == ["umount -1 Invalid argument"] * 2, out
    assert out[3:] == ["root True True", "secret False"], out


def test_only_processes_of_its_own_are_visible(c):
    pids = [int(n) for n in said(c, "ls /proc").split() if n.isdigit()]
    assert 1 in pids and len(pids) <= 4, pids


def test_only_loopback_and_that_is_up(c):
    rows = said(c, "cat /proc/net/dev").splitlines()[2:]
    assert [r.split(":")[0].strip() for r in rows] == ["lo"]
    out = said(c, "exec 2>&1; (exec 3<>/dev/tcp/127.0.0.1/9) ; (exec 3<>/dev/tcp/192.0.2.1/9); "
               "true", shell="/bin/bash")
    assert "Connection refused" in out, out
    assert "unreachable" in out, out


def test_the_hosts_abstract_sockets_are_out_of_reach(c):
    name = f"proctor-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
        s.bind("\0" + name)
        s.listen()
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as control:
            control.connect("\0" + name)
        r = c.run("/usr/bin/python3", "-c", "import socket, sys\n"
                  "s = socket.socket(socket.AF_UNIX)\n"
                  "try:\n    s.connect('\\0' + sys.argv[1])\n"
                  "except ConnectionRefusedError:\n    print('refused')\n", name)
    assert r.out == b"refused\n", (r.out, r.err)


def mounts(c):
    """{mount point: (set of mount options, type)} as the command sees them."""
    found = {}
    for line in said(c, "cat /proc/self/mountinfo").splitlines():
        left, right = line.split(" - ", 1)
        at = left.split()[4].encode().decode("unicode_escape")
        found[at] = (set(left.split()[5].split(",")), right.split()[0])
    return found


def test_the_root_is_read_only_and_shows_nothing_else(c, shared_engine):  # noqa: F811
    top = set(said(c, "ls -A /").split())
    workspace_top = shared_engine.workspace.parts[1]
    assert top <= TOP | {workspace_top}, top - TOP
    options, _ = mounts(c)["/"]
    assert "ro" in options
    for path, (options, _) in mounts(c).items():
        if path.split("/")[1] in ("usr", "etc", "bin", "sbin", "lib", "lib64", "opt"):
            assert {"ro", "nosuid"} <= options, (path, options)


def test_no_mount_but_the_workspace_and_its_own_is_writable(c, shared_engine):  # noqa: F811
    own = {"tmpfs", "devpts", "proc"}
    workspace = str(shared_engine.workspace)
    here = mounts(c)
    assert "rw" in here.pop(workspace)[0]
    # Device nodes are bound one by one from the host's /dev.
    writable = {p for p, (o, kind) in here.items()
                if "rw" in o and kind not in own and not p.startswith("/dev/")}
    assert writable == set()


def test_tmp_and_home_are_private(c):
    mark = pathlib.Path(f"/tmp/proctor-mark-{os.getpid()}")
    mark.write_text("host", encoding="utf-8")
    try:
        out = said(c, f"test ! -e {mark} && echo absent; echo in >/tmp/{mark.name}.in; "
                   "stat -c %a /tmp; cd && pwd && echo x >proctor-test-file && cat proctor-test-file")
    finally:
        mark.unlink()
    absent, mode, home, x = out.split()
    assert (absent, mode, x) == ("absent", "1777", "x")
    assert not pathlib.Path(f"/tmp/{mark.name}.in").exists()
    assert not (pathlib.Path(home) / "proctor-test-file").exists()


def test_home_shows_nothing_of_the_hosts(c):
    home, *inside = said(c, 'echo "$HOME"; ls -A "$HOME"').splitlines()
    there = pathlib.Path(home)
    host = set(os.listdir(there)) if there.is_dir() else set()
    assert not host & set(inside)


def test_other_paths_of_the_host_are_absent(c, shared_engine, shared_place):  # noqa: F811
    secret = shared_place / "secret"
    secret.write_text("secret", encoding="utf-8")
    secret.chmod(0o666)
    beside = shared_engine.workspace.parent
    out = said(c, f"cat {secret} 2>&1; ls -A {beside}; ls -A {shared_place}; true")
    assert "No such file" in out.splitlines()[0]
    assert out.splitlines()[1:] == [shared_engine.workspace.name, beside.name]
    r = c.sh(f"cat {shared_engine.state}/journal.db")
    assert r["exit_code"] == 1 and b"No such file" in r.err


def test_a_link_out_of_the_workspace_leads_nowhere(c, shared_engine, shared_place):  # noqa: F811
    secret = shared_place / "secret2"
    secret.write_text("secret", encoding="utf-8")
    secret.chmod(0o666)
    link = shared_engine.workspace / "out"
    link.unlink(missing_ok=True)
    link.symlink_to(secret)
    r = c.sh("cat out")
    assert r["exit_code"] == 1 and b"No such file" in r.err, (r.out, r.err)


def test_files_belong_to_the_owner_of_the_workspace(c, shared_engine):  # noqa: F811
    ws = shared_engine.workspace
    given = ws / "given"
    given.write_text("by the host\n", encoding="utf-8")
    os.chown(given, ws.stat().st_uid, ws.stat().st_gid)
    given.chmod(0o600)
    out = said(c, "id -u; stat -c %u .; stat -c %u given; echo more >>given; cat given; "
               "mkdir -p d && echo new >d/made && stat -c %u d/made")
    uid, *owners = re.findall(r"^\d+$", out, re.M)
    assert uid != "0" and set(owners) == {uid}, out
    assert given.read_text(encoding="utf-8") == "by the host\nmore\n"
    for made in (ws / "d", ws / "d" / "made"):
        st = made.stat()
        assert (st.st_uid, st.st_gid) == (ws.stat().st_uid, ws.stat().st_gid), made


def test_the_environment_is_clean(c):
    r = c.sh("env")
    env = dict(line.split("=", 1) for line in r.out.decode().splitlines())
    assert not set(SECRETS) & set(env)
    extra = {k for k in env if k not in MAY_BE_SET and not k.startswith("LC_")}
    assert extra == set()
    assert env["PROCTOR_ID"] == r["id"]
    assert env["TMPDIR"] == "/tmp"
    assert "hidden" not in r.out.decode()


@pytest.mark.parametrize("name", ["LD_PRELOAD", "BASH_ENV", "PROCTOR_ID", "PYTHONPATH"])
def test_reserved_names_cannot_be_set(c, name):
    e = c.refused("process.run", {"argv": ["true"], "env": {name: "x"}})
    assert e.code in ("invalid_input", "denied") and name in str(e), e


def test_three_descriptors_are_open(c, waiting):
    # 3 is the directory that ls itself reads
    assert said(c, "ls /proc/self/fd").split() == ["0", "1", "2", "3"]
    assert sorted(os.listdir(f"/proc/{waiting['pid']}/fd")) == ["0", "1", "2"]


def test_proc_sys_cannot_be_written(c):
    out = said(c, "find /proc/sys /proc/irq /proc/bus /proc/sysrq-trigger -type f -writable "
               "2>/dev/null; echo end")
    assert out == "end\n"
    here = mounts(c)
    assert "ro" in here["/proc/sys"][0], here


def test_devices_are_few(c):
    names = set(said(c, "ls /dev").split())
    assert names <= {"null", "zero", "full", "random", "urandom", "tty", "fd", "stdin", "stdout",
                     "stderr", "ptmx", "pts", "shm", "console", "mqueue"}
    assert said(c, "echo x >/dev/null; head -c 4 /dev/zero | od -An -tx1") == " 00 00 00 00\n"


# What each attempt of probe.c must come to; what is not named: EPERM.
REFUSALS = {
    "openat2_any": {"ENOSYS"},
    "clone3_any": {"ENOSYS"},
    "io_uring_setup_any": {"ENOSYS"},
    "io_uring_enter_any": {"ENOSYS"},
    "io_uring_register_any": {"ENOSYS"},
    "fchmodat2_suid": {"EPERM", "ENOSYS"},
    "x32_entry": {"SIGSYS", "ENOSYS"},
    # Without 32-bit entry in the kernel the instruction itself is a fault.
    "i386_entry": {"SIGSYS", "ENOSYS", "SIGSEGV"},
    "proc_sys_write": {"EROFS", "EACCES", "EPERM"},
    "proc_sys_core": {"EROFS", "EACCES", "EPERM"},
    "proc_sysrq_write": {"EROFS", "EACCES", "EPERM", "ENOENT"},
    "root_write": {"EROFS", "EACCES"},
    "usr_write": {"EROFS", "EACCES"},
    "etc_write": {"EROFS", "EACCES"},
    "dev_write": {"EROFS", "EACCES"},
    "setuid_root": {"EPERM", "EINVAL"},
    "setgid_root": {"EPERM", "EINVAL"},
    "perf_any": {"EPERM", "EACCES"},
    "delete_module_any": {"EPERM"},
    # Landlock comes first.
    "mknod_device": {"EACCES"},
}


def test_what_is_refused(c, shared_engine, probe):  # noqa: F811
    r = c.run(put_probe(probe, shared_engine), "native")
    assert r["exit_code"] == 0, (dict(r), r.out, r.err)
    found = lines(r.out)
    assert len(found) > 60
    wrong = {n: v for n, v in found.items() if v not in REFUSALS.get(n, {"EPERM"})}
    assert wrong == {}
    assert not list(shared_engine.workspace.glob("probe.dev"))
    made = [p for p in shared_engine.workspace.rglob("*") if p.lstat().st_mode & 0o6000]
    assert made == []


def test_what_must_go_on_working(c, shared_engine, probe):  # noqa: F811
    r = c.run(put_probe(probe, shared_engine), "control")
    assert r["exit_code"] == 0, (dict(r), r.out, r.err)
    wrong = {n: v for n, v in lines(r.out).items() if v != "ok"}
    assert wrong == {} and len(lines(r.out)) > 10


def test_a_terminal_takes_no_forged_input(c, shared_engine, probe):  # noqa: F811
    for name in ("tiocsti", "tiocsti_high", "tioclinux"):
        r = c.run(put_probe(probe, shared_engine), "native", name, pty={})
        assert r.out.split() == [name.encode(), b"EPERM"], r.out


def test_the_record_says_what_isolates_it(c):
    r = c.run("true")
    assert r["isolation"]["backend"] == "native"
    layers = {x["name"]: x for x in r["isolation"]["layers"]}
    applied = {n for n, x in layers.items() if x["state"] == "applied"}
    assert "seccomp" in " ".join(applied)
    assert layers["landlock"]["note"].startswith("abi ")
    for x in layers.values():
        assert x["state"] in ("applied", "absent")
        assert x["state"] == "applied" or x["why"]
