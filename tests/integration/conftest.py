# SPDX-License-Identifier: Apache-2.0
"""
What every integration test gets: a time limit of its own, an engine of its own,
and the check that no process of it is left.

Fixtures
    engine          a running engine.Engine; nothing may live when the test ends
    shared_engine   the same for all tests of a module; commands may not live on
    client          a connection to `engine` with the profile of `backend`
    shared_client   the same to `shared_engine`
    backend         "native" or "host": a test that uses it runs twice
    as_root         skips where the tests do not run as root

Marks
    limit(seconds)  of the call of a test, 30 unless said
"""

import ctypes
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import engine as engines  # noqa: E402

LIMIT = 30
ALL = os.environ.get("PROCTOR_TEST_ALL") == "1"


def pytest_configure(config):
    config.addinivalue_line("markers", "limit(seconds): how long the test may take")
    engines.become_subreaper()
    # A shell's background job begins with these ignored, and programs inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)


# Time limits


class TooLong(BaseException):
    """Not an Exception: no test swallows it by accident."""


def bounded(item, seconds, what):
    def over(_sig, _frame):
        raise TooLong(f"{item.nodeid}: {what} took more than {seconds} s")

    def run():
        signal.signal(signal.SIGALRM, over)
        # Again and again: the way out of a test may wait for what never comes, too.
        signal.setitimer(signal.ITIMER_REAL, seconds, 5)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)

    return run()


def seconds_of(item):
    mark = item.get_closest_marker("limit")
    seconds = mark.args[0] if mark else LIMIT
    # Sanitized programs are several times slower.
    return int(seconds * float(os.environ.get("PROCTOR_TEST_SLOWER", "1")))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item):
    yield from bounded(item, seconds_of(item), "the test")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_setup(item):
    yield from bounded(item, 60, "its preparation")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_teardown(item):
    yield from bounded(item, 60, "tidying up")


# Directories and engines


@pytest.fixture
def place():
    """An empty directory with a short path, removed afterwards."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="proctor-"))
    path.chmod(0o711)  # engines of other users live below it
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="module")
def shared_place():
    path = pathlib.Path(tempfile.mkdtemp(prefix="proctor-"))
    path.chmod(0o711)  # engines of other users live below it
    yield path
    shutil.rmtree(path, ignore_errors=True)


def finish(eng):
    """Stops an engine; whatever lives on is ended and named."""
    left = eng.leftovers()
    said = [repr(p) for p in left]
    engines.end_all(left)
    engines.reap_orphans()
    assert not said, "processes are left:\n" + "\n".join(said)


@pytest.fixture(autouse=True)
def nothing_left(request):
    """After every test no process lives but those of a shared engine."""
    before = engines.known()
    yield

    def new_command(p):
        return (p.pid, p.start) not in before and not engines.is_ours(p)

    def of_an_earlier_launcher(p):
        """An engine that was there before makes keepers ahead of need when it likes."""
        return engines.is_ours(p) and p.ppid in {pid for pid, _ in before}

    def new_anything(p):
        return (p.pid, p.start) not in before and not of_an_earlier_launcher(p)

    shared = "shared_engine" in request.fixturenames
    left = engines.settle(new_command if shared else new_anything)
    said = [repr(p) for p in left]
    engines.end_all(left)
    engines.reap_orphans()
    assert not said, "processes are left:\n" + "\n".join(said)


@pytest.fixture
def make_engine(place, nothing_left):
    """Makes engines that are not started yet: make_engine(name="e", args=(), env={})."""
    made = []

    def make(name="e", **kw):
        base = place / name
        base.mkdir(mode=0o700, exist_ok=True)
        eng = engines.Engine(base, **kw)
        made.append(eng)
        return eng

    yield make
    problems = []
    for eng in made:
        try:
            finish(eng)
        except AssertionError as e:
            problems.append(f"{e}\n{eng.errors()}")
    assert not problems, "\n".join(problems)


@pytest.fixture
def engine(make_engine):
    return make_engine().start()


@pytest.fixture(scope="module")
def shared_engine(shared_place):
    base = shared_place / "e"
    base.mkdir(mode=0o700)
    eng = engines.Engine(base).start()
    yield eng
    finish(eng)


# Backends


LANDLOCK_LEAST = 2
SYS_LANDLOCK_CREATE_RULESET = 444  # the same on all architectures


def landlock_abi():
    """The kernel's, 0 without any."""
    libc = ctypes.CDLL(None, use_errno=True)
    return max(0, libc.syscall(SYS_LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), 1))


def native_possible():
    """Why the kernel cannot give this user a native sandbox, or None."""
    if landlock_abi() < LANDLOCK_LEAST:
        return f"Landlock: the kernel has ABI {landlock_abi()}"
    r = subprocess.run(["unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork",
                        "--net", "true"], capture_output=True, check=False)
    if r.returncode == 0:
        return None
    return "user namespaces: " + r.stderr.decode(errors="replace").strip()


@pytest.fixture(scope="session")
def native_missing():
    return native_possible()


@pytest.fixture(params=["native", "host"])
def backend(request, native_missing):
    if request.param == "native" and native_missing:
        pytest.skip(native_missing)
    return request.param


@pytest.fixture
def native(native_missing):
    if native_missing:
        pytest.skip(native_missing)
    return "native"


@pytest.fixture
def as_root():
    if os.geteuid() != 0:
        pytest.skip("root: the tests run as an ordinary user")


@pytest.fixture
def client(engine, backend):
    with engine.connect(backend) as c:
        yield c


@pytest.fixture
def shared_client(shared_engine, backend):
    with shared_engine.connect(backend) as c:
        yield c


@pytest.fixture(scope="session")
def everything():
    """True with PROCTOR_TEST_ALL=1: larger numbers."""
    return ALL
