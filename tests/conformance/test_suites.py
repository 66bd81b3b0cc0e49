"""Both official suites, through authentication, limits and the log; and that they notice what is missing."""

import socket
from pathlib import Path

import pytest
from tests.conformance.conftest import SERVERS, Served, serving
from tests.conformance.suites import SUITES, Suite, judge, run
from tests.node import path_to_mcp

pytestmark = pytest.mark.timeout(600)  # a suite is hundreds of requests, and the machine may be busy

OLD, _, NEW = SUITES
each = pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.name)


@each
def test_everything_that_a_suite_requires_passes(suite: Suite, served: Served, tmp_path: Path) -> None:
    outcome = run(suite, served.url, tmp_path)
    if outcome.exit_code:  # some answers have half a second: who is busy just then is asked once more
        outcome = run(suite, served.url, tmp_path)
    judge(suite, outcome)


@each
def test_a_server_that_is_not_there_does_not_pass(suite: Suite, tmp_path: Path) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and not listening
        outcome = run(suite, f"http://127.0.0.1:{nobody.getsockname()[1]}", tmp_path)
    with pytest.raises(AssertionError, match="exit code 1"):
        judge(suite, outcome)


@pytest.mark.sweep
@pytest.mark.parametrize(
    ("missing", "suite", "scenario"),
    [
        ("believes any host", OLD, "dns-rebinding-protection"),
        ("has no fixtures", NEW, "tools-call-image"),
        ("has no sessions", OLD, "tools-call-sampling"),
        ("lets nobody in", NEW, "tools-list"),
    ],
    ids=lambda value: value.name if isinstance(value, Suite) else value.replace(" ", "-"),
)
def test_a_server_without_something_does_not_pass(
    missing: str, suite: Suite, scenario: str, tmp_path: Path
) -> None:
    path_to_mcp()  # or skip
    with serving(tmp_path, str(SERVERS), missing) as found:
        outcome = run(suite, found.url, tmp_path)
    assert outcome.scenarios[scenario][1] > 0
    with pytest.raises(AssertionError, match="exit code 1"):
        judge(suite, outcome)
