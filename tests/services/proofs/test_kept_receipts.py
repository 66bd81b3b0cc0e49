"""Receipts by the id of their request: of calls, streams and MCP, for whoever made them."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.services.house import ANN, BOB, CLOCK, House, open_house, paper
from tests.services.model_fakes import DONE, ScriptedProvider, chat_on, delta, request, usage_event

from macroslow.errors import NotFoundError
from macroslow.inference import CHAT_COMPLETIONS
from macroslow.ports import DAY_NS
from macroslow.services.audit.record_mcp_call import MCPCall, RecordMCPCall
from macroslow.services.calls.settle_call import ModelAnswer, ModelStream
from macroslow.services.documents.admit_document import Submission
from macroslow.services.proofs.kept_receipts import KeptReceipts
from macroslow.tlog import receipt


class Later:
    """The clock of another day."""

    def __init__(self, days: float) -> None:
        self.days = days

    def now_ns(self) -> int:
        return CLOCK.now_ns() + int(self.days * DAY_NS)

    def monotonic_ns(self) -> int:
        return CLOCK.monotonic_ns()


def receipts(house: House, days: float = 0) -> KeptReceipts:
    return KeptReceipts(house.books, house.prove, Later(days))


def verified(house: House, told: object, **files: Any) -> receipt.Verdict:
    return receipt.verify(json.dumps(told).encode(), house.log_key, **files)


async def called(house: House, *, stream: bool = False, **options: Any) -> ModelAnswer | ModelStream:
    body = request(stream=stream or None)
    return await house.chat(ANN, CHAT_COMPLETIONS, body, request_id="r1", **options)


async def test_a_call_that_asked_has_the_receipt_of_its_exact_answer(house: House) -> None:
    got = await called(house, wants_receipt=True)
    assert isinstance(got, ModelAnswer)
    verdict = verified(house, await receipts(house)(ANN, "r1"), answer=got.body)
    assert verdict.statement["details"]["request_id"] == "r1"  # type: ignore[index]
    assert verdict.index == got.log_index
    assert (verdict.statement["who"], verdict.checked_answer) == ("ann", True)


async def test_a_call_that_did_not_ask_has_none(house: House) -> None:
    await called(house)
    with pytest.raises(NotFoundError):
        await receipts(house)(ANN, "r1")


async def test_a_streams_receipt_is_there_at_its_end_and_is_of_all_its_bytes(tmp_path: Path) -> None:
    provider = ScriptedProvider(None, lambda _: [delta("a"), delta("b"), usage_event(), DONE])
    async with open_house(tmp_path, chat=lambda books: chat_on(books, provider)) as house:
        got = await called(house, stream=True, wants_receipt=True)
        assert isinstance(got, ModelStream)
        sent = b""
        async for chunk in got.chunks:
            if not sent:
                with pytest.raises(NotFoundError, match="no receipt"):
                    await receipts(house)(ANN, "r1")
            sent += chunk
        assert verified(house, await receipts(house)(ANN, "r1"), answer=sent).checked_answer


async def test_a_stream_that_its_caller_left_has_the_receipt_of_what_was_sent(tmp_path: Path) -> None:
    provider = ScriptedProvider(None, lambda _: [delta("a"), delta("b"), usage_event(), DONE])
    async with open_house(tmp_path, chat=lambda books: chat_on(books, provider)) as house:
        got = await called(house, stream=True, wants_receipt=True)
        assert isinstance(got, ModelStream)
        sent = await anext(got.chunks)
        await got.chunks.aclose()
        await house.chat.close()
        verdict = verified(house, await receipts(house)(ANN, "r1"), answer=sent)
        assert verdict.statement["details"]["outcome"] == "aborted"  # type: ignore[index]


async def test_a_run_has_its_receipt_under_its_request_too(house: House) -> None:
    submission = Submission(paper("print(1)"), wants_receipt=True)
    got = await house.execute(ANN, submission, request_id="r2")
    told = await receipts(house)(ANN, "r2")
    assert verified(house, told, answer=json.dumps(got).encode()).checked_answer
    with pytest.raises(NotFoundError):
        await receipts(house)(BOB, "r2")


async def test_a_message_over_mcp_is_proved_by_its_digests(house: House) -> None:
    record = RecordMCPCall(house.books, CLOCK)
    asked, told = b'{"method":"tools/call"}', b'{"result":{}}'
    digests = hashlib.sha256(asked).hexdigest(), hashlib.sha256(told).hexdigest()
    await record(ANN, MCPCall("r3", "tools/call", "usage", *digests, 200))
    verdict = verified(house, await receipts(house)(ANN, "r3"), answer=told)
    assert verdict.statement == {
        "who": "ann",
        "when": verdict.statement["when"],
        "what": "a tool was called over MCP",
        "details": {
            "request_id": "r3",
            "key_id": ANN.key_id,
            "method": "tools/call",
            "tool": "usage",
            "request_sha256": digests[0],
            "answer_sha256": digests[1],
            "status": 200,
        },
    }


async def test_what_one_may_not_have_looks_like_what_is_not_there(house: House) -> None:
    await called(house, wants_receipt=True)
    refusals = []
    for principal, request_id, days in ((BOB, "r1", 0), (ANN, "r0", 0), (ANN, "", 0), (ANN, "r1", 30.1)):
        with pytest.raises(NotFoundError) as refused:
            await receipts(house, days)(principal, request_id)
        refusals.append((refused.value.detail, refused.value.fix))
    assert len(set(refusals)) == 1
    assert (await receipts(house, days=29.9)(ANN, "r1"))["format"] == receipt.FORMAT


async def test_another_key_of_the_same_principal_gets_it(house: House) -> None:
    await called(house, wants_receipt=True)
    assert await receipts(house)(replace(ANN, key_id="another", account="key/another"), "r1")


async def test_who_was_erased_has_no_receipts_any_more(house: House) -> None:
    await called(house, wants_receipt=True)
    await house.erasure("ann", "asked")
    with pytest.raises(NotFoundError, match="no receipt"):
        await receipts(house)(ANN, "r1")
