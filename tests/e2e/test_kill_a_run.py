"""Runs that are killed, cancelled, abandoned and read: what happened is said, and to their owner alone."""

import json
import os
import signal
import socket
import threading
import urllib.request
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.e2e.conftest import Answered, Site, wait_until
from tests.e2e.documents import document

SLEEP = ("sleep", f"54.{os.getpid()}")  # as no other test's, whose run may go on at the same time
SLEEPS = document(" ".join(SLEEP), language="bash")
QUICK = document("result = {'answer': 42}")
OF_A_RUN = ("", "/events", "/document", "/history", "/receipt")


@pytest.fixture(scope="module")
def ada(site: Site) -> str:
    return site.client("ada")


@pytest.fixture(scope="module")
def finished(site: Site, ada: str) -> dict[str, object]:
    """The answer of a run that ended well."""
    answer = site.execute(ada, QUICK).json
    assert answer["status"] == "success", answer
    return answer


def get(site: Site, key: str, path: str) -> Answered:
    return site.call("GET", path, headers={"x-api-key": key})


def running(site: Site, key: str) -> list[str]:
    runs = get(site, key, "/runs").json["runs"]
    return [run["run_id"] for run in runs if run["state"] == "running"]


def send_elsewhere(site: Site, key: str, raw: bytes) -> "tuple[ThreadPoolExecutor, Future[Answered]]":
    """Execute in a thread: the executor is to be shut down, the future holds the answer."""
    executor = ThreadPoolExecutor(1)
    return executor, executor.submit(site.execute, key, raw)


def descendants(of: int) -> set[int]:
    """Every process below one, by /proc."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            pid, _, rest = stat.read_text().partition(" (")
        except OSError:
            continue
        parents[int(pid)] = int(rest.rpartition(") ")[2].split()[1])
    found, layer = set[int](), {of}
    while layer:
        layer = {pid for pid, parent in parents.items() if parent in layer}
        found |= layer
    return found


def sleepers() -> list[str]:
    """Every process on this machine that is the block of SLEEPS."""
    return [path.parent.name for path in Path("/proc").glob("[0-9]*/cmdline") if _command(path) == [*SLEEP]]


def _command(path: Path) -> list[str]:
    try:
        return path.read_text("utf-8", "replace").split("\0")[:-1]
    except OSError:
        return []


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] not in "ZX"
    except OSError:
        return False


def test_another_principals_run_is_an_unknown_run_everywhere(site, ada, finished):
    eve = site.client("eve")
    of_ada, unknown = f"/runs/{finished['run_id']}", f"/runs/{'0' * 32}"
    for rest in OF_A_RUN:
        assert get(site, ada, of_ada + rest).status == 200, rest
        seen, never = get(site, eve, of_ada + rest), get(site, eve, unknown + rest)
        assert (seen.status, never.status) == (404, 404), rest
        assert seen.json | {"request_id": ""} == never.json | {"request_id": ""}
    sent = {"x-api-key": eve, "content-type": "application/json"}
    assert site.call("POST", of_ada + "/cancel", b"{}", sent).status == 404
    assert get(site, eve, "/runs").json["runs"] == []


def test_a_run_gives_back_its_document_history_and_a_receipt_that_verifies(site, ada, finished):
    of_run = f"/runs/{finished['run_id']}"
    assert get(site, ada, of_run + "/document").body == QUICK
    history = get(site, ada, of_run + "/history")
    assert history.headers["content-type"] == "application/jose+json"
    assert set(history.json) == {"payload", "signatures"}
    (site.folder / "receipt.json").write_bytes(get(site, ada, of_run + "/receipt").body)
    (site.folder / "answer.json").write_text(json.dumps(finished))
    (site.folder / "quick.maml.md").write_bytes(QUICK)
    (site.folder / "log.pub").write_text(site.ask("audit.key")["key"])
    given = ("--key", "log.pub", "--document", "quick.maml.md", "--answer", "answer.json")
    assert site.data("receipt", "verify", "receipt.json", *given)["verified"]


def test_the_events_of_a_run_are_streamed_to_its_end(site, ada, finished):
    executor, answer = send_elsewhere(site, ada, SLEEPS)
    wait_until(sleepers)
    (run_id,) = running(site, ada)
    asked = urllib.request.Request(f"{site.url}/runs/{run_id}/events", headers={"x-api-key": ada})
    with urllib.request.urlopen(asked, timeout=60) as events:
        assert states([next(line for line in events if line.startswith(b"data: "))]) == ["running"]
        sent = {"x-api-key": ada, "content-type": "application/json"}
        assert site.call("POST", f"/runs/{run_id}/cancel", b"{}", sent).status == 202
        assert states(events.read().splitlines()) == ["cancelled"]
    executor.shutdown()
    assert answer.result().json["status"] == "failed"
    of_finished = get(site, ada, f"/runs/{finished['run_id']}/events")
    assert states(of_finished.body.splitlines()) == ["success"]


def states(lines: list[bytes]) -> list[str]:
    """What the events among them say of their run."""
    return [json.loads(line.removeprefix(b"data: "))["state"] for line in lines if line.startswith(b"data: ")]


def test_a_cancelled_run_answers_failed_is_shown_as_cancelled_and_leaves_no_process(site, ada):
    executor, answer = send_elsewhere(site, ada, SLEEPS)
    wait_until(sleepers)
    (run_id,) = running(site, ada)
    sent = {"x-api-key": ada, "content-type": "application/json"}
    assert site.call("POST", f"/runs/{run_id}/cancel", b"{}", sent).status == 202
    executor.shutdown()
    assert answer.result().status == 200
    assert answer.result().json["status"] == "failed"
    assert "cancelled" in answer.result().json["error"]
    assert get(site, ada, f"/runs/{run_id}").json["state"] == "cancelled"
    assert site.call("POST", f"/runs/{run_id}/cancel", b"{}", sent).status == 409
    assert not sleepers()


def test_a_client_that_hangs_up_cancels_its_run(site, ada):
    host, _, port = site.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port))) as client:
        head = (
            f"POST /execute HTTP/1.1\r\nhost: {host}\r\nx-api-key: {ada}\r\ncontent-type: text/markdown\r\n"
        )
        client.sendall(f"{head}content-length: {len(SLEEPS)}\r\n\r\n".encode() + SLEEPS)
        wait_until(sleepers)
        (run_id,) = running(site, ada)
    wait_until(lambda: not running(site, ada))
    assert not sleepers()
    assert get(site, ada, f"/runs/{run_id}").json["state"] == "cancelled"
    (ended,) = (end for end in site.told("run-finished") if end["run_id"] == run_id)
    assert ended["status"] == "failed"


def test_a_run_that_dies_with_its_server_is_interrupted_and_leaves_no_process(site, ada):
    thread = threading.Thread(target=_execute_in_vain, args=(site, ada))
    thread.start()
    wait_until(sleepers)
    (run_id,) = running(site, ada)
    family = descendants(site.server.pid)
    assert {int(pid) for pid in sleepers()} <= family
    site.stop(signal.SIGKILL)
    thread.join()
    wait_until(lambda: not any(map(lives, family)))
    site.start()
    shown = get(site, ada, f"/runs/{run_id}").json
    assert shown["state"] == "interrupted"
    assert shown["answer"] is None
    (interrupted,) = site.told("run-interrupted")
    assert interrupted["run_id"] == run_id
    assert run_id not in {end["run_id"] for end in site.told("run-finished")}
    sent = {"x-api-key": ada, "content-type": "application/json"}
    assert site.call("POST", f"/runs/{run_id}/cancel", b"{}", sent).status == 409
    receipt = get(site, ada, f"/runs/{run_id}/receipt").json
    assert receipt["statement"]["what"] == "a run was interrupted, its outcome is unknown"
    assert site.execute(ada, QUICK).json["status"] == "success"


def _execute_in_vain(site: Site, key: str) -> None:
    try:
        answer = site.execute(key, SLEEPS)
    except OSError:
        return
    raise AssertionError(f"a killed server answered {answer.status}")
