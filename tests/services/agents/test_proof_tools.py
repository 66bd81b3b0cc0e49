"""Tools for proofs: of one's own entries alone, and the check of anybody's receipts."""

import orjson
import pytest
from tests.services.agents.asking import Use
from tests.services.house import ANN, BOB, CLOCK, ENTROPY, House, paper

from macroslow.errors import BadRequestError, NotFoundError
from macroslow.inference import CHAT_COMPLETIONS
from macroslow.tlog.checkpoint import LogPrivateKey
from macroslow.tlog.event import Event, EventType, PersonFields
from macroslow.tlog.ports import Append

ASK = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 10}
PAPER = paper("x").decode()


async def test_a_receipt_that_was_asked_for_is_its_principals(house: House, use: Use) -> None:
    await house.chat(ANN, CHAT_COMPLETIONS, orjson.dumps(ASK), request_id="mine", wants_receipt=True)
    got = await use("get_receipt", request_id="mine")
    assert (await use("verify_receipt", receipt=got["receipt"]))["verified"]
    told = []
    for principal, request_id in ((BOB, "mine"), (ANN, "none"), (ANN, "../mine")):
        with pytest.raises(NotFoundError) as refused:
            await use("get_receipt", principal, request_id=request_id)
        told.append(refused.value.detail)
    assert len(set(told)) == 1


async def test_an_entry_about_what_one_did_is_proved(use: Use) -> None:
    run_id = (await use("run_document", document=PAPER))["run_id"]
    run = await use("get_run", run_id=run_id)
    for index in (run["accepted_index"], run["finished_index"]):
        proved = await use("prove_entry", log_index=index)
        told = await use("verify_receipt", receipt=proved["receipt"], document=PAPER)
        assert (told["verified"], told["index"], told["checked"]) == (True, index, ["document"])
        assert told["statement"]["details"]["run_id"] == run_id


async def test_every_other_entry_looks_like_none(house: House, use: Use) -> None:
    def event(type_: EventType, subject: str, *others: PersonFields) -> Append:
        return Append(Event(type_, CLOCK.now_ns(), subject, {"principal": subject}, others))

    await house.books.commit(
        event(EventType.CHAT_COMPLETED, "bob"),
        event(EventType.REFUSED, "ann"),
        event(EventType.KEY_CREATED, "ann"),
        event(EventType.BUDGET_ALERT, "ann", PersonFields("bob", {"spent": 1})),
    )
    told = []
    for index in (0, 1, 2, 3, 4, 10**6, 2**53 - 1):
        with pytest.raises(NotFoundError) as refused:
            await use("prove_entry", log_index=index)
        told.append((refused.value.detail, refused.value.fix))
    assert len(set(told)) == 1
    assert (await use("prove_entry", BOB, log_index=0))["receipt"]["statement"]["who"] == "bob"


async def test_an_erased_entry_is_not_proved(house: House, use: Use) -> None:
    said = await use("complete_chat", **ASK)
    await house.ask("audit.erase", subject="ann", reason="asked for")
    with pytest.raises(NotFoundError):
        await use("prove_entry", log_index=said["log_index"])


async def test_a_receipt_is_held_against_the_key_that_is_given(house: House, use: Use) -> None:
    answer = await use("run_document", document=PAPER)
    told = await use("verify_receipt", receipt=answer["receipt"], log_key=house.log_key.format())
    assert (told["verified"], told["checked_with"], told["detail"]) == (True, "given_key", "signed")
    assert told["key_fingerprint"] == house.log_key.fingerprint
    assert told["not_checked"] == ["answer", "document"]
    other = LogPrivateKey.generate(house.log_key.origin, ENTROPY).public
    told = await use("verify_receipt", receipt=answer["receipt"], log_key=other.format())
    assert (told["verified"], told["checked_with"], told["statement"]) == (False, "given_key", None)


async def test_without_a_key_it_says_that_only_the_gateways_own_was_asked(use: Use) -> None:
    answer = await use("run_document", document=PAPER)
    told = await use("verify_receipt", receipt=answer["receipt"])
    assert (told["verified"], told["checked_with"]) == (True, "gateway_key")


async def test_an_answer_that_holds_its_receipt_is_checked_as_that_answer(use: Use) -> None:
    answer = await use("run_document", document=PAPER)
    for given in (answer, orjson.dumps(answer).decode()):
        told = await use("verify_receipt", receipt=given, document=PAPER)
        assert (told["verified"], told["checked"]) == (True, ["answer", "document"])
    altered = {**answer, "result": {"sum": 43}}
    told = await use("verify_receipt", receipt=altered)
    assert not told["verified"]
    assert "the answer is not the one" in told["detail"]
    told = await use("verify_receipt", receipt=answer, document=PAPER + " ")
    assert "the document is not the one" in told["detail"]


@pytest.mark.parametrize(
    "given",
    [{}, {"format": 1}, {"receipt": {}}, "", "[]", "null", "{", "[" * 5000, {"receipt": 1.5}, "\u0000"],
    ids=range(10),
)
async def test_what_is_no_receipt_is_not_proved_and_no_crash(use: Use, given: object) -> None:
    told = await use("verify_receipt", receipt=given)
    assert (told["verified"], told["statement"]) == (False, None)
    assert told["detail"]


@pytest.mark.parametrize(
    "given",
    [{"receipt": "\ud800"}, {"receipt": {"\ud800": 1}}, {"receipt": {}, "answer": "\udfff"}],
    ids=range(3),
)
async def test_half_of_a_surrogate_pair_is_in_no_receipt(use: Use, given: dict[str, object]) -> None:
    with pytest.raises(BadRequestError, match="half of a surrogate pair"):
        await use("verify_receipt", **given)


async def test_what_is_no_key_is_refused(use: Use) -> None:
    with pytest.raises(BadRequestError):
        await use("verify_receipt", receipt={}, log_key="no key")


async def test_receipts_of_before_a_change_of_the_key_are_still_the_gateways(house: House, use: Use) -> None:
    before = await use("run_document", document=PAPER)
    pinned = house.log_key
    await house.change_log_key("it is time")
    after = await use("run_document", document=PAPER)
    for answer in (before, after):
        assert (await use("verify_receipt", receipt=answer))["verified"]
    told = await use("verify_receipt", receipt=after, log_key=pinned.format())
    assert not told["verified"]
