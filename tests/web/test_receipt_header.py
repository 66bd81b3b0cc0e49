"""Receipts by request header: what the routes make of it, and what an answer says."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Mapping
from typing import Any

import pytest
from tests.contract.fake_books import FakeBooks
from tests.web.fakes import Answer, FakeClock, House, build

from macroslow.authz import scopes
from macroslow.errors import LogUnavailableError, RateLimitedError
from macroslow.services.calls.answer_once import AnswerOnce
from macroslow.services.calls.settle_call import ModelAnswer, ModelStream
from macroslow.web.messages import Message, Receive, Scope, Send
from macroslow.web.receipted import answer_receipted

HEADER = "x-macroslow-receipt"
ASKED = (HEADER, "true")
MODEL_ROUTES = ("/v1/chat/completions", "/v1/responses", "/v1/embeddings", "/v1/messages")
RECEIPTED = (*MODEL_ROUTES, "/execute")
BODY = b'{"document":"x"}'


@pytest.fixture
async def house() -> House:
    return await build()


async def ask(house: House, path: str, *headers: tuple[str, str], **given: Any) -> Answer:
    return await house.ask("POST", path, headers=headers, body=BODY, **given)


@pytest.mark.parametrize("path", RECEIPTED)
async def test_the_answer_says_where_its_receipt_is_and_there_it_is(path: str, house: House) -> None:
    answer = await ask(house, path, ASKED)
    assert answer.status == 200
    assert answer.headers[HEADER] == "/receipts/" + answer.headers["x-request-id"]
    receipt = await house.ask("GET", answer.headers[HEADER])
    assert (receipt.status, receipt.json) == (200, {"receipt_of": answer.headers["x-request-id"]})


@pytest.mark.parametrize("path", RECEIPTED)
async def test_without_the_header_nothing_is_kept_and_nothing_said(path: str, house: House) -> None:
    kept = dict(house.seen.receipts)
    answer = await ask(house, path)
    assert answer.status == 200
    assert HEADER not in answer.headers
    assert house.seen.receipts == kept


@pytest.mark.parametrize("path", [*RECEIPTED, "/validate"])
@pytest.mark.parametrize("value", ["", "1", "True", "false", "true, true", "yes", "\xff"], ids=ascii)
async def test_any_other_value_is_400_before_anything_is_done(path: str, value: str, house: House) -> None:
    answer = await ask(house, path, (HEADER, value))
    assert answer.status == 400
    assert HEADER.encode() in answer.body
    assert HEADER not in answer.headers
    assert not house.seen.chats
    assert not house.seen.submissions


async def test_the_header_twice_is_400(house: House) -> None:
    answer = await ask(house, MODEL_ROUTES[0], ASKED, ASKED)
    assert (answer.status, house.seen.chats) == (400, [])


async def test_a_refusal_says_nothing_of_a_receipt() -> None:
    async def refuse(*_: object, **__: object) -> ModelAnswer:
        raise RateLimitedError("too many", limit="requests", count=1, period_s=60, retry_after_s=1)

    answer = await ask(await build(call_model=refuse), MODEL_ROUTES[0], ASKED)
    assert answer.status == 429
    assert HEADER not in answer.headers


async def test_a_stream_says_it_in_its_head() -> None:
    async def chunks() -> AsyncGenerator[bytes, None]:
        yield b"data: 1\n\n"

    async def stream(*_: object, **__: object) -> ModelStream:
        return ModelStream({"content-type": "text/event-stream"}, chunks())

    answer = await ask(await build(call_model=stream), MODEL_ROUTES[0], ASKED)
    assert answer.headers[HEADER] == "/receipts/" + answer.headers["x-request-id"]


# Whose receipt it is


@pytest.mark.parametrize("id_", ["r1", "unknown", "0" * 24])
async def test_what_is_not_ones_own_looks_like_what_is_not_there(id_: str, house: House) -> None:
    foreign = await house.ask("GET", f"/receipts/{id_}", key=house.other_key)
    nobodys = await house.ask("GET", "/receipts/nobodys", key=house.other_key)
    assert foreign.status == nobodys.status == 404
    assert {**foreign.json, "request_id": ""} == {**nobodys.json, "request_id": ""}


@pytest.mark.parametrize("scope", [scopes.INFERENCE_CHAT, scopes.DOCUMENTS_EXECUTE, scopes.MCP_CONNECT])
async def test_whoever_can_get_an_answer_can_get_its_receipt(scope: str, house: House) -> None:
    key = await house.new_key("alice", scopes=frozenset({scope}))
    assert (await house.ask("GET", "/receipts/r1", key=key)).status == 200


async def test_who_can_only_look_cannot(house: House) -> None:
    others = scopes.CLIENT - {scopes.INFERENCE_CHAT, scopes.DOCUMENTS_EXECUTE, scopes.MCP_CONNECT}
    key = await house.new_key("alice", scopes=others)
    assert (await house.ask("GET", "/receipts/r1", key=key)).status == 403


# Answers that are kept


async def test_a_kept_answer_says_where_the_receipt_of_its_first_sending_is() -> None:
    once = AnswerOnce(FakeBooks(), FakeClock())
    house = await build(answer_once=once)
    key = ("idempotency-key", "k-1")
    first = await ask(house, MODEL_ROUTES[0], ASKED, key)
    again = await ask(house, MODEL_ROUTES[0], ASKED, key)
    without = await ask(house, MODEL_ROUTES[0], key)
    assert again.headers["idempotency-replayed"] == "true"
    assert again.headers["x-request-id"] != first.headers["x-request-id"]
    assert first.headers[HEADER] == again.headers[HEADER] == without.headers[HEADER]
    assert len(house.seen.chats) == 1
    await once.close()


async def test_a_kept_answer_that_has_no_receipt_gets_none_later() -> None:
    once = AnswerOnce(FakeBooks(), FakeClock())
    house = await build(answer_once=once)
    key = ("idempotency-key", "k-1")
    await ask(house, MODEL_ROUTES[0], key)
    again = await ask(house, MODEL_ROUTES[0], ASKED, key)
    assert again.headers["idempotency-replayed"] == "true"
    assert HEADER not in again.headers
    await once.close()


# A mounted application's answer on its way out


class Caller:
    """What came to whoever asked, and what was logged by then."""

    def __init__(self, *, fails: bool = False) -> None:
        self.came: list[Message] = []
        self.logged: list[tuple[str, int, int]] = []
        self.fails = fails

    async def send(self, message: Message) -> None:
        self.came.append(message)

    async def record(self, sha256: str, status: int) -> None:
        if self.fails:
            raise LogUnavailableError("the disk is full")
        self.logged.append((sha256, status, len(self.came)))

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.came)


def application(*messages: Mapping[str, Any], again: bool = False) -> Any:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for message in messages:
            await send(dict(message))
        if again:  # what the SDK does where something failed
            await send({"type": "http.response.start", "status": 500, "headers": []})
            await send({"type": "http.response.body", "body": b"sorry", "more_body": False})

    return app


START = {"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")]}
WHOLE = {"type": "http.response.body", "body": b"whole", "more_body": False}
EVENT = {"type": "http.response.body", "body": b"event", "more_body": True}
END: Mapping[str, Any] = {"type": "http.response.body"}
SCOPE = {"type": "http", "state": {"request_id": "id1"}}


async def nothing() -> Message:
    return await asyncio.get_running_loop().create_future()


async def test_a_plain_answer_leaves_after_its_entry_whole() -> None:
    caller = Caller()
    await answer_receipted(application(START, WHOLE), dict(SCOPE), nothing, caller.send, caller.record)
    assert caller.logged == [(hashlib.sha256(b"whole").hexdigest(), 200, 0)]
    assert caller.came[0]["headers"] == [(b"a", b"b"), (b"x-macroslow-receipt", b"/receipts/id1")]
    assert caller.body == b"whole"


async def test_events_leave_at_once_and_the_end_waits_for_the_entry() -> None:
    caller = Caller()
    await answer_receipted(
        application(START, EVENT, EVENT, END), dict(SCOPE), nothing, caller.send, caller.record
    )
    assert caller.logged == [(hashlib.sha256(b"eventevent").hexdigest(), 200, 3)]
    assert caller.body == b"eventevent"
    assert caller.came[-1] == END


@pytest.mark.parametrize("again", [False, True])
async def test_what_cannot_be_logged_is_not_answered(again: bool) -> None:
    caller = Caller(fails=True)
    app = application(START, WHOLE, again=again)
    with pytest.raises(LogUnavailableError):
        await answer_receipted(app, dict(SCOPE), nothing, caller.send, caller.record)
    assert caller.came == []


@pytest.mark.parametrize("again", [False, True])
async def test_a_stream_that_cannot_be_logged_is_left_without_its_end(again: bool) -> None:
    caller = Caller(fails=True)
    app = application(START, EVENT, END, again=again)
    with pytest.raises(LogUnavailableError):
        await answer_receipted(app, dict(SCOPE), nothing, caller.send, caller.record)
    assert [message.get("more_body") for message in caller.came] == [None, True]


async def test_at_mcp_what_cannot_be_logged_is_503() -> None:
    async def mcp(scope: Scope, receive: Receive, send: Send) -> None:
        caller = Caller(fails=True)
        await answer_receipted(application(START, WHOLE, again=True), scope, receive, send, caller.record)

    answer = await (await build(mcp=mcp)).ask("POST", "/mcp", headers=[ASKED], body=b"{}")
    assert (answer.status, HEADER in answer.headers) == (503, False)
    assert answer.json["error"]["code"] < 0
    assert b"whole" not in answer.body
