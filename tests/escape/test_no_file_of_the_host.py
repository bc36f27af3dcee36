# SPDX-License-Identifier: Apache-2.0
"""A command sees no file of the host's but what it is shown, and changes none of these."""

import contextlib
import os
import socket
import stat

from proof import Mechanism, Target, as_root_alone, each, folder

TEXT = "the host's"


def put(path, world):
    path.write_text(TEXT, encoding="utf-8")
    path.chmod(0o666)
    if os.geteuid() == 0:
        os.chown(path, world.uid, world.uid)  # a link to a file of others is not for all
    return path


def read(*before, more=()):
    """Words before, the path of a file in /srv, words behind it, the text."""
    @contextlib.contextmanager
    def target(world, _kind):
        with folder("/srv") as top:
            yield Target((*before, str(put(top / "secret", world)), *more, TEXT))
    return target


@contextlib.contextmanager
def through_link(world, _kind):
    with folder("/srv") as top:
        yield Target((str(put(top / "secret", world)), "link", TEXT))
        (world.workspace / "link").unlink(missing_ok=True)


@contextlib.contextmanager
def upwards(world, _kind):
    with folder("/srv") as top:
        depth = str(len(world.workspace.parts) - 1)
        yield Target((str(put(top / "secret", world)), depth, TEXT))


@contextlib.contextmanager
def by_race(world, _kind):
    with folder("/srv") as top:
        yield Target((str(put(top / "secret", world)), TEXT))
        for name in ("race-dir", "race-link"):
            path = world.workspace / name
            if path.is_symlink():
                path.unlink()
            elif path.exists():
                path.rmdir()


def second_name(gone):
    """A file of the host's gets a name in the workspace."""
    @contextlib.contextmanager
    def target(world, _kind):
        new = world.workspace / "second"
        with folder("/srv") as top:
            old = put(top / "secret", world)

            def reached(_keeper):
                return new.exists() and old.exists() != gone
            yield Target((str(old), str(new)), reached)
            new.unlink(missing_ok=True)
    return target


def written(top):
    @contextlib.contextmanager
    def target(world, _kind):
        with folder(top) as path:
            file = put(path / "file", world)
            yield Target((str(file), "changed"),
                         lambda _keeper: file.read_text(encoding="utf-8").startswith("changed"))
    return target


@contextlib.contextmanager
def listening(_world, _kind):
    with folder("/srv") as top, socket.socket(socket.AF_UNIX) as s:
        s.bind(str(top / "sock"))
        s.listen()
        (top / "sock").chmod(0o666)
        s.settimeout(0)

        def reached(_keeper):
            try:
                with s.accept()[0] as peer:
                    peer.settimeout(5)
                    return peer.recv(64) == TEXT.encode()
            except BlockingIOError:
                return False
        yield Target((str(top / "sock"), TEXT), reached)


@contextlib.contextmanager
def device(world, _kind):
    node = world.workspace / "node"
    os.mknod(node, 0o666 | stat.S_IFCHR, os.makedev(1, 5))
    node.chmod(0o666)
    try:
        yield Target((str(node),))
    finally:
        node.unlink()


TABLE = [
    Mechanism("read_file", ("mounts", "landlock"), read(), needs=as_root_alone),
    Mechanism("read_upwards", ("mounts", "landlock"), upwards, needs=as_root_alone),
    Mechanism("read_through_link", ("mounts", "landlock"), through_link, needs=as_root_alone),
    Mechanism("read_by_race", ("mounts", "landlock"), by_race, needs=as_root_alone),
    Mechanism("hard_link", ("mounts", "landlock"), second_name(gone=False), needs=as_root_alone),
    Mechanism("rename_file", ("mounts", "landlock"), second_name(gone=True), needs=as_root_alone),
    Mechanism("write_file", ("mounts", "landlock"), written("/srv"), needs=as_root_alone),
    Mechanism("write_system_file", ("mounts", "landlock"), written("/opt"), "write_file",
              needs=as_root_alone),
    Mechanism("pathname_socket", ("mounts",), listening, needs=as_root_alone),
    Mechanism("open_device", ("mounts",), device, needs=as_root_alone),
]


@each(TABLE)
def test_it_is_stopped_by_these_layers(world, mechanism):
    world.prove(mechanism, "host's files")
