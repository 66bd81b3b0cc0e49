"""Shared by all tests: where things are, and the rule that continuous integration skips nothing."""

import atexit
import os
import resource
import shutil
import signal
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes is the machine's affair, and which are tried is no matter of luck: for the same
# test always the same ones. `--hypothesis-profile others` tries others.
settings.register_profile("others", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("same", settings.get_profile("others"), derandomize=True)
settings.load_profile("same")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts background jobs so, and every process of ours would inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Where a gateway notes what it signed last: not in the home of whoever runs the tests.
os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp(prefix="macroslow-tests-")
atexit.register(shutil.rmtree, os.environ["XDG_STATE_HOME"], ignore_errors=True)

# Some tests hold thousands of sockets.
_soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
_wanted = 20_000 if _hard == resource.RLIM_INFINITY else min(20_000, _hard)
if _soft != resource.RLIM_INFINITY and _soft < _wanted:
    resource.setrlimit(resource.RLIMIT_NOFILE, (_wanted, _hard))

ROOT = Path(__file__).parent.parent
VECTORS = ROOT.parent / "shared" / "vectors"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With MACROSLOW_NO_SKIPS set, a test that skips has failed: the machine lacks what it needs."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("MACROSLOW_NO_SKIPS"):
        report.outcome = "failed"
        report.longrepr = f"skipped where nothing may be skipped: {report.longrepr}"
    return report


@pytest.fixture(scope="session")
def vectors() -> Path:
    """The folder of large published test vectors; the test skips where it is not there."""
    if not VECTORS.is_dir():
        pytest.skip(f"no published vectors at {VECTORS.relative_to(ROOT.parent)} beside the project")
    return VECTORS
