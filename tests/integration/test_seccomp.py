# SPDX-License-Identifier: Apache-2.0
"""Ordinary programs do not notice the system call filter; what is not on its list is refused."""

import os
import shutil

import pytest

from fixtures import connect, lines, probe, put_probe, shared_engine, whose  # noqa: F401

pytestmark = [pytest.mark.usefixtures("native"), pytest.mark.limit(60)]


@pytest.fixture
def c(shared_engine):  # noqa: F811
    with connect(shared_engine) as connection:
        yield connection


@pytest.fixture
def place(shared_engine, request):  # noqa: F811
    """A directory of the test's own in the workspace, and its name there."""
    at = shared_engine.workspace / request.node.name.translate(str.maketrans("[]", "--"))
    at.mkdir()
    if shared_engine.user is not None:
        os.chown(at, shared_engine.user, shared_engine.user)
    return at


def needs(name):
    """The program as a sandbox sees it: below /usr."""
    path = shutil.which(name, path="/usr/bin:/bin")
    if path is None:
        pytest.skip(f"{name}: not installed below /usr")
    return path


def good(r):
    assert r["exit_code"] == 0, (dict(r), r.out[-2000:], r.err[-2000:])
    return r.out.decode()


def put(place, name, text):
    path = place / name
    path.write_text(text, encoding="utf-8")
    path.chmod(0o644)
    return f"{place.name}/{name}"


def python(c, text):
    return good(c.run("/usr/bin/python3", "-c", text))


# Python


def test_python_with_threads_and_processes(c):
    out = python(c, """
import concurrent.futures, multiprocessing, os, subprocess, threading
seen = []
threads = [threading.Thread(target=seen.append, args=(i,)) for i in range(20)]
[t.start() for t in threads]
[t.join() for t in threads]
print(len(seen))
print(subprocess.run(["echo", "child"], capture_output=True, check=True).stdout.decode().strip())
print(subprocess.check_output("exec cat", shell=True, input=b"piped").decode())
with multiprocessing.get_context("fork").Pool(3) as pool:
    print(sum(pool.map(abs, range(-10, 0))))
with concurrent.futures.ThreadPoolExecutor(4) as pool:
    print(sum(pool.map(len, ["a"] * 9)))
""")
    assert out.split() == ["20", "child", "piped", "55", "9"]


def test_python_with_sqlite_and_its_locks(c, place):
    out = python(c, f"""
import sqlite3
db = sqlite3.connect("{place.name}/x.db")
db.execute("PRAGMA journal_mode=WAL")
db.execute("CREATE TABLE t (x)")
db.executemany("INSERT INTO t VALUES (?)", [(i,) for i in range(100)])
db.commit()
print(sqlite3.connect("{place.name}/x.db").execute("SELECT sum(x) FROM t").fetchone()[0])
""")
    assert out == "4950\n"


def test_python_with_asyncio_and_subprocesses(c):
    out = python(c, """
import asyncio
async def echo(r, w):
    w.write(await r.readline())
    await w.drain()
    w.close()
async def main():
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server:
        r, w = await asyncio.open_connection(*server.sockets[0].getsockname())
        w.write(b"hello\\n")
        print((await r.readline()).decode().strip())
        w.close()
    p = await asyncio.create_subprocess_exec("echo", "async", stdout=asyncio.subprocess.PIPE)
    print((await p.communicate())[0].decode().strip(), p.returncode)
    print(await asyncio.to_thread(lambda: "thread"))
asyncio.run(main())
""")
    assert out.split() == ["hello", "async", "0", "thread"]


def test_servers_and_clients_over_loopback_and_unix(c, place):
    out = python(c, f"""
import http.server, socket, threading, urllib.request
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b"served")
    def log_message(self, *_): pass
s = http.server.ThreadingHTTPServer(("127.0.0.1", 0), H)
threading.Thread(target=s.serve_forever, daemon=True).start()
print(urllib.request.urlopen(f"http://127.0.0.1:{{s.server_port}}/").read().decode())
u = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM); u.bind(("::1", 0))
v = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM); v.sendto(b"udp6", u.getsockname())
print(u.recv(9).decode())
l = socket.socket(socket.AF_UNIX); l.bind("{place.name}/s"); l.listen()
d = socket.socket(socket.AF_UNIX); d.connect("{place.name}/s"); d.sendall(b"unix")
print(l.accept()[0].recv(9).decode())
print([n for _, n in socket.if_nameindex()][0])
print(socket.getaddrinfo("127.0.0.1", 80)[0][4][0])
""")
    assert out.split() == ["served", "udp6", "unix", "lo", "127.0.0.1"]


def test_terminals_notifications_and_shared_memory(c, place):
    out = python(c, f"""
import ctypes, fcntl, mmap, multiprocessing.shared_memory as sm, os, pty, select, signal, struct, termios
m, s = pty.openpty()
fcntl.ioctl(s, termios.TIOCSWINSZ, struct.pack("4H", 30, 90, 0, 0))
print(struct.unpack("4H", fcntl.ioctl(m, termios.TIOCGWINSZ, b"\\0" * 8))[:2])
libc = ctypes.CDLL(None, use_errno=True)
i = libc.inotify_init1(0)
assert libc.inotify_add_watch(i, b"{place.name}", 0x100) >= 0, ctypes.get_errno()
open("{place.name}/new", "w").close()
e = select.epoll(); e.register(i, select.EPOLLIN)
print(len(e.poll(10)))
x = sm.SharedMemory(create=True, size=4096); x.buf[0] = 7; print(x.buf[0]); x.close(); x.unlink()
f = os.memfd_create("m"); os.ftruncate(f, 4096); print(len(mmap.mmap(f, 4096)))
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
signal.setitimer(signal.ITIMER_REAL, 0.01); signal.sigwait([signal.SIGALRM])
with open("{place.name}/new", "wb") as x: x.write(b"abc")
print(os.copy_file_range(os.open("{place.name}/new", os.O_RDONLY), os.open("{place.name}/to", os.O_CREAT | os.O_WRONLY), 3))
p = os.posix_spawn("/bin/true", ["true"], {{}}); print(select.select([os.pidfd_open(p)], [], [], 9)[0] != [])
""")
    assert out.split("\n")[:-1] == ["(30, 90)", "1", "7", "4096", "3", "True"]


# Tools


def test_gcc_compiles_and_the_program_runs(c, place):
    needs("gcc")
    put(place, "t.c", """
#include <pthread.h>
#include <stdio.h>
static void *f(void *x) { return x; }
int main(void) { pthread_t t; void *r; pthread_create(&t, 0, f, "thread"); pthread_join(t, &r);
	FILE *p = popen("echo popen", "r"); char b[9]; fgets(b, 9, p); pclose(p); printf("%s %s", (char *)r, b); }
""")
    out = good(c.sh(f"cd {place.name} && gcc -O2 -flto -pthread -o t t.c && ./t"))
    assert out == "thread popen\n"


def test_make_in_parallel(c, place):
    needs("make")
    put(place, "Makefile", "all: a b c\na b c:\n\tsleep 0; echo $@ >$@\n")
    assert good(c.sh(f"cd {place.name} && make -s -j3 && cat a b c")) == "a\nb\nc\n"


def test_git_init_commit_clone(c, place):
    needs("git")
    out = good(c.sh(f"cd {place.name} && git init -q r && cd r && git config user.email a@b && "
                    "git config user.name n && echo x >f && git add f && git commit -qm first && "
                    "git clone -q . ../copy && git gc -q && git -C ../copy log --format=%s"))
    assert out == "first\n"


def test_tar_and_find(c, place):
    out = good(c.sh(f"cd {place.name} && mkdir -p d/e && echo x >d/e/f && ln -s f d/e/l && "
                    "tar czf t.tgz d && mkdir o && tar xzpf t.tgz -C o && find o -type f && "
                    "cp -a o p && rm -rf o && find p -type l"))
    assert out.split() == ["o/d/e/f", "p/d/e/l"]


def test_gdb_on_an_own_program(c, place):
    needs("gdb")
    needs("gcc")
    put(place, "t.c", "int twice(int x) { return 2 * x; }\nint main(void) { return twice(21); }\n")
    out = good(c.sh(f"cd {place.name} && gcc -g -o t t.c && gdb -nx -batch -ex 'break twice' -ex run "
                    "-ex 'print x' -ex finish -ex continue ./t 2>&1"))
    assert "$1 = 21" in out and "Value returned is $2 = 42" in out, out
    assert "exited with code 052" in out and "Error disabling address space" not in out, out


def test_node_with_workers_and_a_server(c, place):
    node = needs("node")
    name = put(place, "t.js", """
const net = require("net"), { Worker } = require("worker_threads"), cp = require("child_process");
const fs = require("fs");
const s = net.createServer((x) => x.end("net")).listen(0, "127.0.0.1", () =>
  net.connect(s.address().port, "127.0.0.1").on("data", (d) => {
    console.log(String(d)); s.close();
    console.log(String(cp.execFileSync("echo", ["child"])).trim());
    new Worker("require('worker_threads').parentPort.postMessage('worker')", { eval: true })
      .on("message", (m) => { console.log(m); fs.promises.readFile("/etc/passwd").then(() => console.log("file")); });
  }));
""")
    assert good(c.run(node, name)).split() == ["net", "child", "worker", "file"]


def test_java_runs(c):
    java = needs("java")
    assert "version" in c.run(java, "-version").err.decode()


# What is not on the list


def test_attempts_beyond_the_list_are_refused(c, shared_engine, probe):  # noqa: F811
    names = {"alg_socket", "vsock_socket", "vsock_socket_high", "packet_socket", "sctp_socket",
             "netfilter_socket", "generic_netlink_socket", "personality_exec",
             "personality_exec_high", "fanotify_any", "kcmp_own", "move_pages_own",
             "adjtimex_read"}
    r = c.run(put_probe(probe, shared_engine), "native")
    found = lines(r.out)
    assert {n: found.get(n) for n in names} == dict.fromkeys(names, "EPERM")


def test_a_command_may_restrict_itself_further(c):
    out = python(c, """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
class Filter(ctypes.Structure):
    _fields_ = [("code", ctypes.c_ushort), ("jt", ctypes.c_ubyte), ("jf", ctypes.c_ubyte), ("k", ctypes.c_uint)]
class Prog(ctypes.Structure):
    _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.POINTER(Filter))]
rule = (Filter * 1)(Filter(6, 0, 0, 0x7fff0000))
print(libc.prctl(22, 2, ctypes.byref(Prog(1, rule)), 0, 0))
print([l.split()[1] for l in open("/proc/self/status") if l.startswith("Seccomp_filters")][0])
""")
    assert out.split() == ["0", "2"]
