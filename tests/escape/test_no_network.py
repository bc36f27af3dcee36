# SPDX-License-Identifier: Apache-2.0
"""A command reaches no network but its own loopback, and sees no other."""

import contextlib
import os
import socket

from proof import Mechanism, Target, each, scopes

TEXT = "hello from inside"


def came(s):
    """Whether the text has come to a socket: what is sent on one machine is there at once."""
    s.settimeout(0)
    try:
        if s.type == socket.SOCK_DGRAM:
            return s.recv(64) == TEXT.encode()
        with s.accept()[0] as peer:
            peer.settimeout(5)
            return peer.recv(64) == TEXT.encode()
    except BlockingIOError:
        return False


def inet(family, kind):
    @contextlib.contextmanager
    def target(_world, _kind):
        with socket.socket(family, kind) as s:
            s.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
            if kind == socket.SOCK_STREAM:
                s.listen()
            yield Target((str(s.getsockname()[1]), TEXT), lambda _keeper: came(s))
    return target


def abstract(kind):
    @contextlib.contextmanager
    def target(_world, _kind):
        name = f"proctor-escape-{os.getpid()}"
        with socket.socket(socket.AF_UNIX, kind) as s:
            s.bind("\0" + name)
            if kind == socket.SOCK_STREAM:
                s.listen()
            yield Target((name, TEXT), lambda _keeper: came(s))
    return target


def others():
    return [name for _, name in socket.if_nameindex() if name != "lo"]


@contextlib.contextmanager
def interface(_world, _kind):
    yield Target((others()[0],))


TABLE = [
    Mechanism("tcp", ("network",), inet(socket.AF_INET, socket.SOCK_STREAM)),
    Mechanism("udp", ("network",), inet(socket.AF_INET, socket.SOCK_DGRAM)),
    Mechanism("tcp6", ("network",), inet(socket.AF_INET6, socket.SOCK_STREAM)),
    Mechanism("abstract_stream", ("network", "landlock"), abstract(socket.SOCK_STREAM),
              needs=scopes),
    Mechanism("abstract_datagram", ("network", "landlock"), abstract(socket.SOCK_DGRAM),
              needs=scopes),
    Mechanism("see_interface", ("network",), interface,
              needs=lambda _w: None if others() else "network: the host has only lo"),
]


@each(TABLE)
def test_it_is_stopped_by_these_layers(world, mechanism):
    world.prove(mechanism, "network")
