# SPDX-License-Identifier: Apache-2.0
"""A directory of the host's, come in by its descriptor, opens nothing: Landlock alone."""

import contextlib
import os
import socket

from proof import Mechanism, Target, as_root_alone, each, folder

TEXT = "the host's"


def handed(*words, reached=None):
    @contextlib.contextmanager
    def target(world, _kind):
        ours, theirs = socket.socketpair()
        with folder("/srv") as top, ours, theirs:
            (top / "file").write_text(TEXT, encoding="utf-8")
            os.chown(top / "file", world.uid, world.uid)
            fd = os.open(top, os.O_RDONLY | os.O_DIRECTORY)
            socket.send_fds(ours, [b"x"], [fd])
            os.close(fd)
            yield Target(words, reached and (lambda _keeper: reached(top)),
                         fds=(theirs.fileno(),))
    return target


TABLE = [
    Mechanism("read_at", ("landlock",), handed("file", TEXT), needs=as_root_alone),
    Mechanism("write_at", ("landlock",),
              handed("file", "changed",
                     reached=lambda top: (top / "file").read_text() == "changed"),
              needs=as_root_alone),
    Mechanism("make_at", ("landlock",),
              handed("new", reached=lambda top: (top / "new").is_dir()), needs=as_root_alone),
    Mechanism("remove_at", ("landlock",),
              handed("file", reached=lambda top: not (top / "file").exists()),
              needs=as_root_alone),
    Mechanism("rename_at", ("landlock",),
              handed("file", "moved", reached=lambda top: (top / "moved").exists()),
              needs=as_root_alone),
]


@each(TABLE)
def test_it_is_stopped_by_these_layers(world, mechanism):
    world.prove(mechanism, "descriptors")
