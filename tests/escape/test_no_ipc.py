# SPDX-License-Identifier: Apache-2.0
"""No System V or POSIX object of the host is there, nor its name."""

import contextlib
import ctypes
import os
import random

from proof import Mechanism, Target, each

TEXT = b"hello from inside"
IPC_CREAT_EXCL, IPC_RMID, GETVAL = 0o3000, 0, 12
IPC_NOWAIT = 0o4000

libc = ctypes.CDLL(None, use_errno=True)
libc.shmat.restype = ctypes.c_void_p
libc.mq_open.argtypes = [ctypes.c_char_p, ctypes.c_int, ctypes.c_uint, ctypes.c_void_p]


def made(result):
    if result is None or result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def new_key():
    return random.randrange(1, 1 << 31)


@contextlib.contextmanager
def shared_memory(_world, _kind):
    key = new_key()
    ident = made(libc.shmget(key, 4096, IPC_CREAT_EXCL | 0o666))
    try:
        at = libc.shmat(ident, None, 0)
        yield Target((str(key), TEXT.decode()),
                     lambda _keeper: ctypes.string_at(at, len(TEXT)) == TEXT)
        libc.shmdt(ctypes.c_void_p(at))
    finally:
        libc.shmctl(ident, IPC_RMID, None)


@contextlib.contextmanager
def semaphore(_world, _kind):
    key = new_key()
    ident = made(libc.semget(key, 1, IPC_CREAT_EXCL | 0o666))
    try:
        yield Target((str(key), "77"), lambda _keeper: libc.semctl(ident, 0, GETVAL) == 77)
    finally:
        libc.semctl(ident, 0, IPC_RMID)


@contextlib.contextmanager
def message_queue(_world, _kind):
    key = new_key()
    ident = made(libc.msgget(key, IPC_CREAT_EXCL | 0o666))
    buf = ctypes.create_string_buffer(64)

    def reached(_keeper):
        n = libc.msgrcv(ident, buf, ctypes.c_size_t(32), ctypes.c_long(0), IPC_NOWAIT)
        return n == len(TEXT) and buf.raw[8:8 + n] == TEXT
    try:
        yield Target((str(key), TEXT.decode()), reached)
    finally:
        libc.msgctl(ident, IPC_RMID, None)


@contextlib.contextmanager
def posix_queue(_world, _kind):
    name = f"/proctor-escape-{os.getpid()}"
    old = os.umask(0)
    q = made(libc.mq_open(name.encode(), os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NONBLOCK,
                          0o666, None))
    os.umask(old)
    buf = ctypes.create_string_buffer(8192)

    def reached(_keeper):
        n = libc.mq_receive(q, buf, ctypes.c_size_t(8192), None)
        return n == len(TEXT) and buf.raw[:n] == TEXT
    try:
        yield Target((name, TEXT.decode()), reached)
    finally:
        libc.mq_close(q)
        libc.mq_unlink(name.encode())


@contextlib.contextmanager
def hostname(_world, _kind):
    yield Target((os.uname().nodename,))


TABLE = [
    Mechanism("shared_memory", ("ipc",), shared_memory),
    Mechanism("semaphore", ("ipc",), semaphore),
    Mechanism("message_queue", ("ipc",), message_queue),
    # A queue is a file of a file system that no rule names.
    Mechanism("posix_queue", ("ipc", "landlock"), posix_queue),
    Mechanism("see_hostname", ("uts",), hostname,
              needs=lambda _w: "uts: the host is called proctor itself"
              if os.uname().nodename == "proctor" else None),
]


@each(TABLE)
def test_it_is_stopped_by_these_layers(world, mechanism):
    world.prove(mechanism, "ipc, uts")
