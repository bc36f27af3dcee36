# SPDX-License-Identifier: Apache-2.0
"""A command reaches no process of the host's, no engine, no neighbour, and no keeper."""

import contextlib
import os
import signal

import engine as engines
import fixtures
import wire
from proof import Mechanism, Target, as_root_alone, each, folder, said_by, scopes

TEXT = "secret"


def host(reached, *more, uid=None):
    """A process of the host's that has the command's uid."""
    @contextlib.contextmanager
    def target(world, kind):
        with world.victim(TEXT, world.uid_of(kind) if uid is None else uid) as v:
            yield Target((str(v.pid), *more), reached and (lambda _keeper: reached(v)))
    return target


def died(v):
    """Ended by the signal: if there was none, it ends by itself."""
    v.stdin.close()
    return v.wait(20) == -signal.SIGTERM


def says(text):
    return lambda v: text in said_by(v)


def limits(pid):
    with open(f"/proc/{pid}/limits", encoding="utf-8") as f:
        return next(line for line in f if line.startswith("Max msgqueue")).split()[-3:-1]


def beside(reached, *more):
    """Another command of the same named sandbox: reached(connection, record)."""
    @contextlib.contextmanager
    def target(world, kind):
        with world.neighbour(kind, TEXT) as (r, params):
            c = world.connection(kind)
            yield Target((str(r["pid"]), *more), reached and (lambda _keeper: reached(c, r)),
                         params)
    return target


def end(c, r):
    with contextlib.suppress(wire.Refused):  # it has ended already
        c.call("process.write", {"id": r["id"], "data": "", "close": True})


def neighbour_died(c, r):
    end(c, r)
    return c.wait(r["id"])["signal"] == "SIGTERM"


def neighbour_says(text):
    def reached(c, r):
        end(c, r)
        return text in c.read_all(r["id"])[0]
    return reached


# With the user layer left out a command of root's engine is root: so is its victim.
HOST = [
    Mechanism("signal", ("pid", "landlock"), host(died), "signal_it", needs=scopes),
    Mechanism("prlimit", ("pid", "seccomp"), host(lambda v: limits(v.pid) == ["4096", "4096"]),
              "limit_it"),
    *(Mechanism(name, ("pid", "user", "landlock"), host(reached, text, uid=0), name,
                who=("root",))
      for name, reached, text in [
          ("read_memory", None, TEXT), ("write_memory", says(b"changed"), "changed"),
          ("trace", says(b"traced"), "traced"), ("take_descriptor", says(b"taken"), "taken\n")]),
]


def engine(reached):
    """An engine of the same user, for this alone: reached(engine)."""
    @contextlib.contextmanager
    def target(world, _kind):
        with folder("/tmp") as top:
            eng = engines.Engine(fixtures.home_for(top, world.user), user=world.user).start()
            try:
                yield Target((str(eng.pid),), lambda _keeper: reached(eng))
            finally:
                launchers = [p.pid for p in engines.descendants(eng.pid)]
                eng.stop()
                engines.wait_gone(launchers)
    return target


def told_to_end(eng):
    """It goes by itself, or still answers a call that came after the signal."""
    try:
        with eng.connect() as c:
            c.call("daemon.status")
    except (wire.Gone, ConnectionError, FileNotFoundError):
        eng.proc.wait(engines.PATIENCE)
        return eng.proc.returncode == 0
    return False


def engine_rows(who, *user_layer):
    """An engine of root is root: for a command to be of its uid, one more layer goes."""
    return [
        Mechanism(f"signal_of_{who}", ("pid", *user_layer, "landlock"), engine(told_to_end),
                  "signal_it", who=(who,), needs=scopes),
        Mechanism(f"prlimit_of_{who}", ("pid", *user_layer, "seccomp"),
                  engine(lambda eng: limits(eng.pid) == ["4096", "4096"]), "limit_it",
                  who=(who,)),
    ]


ENGINE = engine_rows("user") + engine_rows("root", "user")

NEIGHBOUR = [
    Mechanism("signal", ("pid", "landlock"), beside(neighbour_died), "signal_it", needs=scopes),
    Mechanism("prlimit", ("pid", "seccomp"),
              beside(lambda _c, r: limits(r["pid"]) == ["4096", "4096"]), "limit_it"),
    *(Mechanism(name, ("pid", "landlock"), beside(reached, text))
      for name, reached, text in [
          ("read_memory", None, TEXT), ("write_memory", neighbour_says(b"changed"), "changed"),
          ("trace", neighbour_says(b"traced"), "traced"),
          ("take_descriptor", neighbour_says(b"taken"), "taken\n")]),
]


def keeper(changed):
    @contextlib.contextmanager
    def target(_world, _kind):
        yield Target((), changed)
    return target


def field(pid, n):
    with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
        return int(f.read().rpartition(")")[2].split()[n])


def signalled(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as f:
        rows = dict(line.split(":", 1) for line in f)
    return any(int(rows[k], 16) >> (signal.SIGUSR1 - 1) & 1 for k in ("SigPnd", "ShdPnd"))


def traced(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as f:
        return not any(line.split() == ["TracerPid:", "0"] for line in f)


def is_keeper(pid):
    assert engines.Process(pid).comm.startswith("proctor-keeper"), pid
    return pid


# capabilities(7), CAP_SYS_NICE; cap_safe_nice() in the kernel
STRONGER = "the keeper holds CAP_KILL: who holds less cannot change its scheduling"
UNDUMPABLE = "the keeper is undumpable, and holds a capability that the command has not"

KEEPER = [
    Mechanism("keeper_signal", ("landlock",), keeper(lambda k: signalled(is_keeper(k))),
              needs=scopes),
    # Its limits are for root to read.
    Mechanism("keeper_limit", ("seccomp",),
              keeper(lambda k: limits(is_keeper(k)) == ["4096", "4096"]), needs=as_root_alone),
    *(Mechanism(name, ("seccomp",), keeper(changed), beyond=STRONGER, needs=needs)
      for name, changed, needs in [
          ("keeper_nice", lambda k: field(is_keeper(k), 16) == 5, None),
          ("keeper_affinity", lambda k: os.sched_getaffinity(is_keeper(k)) == {0},
           lambda _w: None if len(os.sched_getaffinity(0)) > 1 else "one processor"),
          ("keeper_scheduler",
           lambda k: os.sched_getscheduler(is_keeper(k)) == os.SCHED_BATCH, None)]),
    # Whoever is not root is refused by a keeper without a sandbox too.
    Mechanism("keeper_trace", ("landlock",), keeper(lambda k: traced(is_keeper(k))), who=("root",),
              beyond=UNDUMPABLE),
    Mechanism("keeper_memory", ("landlock",), who=("root",), beyond=UNDUMPABLE),
]


@each(HOST)
def test_of_the_host(world, mechanism):
    world.prove(mechanism, "host's processes")


@each(ENGINE)
def test_of_the_engine(world, mechanism):
    world.prove(mechanism, "engine")


@each(NEIGHBOUR)
def test_of_a_neighbour(world, mechanism):
    world.prove(mechanism, "neighbours")


@each(KEEPER)
def test_of_the_keeper(world, mechanism):
    world.prove(mechanism, "keeper")
