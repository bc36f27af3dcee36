# SPDX-License-Identifier: Apache-2.0
"""
What every escape test gets. The helpers are those of tests/integration.

world   a proof.World: engines of one user, one for each combination of layers
        left out; "root" and "user", once per run each
"""

import importlib.util
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import pytest

HERE = pathlib.Path(__file__).parent
INTEGRATION = HERE.parent / "integration"
sys.path.insert(1, str(INTEGRATION))

# Under a name of its own: there can be but one "conftest", and this is it.
_spec = importlib.util.spec_from_file_location("integration_conftest", INTEGRATION / "conftest.py")
_integration = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_integration)

pytest_configure = _integration.pytest_configure
pytest_runtest_call = _integration.pytest_runtest_call
pytest_runtest_setup = _integration.pytest_runtest_setup
pytest_runtest_teardown = _integration.pytest_runtest_teardown
finish = _integration.finish  # fixtures.py imports it from here
landlock_abi = _integration.landlock_abi
native_missing = _integration.native_missing

import engine as engines  # noqa: E402
import fixtures  # noqa: E402
import proof  # noqa: E402


@pytest.fixture(scope="session")
def program(tmp_path_factory):
    """The static program `attempt`."""
    to = tmp_path_factory.mktemp("attempt") / "attempt"
    cc = os.environ.get("CC", "gcc").split()
    subprocess.run([*cc, "-std=gnu17", "-D_GNU_SOURCE", "-O1", "-static", "-no-pie", "-o", str(to),
                    *map(str, sorted(HERE.glob("attempt*.c")))], check=True)
    return to


@pytest.fixture(scope="session", params=["root", "user"])
def world(request, program, native_missing):  # noqa: F811
    if native_missing:
        pytest.skip(native_missing)
    if not proof.leaves_out():
        pytest.skip("fault injection: not in this build")
    uid, copy, old = None, None, os.environ["PROCTOR_BIN"]
    if os.geteuid() != 0 and request.param == "root":
        pytest.skip("root: the tests run as an ordinary user")
    if os.geteuid() == 0 and request.param == "user":
        uid = fixtures.ORDINARY
        path, copy = fixtures.reachable_programs(uid)
        os.environ["PROCTOR_BIN"] = str(path)
    place = pathlib.Path(tempfile.mkdtemp(prefix="proctor-"))
    place.chmod(0o755)
    w = proof.World(request.param, uid, place, program)
    yield w
    problems = w.close()
    os.environ["PROCTOR_BIN"] = old
    shutil.rmtree(place, ignore_errors=True)
    if copy:
        shutil.rmtree(copy, ignore_errors=True)
    assert not problems, "\n".join(problems)


@pytest.fixture(autouse=True)
def nothing_left():
    """After every test no command lives; the engines do."""
    before = engines.known()
    yield
    left = engines.settle(lambda p: (p.pid, p.start) not in before and not engines.is_ours(p))
    said = [repr(p) for p in left]
    engines.end_all(left)
    engines.reap_orphans()
    assert not said, "processes are left:\n" + "\n".join(said)


def applies(item):
    params = item.callspec.params if hasattr(item, "callspec") else {}
    mechanism = params.get("mechanism")
    return not isinstance(mechanism, proof.Mechanism) or params["world"] in mechanism.who


def pytest_collection_modifyitems(items):
    """A row that is for one of the two users is no test of the other's."""
    items[:] = filter(applies, items)


def pytest_terminal_summary(terminalreporter):
    """What stopped what, as measured."""
    if proof.measured and terminalreporter.verbosity > 0:
        terminalreporter.section("mechanism, the layers that stop it")
        for line in proof.table():
            terminalreporter.write_line(line)
