"""Receipts of any event, of logs of any size: the page proves what we prove, and says the same of it."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.tlog.logs import SmallLog, octets, small_log
from tests.verifier.page import Page

from macroslow.tlog import leaf, receipt, tree
from macroslow.tlog.checkpoint import LogPrivateKey
from macroslow.tlog.event import Event, EventType, PersonFields

NAMES = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=12)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.dictionaries(
    NAMES | st.sampled_from(["principal", "answer_sha256", "__proto__"]), VALUES, max_size=6
)
EVENTS = st.builds(
    Event,
    st.sampled_from(EventType),
    st.integers(0, 2**64 - 1),
    st.text(max_size=20),
    FIELDS,
    st.lists(st.builds(PersonFields, st.text(max_size=8), FIELDS), max_size=2).map(tuple),
)


@settings(max_examples=60)
@given(event=EVENTS, before=st.integers(0, 9), after=st.integers(0, 9), data=st.data())
def test_a_receipt_of_anything_is_proved_and_read_alike(
    page: Page, log_key: LogPrivateKey, event: Event, before: int, after: int, data: st.DataObject
) -> None:
    filler = Event(EventType.SERVER_STARTED, 1, "the operator", {})
    books = small_log(log_key, [*[filler] * before, event, *[filler] * after])
    whole = receipt.build(books.entries[before], books.proof(before), books.checkpoint())
    shuffled = dict(data.draw(st.permutations(list(whole.items()))))
    raw = json.dumps(
        shuffled, ensure_ascii=data.draw(st.booleans()), indent=data.draw(st.none() | st.just(1))
    )
    said = page.verify(receipt=raw.encode(), key=log_key.public.format().encode())
    assert said["verdict"] == "proved", said["detail"]
    assert said["statement"] == receipt.verify(raw.encode(), log_key.public).statement


@pytest.fixture(scope="module")
def big(log_key: LogPrivateKey) -> SmallLog:
    return small_log(log_key, [Event(EventType.CHAT_COMPLETED, n, "ann", {"n": n}) for n in range(257)])


@pytest.mark.parametrize("index", [0, 1, 127, 128, 254, 255, 256])
def test_every_edge_of_a_tree_is_proved_and_no_other_place_in_it(
    index: int, big: SmallLog, page: Page
) -> None:
    key = big.key.public.format().encode()
    mine: dict[str, Any] = receipt.build(big.entries[index], big.proof(index), big.checkpoint())
    assert page.verify(receipt=json.dumps(mine).encode(), key=key)["verdict"] == "proved"
    for other in {0, 1, 127, 128, 254, 255, 256, 257, 2**63 - 1} - {index}:
        moved = {**mine, "proof": mine["proof"].replace(f"\nindex {index}\n", f"\nindex {other}\n")}
        said = page.verify(receipt=json.dumps(moved).encode(), key=key)
        assert (said["verdict"], said["checks"][-1]["check"]) == ("not-proved", "logged")
        assert said["detail"].startswith("there is no entry") == (other >= 257)


def test_a_proof_that_is_longer_than_its_tree_is_refused(page: Page, log_key: LogPrivateKey) -> None:
    """Signed by a log that counts wrongly: one entry, and the root of two."""
    books = small_log(log_key, [Event(EventType.LOG_STARTED, 1, "the operator", {})])
    other = octets("other", 32)
    root = tree.node_hash(other, leaf.leaf_hash(books.entries[0].leaf))
    mine = receipt.build(books.entries[0], [other], log_key.sign_checkpoint(1, root, time_s=1))
    said = page.verify(receipt=json.dumps(mine).encode(), key=log_key.public.format().encode())
    assert (said["verdict"], said["detail"]) == ("not-proved", "the inclusion proof has the wrong length")


@settings(max_examples=40)
@given(
    answer=st.dictionaries(
        st.text(max_size=8),
        VALUES
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.lists(st.floats(-1e25, 1e25), max_size=3),
        max_size=5,
    ),
    change=st.booleans(),
)
def test_an_answer_with_any_numbers_is_compared_alike(
    page: Page, log_key: LogPrivateKey, answer: dict[str, Any], *, change: bool
) -> None:
    fields = {"answer_sha256": receipt.answer_sha256(answer)}
    books = small_log(log_key, [Event(EventType.RUN_FINISHED, 1, "ann", fields)])
    mine = receipt.build(books.entries[0], books.proof(0), books.checkpoint())
    whole = {**answer, "receipt": mine}
    if change:
        whole["more and more"] = 0.5  # longer than any name above
    said = page.verify(receipt=json.dumps(whole).encode(), key=log_key.public.format().encode())
    assert said["verdict"] == ("not-proved" if change else "proved")
