"""Receipts from a running gateway in a stranger's hands: every kind of answer, after a crash, and dated."""

import io
import json
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import Answered, Site, make_site, wait_until
from tests.tsa import Authority, needs_openssl

from macroslow.cli._main import run

DOCUMENT = b"""---
maml_version: "2.0.0"
id: urn:uuid:11111111-2222-4333-8444-555555555555
type: workflow
origin: agent://tester
permissions:
  execute: ["gateway://local"]
---

## Intent

Prove a run.

## Context

None.
"""
HELLO = [{"role": "user", "content": "hello"}]
MODEL = "gpt-4o-mini"
ASKED: dict[str, tuple[str, str, bytes]] = {
    "chat": (
        "/v1/chat/completions",
        "application/json",
        json.dumps({"model": MODEL, "messages": HELLO}).encode(),
    ),
    "stream": (
        "/v1/chat/completions",
        "application/json",
        json.dumps({"model": MODEL, "messages": HELLO, "stream": True}).encode(),
    ),
    "responses": (
        "/v1/responses",
        "application/json",
        json.dumps({"model": MODEL, "input": "hello"}).encode(),
    ),
    "embeddings": (
        "/v1/embeddings",
        "application/json",
        json.dumps({"model": "text-embedding-3-small", "input": "hello"}).encode(),
    ),
    "run": ("/execute", "text/markdown", DOCUMENT),
    "mcp": (
        "/mcp",
        "application/json",
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"usage","arguments":{}}}',
    ),
}


def ask(site: Site, key: str, kind: str, **headers: str) -> Answered:
    path, media_type, body = ASKED[kind]
    sent = {
        "x-api-key": key,
        "content-type": media_type,
        "accept": "application/json, text/event-stream",
        "mcp-protocol-version": "2025-11-25",
        "x-macroslow-receipt": "true",
    }
    return site.call("POST", path, body, sent | headers)


def receipt(site: Site, key: str, answer: Answered) -> Answered:
    return site.call("GET", answer.headers["x-macroslow-receipt"], headers={"x-api-key": key})


def stranger(site: Site, folder: Path, told: bytes, answer: bytes, *options: str) -> Any:
    """What `receipt verify` says in a folder that has nothing of the gateway's but its key."""
    (folder / "receipt.json").write_bytes(told)
    (folder / "answer").write_bytes(answer)
    (folder / "log.pub").write_text(site.ask("audit.key")["key"])
    told_receipt, told_answer, log_key = (
        str(folder / name) for name in ("receipt.json", "answer", "log.pub")
    )
    with redirect_stdout(io.StringIO()) as out:
        run(
            ["receipt", "verify", told_receipt, "--answer", told_answer, "--key", log_key, "--json", *options]
        )
    return json.loads(out.getvalue())


@pytest.mark.parametrize("kind", ASKED)
def test_every_kind_of_answer_is_proved_to_a_stranger(kind: str, site: Site, tmp_path: Path) -> None:
    key = site.client("ada")
    answer = ask(site, key, kind)
    assert answer.status == 200, answer.body
    assert answer.headers["x-macroslow-receipt"] == "/receipts/" + answer.headers["x-request-id"]
    told = receipt(site, key, answer)
    assert told.status == 200, told.body
    verdict = stranger(site, tmp_path, told.body, answer.body)
    assert verdict["verified"], verdict
    assert verdict["checked_answer"]
    assert verdict["statement"]["who"] == "ada"
    assert verdict["statement"]["details"]["request_id"] == answer.headers["x-request-id"]
    forged = stranger(site, tmp_path, told.body, answer.body.replace(b"}", b"}}", 1))
    assert forged["verified"] is False


def test_nobody_gets_anothers_receipt(site: Site) -> None:
    answer = ask(site, site.client("ada"), "chat")
    eve = site.client("eve")
    foreign, unknown = receipt(site, eve, answer), site.call("GET", "/receipts/0", headers={"x-api-key": eve})
    assert foreign.status == unknown.status == 404
    assert {**foreign.json, "request_id": ""} == {**unknown.json, "request_id": ""}


def test_a_repeated_request_has_the_receipt_of_its_one_answer(site: Site, tmp_path: Path) -> None:
    key = site.client("ada")
    first, again = (ask(site, key, "chat", **{"idempotency-key": "once"}) for _ in range(2))
    assert again.headers["idempotency-replayed"] == "true"
    assert again.headers["x-macroslow-receipt"] == first.headers["x-macroslow-receipt"]
    assert stranger(site, tmp_path, receipt(site, key, again).body, again.body)["verified"]


def test_a_refusal_has_no_receipt(site: Site) -> None:
    key = site.client("ada")
    for refused in (
        ask(site, key, "chat", **{"x-macroslow-receipt": "yes"}),
        ask(site, "msk_nobody", "chat"),
    ):
        assert refused.status in {400, 401}
        assert "x-macroslow-receipt" not in refused.headers


@pytest.fixture
def own(tmp_path: Path, emulator_url: str, clean_environment: dict[str, str]) -> Iterator[Site]:
    made = make_site(tmp_path / "gateway", emulator_url, clean_environment)
    yield made
    if made.server is not None:
        made.stop()


def test_an_answer_that_arrived_has_its_receipt_after_kill_9(own: Site, tmp_path: Path) -> None:
    own.start()
    key = own.client("ada")
    answers = {kind: ask(own, key, kind) for kind in ASKED}
    own.stop(signal.SIGKILL)
    own.start()
    for kind, answer in answers.items():
        told = receipt(own, key, answer)
        assert stranger(own, tmp_path, told.body, answer.body)["verified"], kind


# Dated by a third party


@contextmanager
def stamping(authority: Authority) -> Iterator[str]:
    """The authority over HTTP; its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            reply = authority.reply(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.send_header("content-type", "application/timestamp-reply")
            self.send_header("content-length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply)

        def log_message(self, format: str, *_: object) -> None: ...  # noqa: A002 (its base's name)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/tsr"
        finally:
            server.shutdown()
            thread.join()


def with_authority(site: Site, url: str, roots: Path) -> None:
    text = (site.folder / "macroslow.toml").read_text()
    more = f'[log.timestamps]\nurl = "{url}"\nroots = "{roots}"\n'
    (site.folder / "macroslow.toml").write_text(text + more)


@needs_openssl
def test_a_receipt_carries_the_stamp_that_came_after_it(own: Site, tmp_path: Path) -> None:
    own.start()
    key = own.client("ada")
    answer = ask(own, key, "chat")
    own.stop()
    authority = Authority(tmp_path / "tsa")
    with stamping(authority) as url:
        with_authority(own, url, authority.root_file)
        own.start()
        wait_until(lambda: "time-stamped by 127.0.0.1" in own.said)
    told = receipt(own, key, answer).body
    verdict = stranger(own, tmp_path, told, answer.body, "--tsa-roots", str(authority.root_file))
    assert verdict["verified"], verdict
    assert verdict["proved"].startswith("signed · time-stamped 20")
    index = str(verdict["index"])
    assert "timestamp" in json.loads(own.command("audit", "prove", index).stdout)


@needs_openssl
def test_an_authority_that_nobody_believes_stops_nothing(own: Site, tmp_path: Path) -> None:
    ours, other = Authority(tmp_path / "ours"), Authority(tmp_path / "other")
    with stamping(other) as url:
        with_authority(own, url, ours.root_file)
        own.start()
        wait_until(lambda: "is not time-stamped" in own.said)
        key = own.client("ada")
        answer = ask(own, key, "chat")
        assert "timestamp" not in receipt(own, key, answer).json
        assert url not in own.said


@pytest.mark.parametrize("content", [None, b"not a certificate"], ids=["missing", "no certificate"])
def test_roots_that_cannot_be_read_stop_the_start(content: bytes | None, own: Site, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "roots.pem").write_bytes(content)
    with_authority(own, "http://127.0.0.1:9/tsr", tmp_path / "roots.pem")
    for command in (("serve", "--listen", "127.0.0.1:0"), ("config", "check")):
        refused = own.command(*command)
        assert refused.returncode == 78
        assert "roots.pem" in refused.stderr + refused.stdout
        assert "[log.timestamps] roots" in refused.stderr + refused.stdout
