"""Answers that hold their receipt: both verifiers take the same ones, and look at the same bounds."""

import json
from typing import Any

import pytest
from tests.tlog.logs import SmallLog, small_log
from tests.verifier.page import Page

from macroslow.errors import VerificationError
from macroslow.tlog import receipt
from macroslow.tlog.checkpoint import LogPrivateKey
from macroslow.tlog.event import Event, EventType

ANSWER: dict[str, Any] = {"status": "success", "outputs": [0.5]}


@pytest.fixture(scope="module")
def books(log_key: LogPrivateKey) -> SmallLog:
    fields = {"answer_sha256": receipt.answer_sha256(ANSWER)}
    return small_log(log_key, [Event(EventType.RUN_FINISHED, 1, "ann", fields)])


def holding(books: SmallLog, **changes: object) -> dict[str, Any]:
    mine = receipt.build(books.entries[0], books.proof(0), books.checkpoint())
    return {**ANSWER, "receipt": {**mine, **changes}}


def refused(page: Page, books: SmallLog, answer: dict[str, Any], **written: Any) -> str | None:
    """Why both refuse it; None if both take it."""
    raw = json.dumps(answer, **written).encode()
    said = page.verify(receipt=raw, key=books.key.public.format().encode())
    try:
        receipt.verify(*receipt.taken_out(raw)[:1], books.key.public, answer=raw)
    except VerificationError as error:
        assert said["verdict"] == "not-proved"
        return str(error)
    assert said["verdict"] == "proved", said["detail"]
    return None


def deep(levels: int) -> object:
    return [deep(levels - 1)] if levels else 1


def test_one_that_fits_is_taken_however_it_is_written(page: Page, books: SmallLog) -> None:
    assert refused(page, books, holding(books)) is None
    assert refused(page, books, holding(books), indent=40_000) is None  # spaces alone pass the bound


@pytest.mark.parametrize("more", [-3, -2, -1, 0, 1, 100])
def test_a_receipt_within_an_answer_is_as_large_as_one_alone_may_be(
    more: int, page: Page, books: SmallLog
) -> None:
    least = json.dumps(holding(books, timestamp="")["receipt"], separators=(",", ":"), ensure_ascii=False)
    stamp = receipt.MAX_RECEIPT_BYTES - len(least.encode()) + more
    why = refused(page, books, holding(books, timestamp="A" * stamp))
    assert (why or "").startswith("this is not a receipt: it has") == (more > 0)
    assert why is None or more > 0 or why == "the receipt's `timestamp` is not base64"
    assert why is not None or stamp % 4 == 0


@pytest.mark.parametrize(
    "member",
    [deep(200), deep(20), 0.5, 2**53, {"\u00e4": 1}],
    ids=["very deep", "deep", "float", "large", "key"],
)
def test_what_a_receipt_alone_could_not_hold_is_refused_within_an_answer(
    member: object, page: Page, books: SmallLog
) -> None:
    assert refused(page, books, holding(books, timestamp=member)) is not None
    assert refused(page, books, holding(books, statement=member)) is not None


def test_an_answer_that_was_changed_is_refused(page: Page, books: SmallLog) -> None:
    why = refused(page, books, {**holding(books), "status": "failed"})
    assert why == "the answer is not the one that was logged: its digest differs"
