"""The operator's verbs about the log: what is shown, proved and verified is the log as it stands."""

import orjson
import pytest
from tests.services.house import ENTROPY, House, base64_of

from macroslow.errors import BadRequestError, MacroslowError, VerificationError
from macroslow.tlog import receipt
from macroslow.tlog.checkpoint import LogPrivateKey, verify_checkpoint
from macroslow.tlog.event import Event, EventType
from macroslow.tlog.ports import Append


async def test_the_tail_is_the_newest_and_start_goes_on_from_there(ask, house: House) -> None:
    await house.note(5)
    size = (await house.books.head()).size
    tail = await ask("audit.tail", count=2)
    assert (tail["size"], [entry["index"] for entry in tail["entries"]]) == (size, [size - 2, size - 1])
    assert (await ask("audit.tail", start=size))["entries"] == []
    assert (await ask("audit.tail", count=0))["entries"] == []
    assert len((await ask("audit.tail", count=1000))["entries"]) == size
    assert (await ask("audit.show", index=size - 1)) == tail["entries"][1]


async def test_a_receipt_a_checkpoint_and_the_key_fit_each_other(ask, house: House) -> None:
    await house.note(3)
    proof = await ask("audit.prove", index=1)
    key = (await ask("audit.key"))["key"]
    assert house.log_key.format() == key
    assert receipt.verify(orjson.dumps(proof), house.log_key).index == 1
    note = (await ask("audit.checkpoint"))["note"]
    assert verify_checkpoint(note.encode(), house.log_key).size == (await house.books.head()).size


async def test_the_log_is_verified_with_what_was_brought(ask, house: House) -> None:
    await house.note(2)
    note = (await ask("audit.checkpoint"))["note"]
    await house.note(3)
    found = await ask("audit.verify", since=base64_of(note.encode()), key=house.log_key.format())
    assert (found["entries"], found["since"]) == (found["signed"] + 3, found["signed"])
    assert found["key_fingerprint"] == house.log_key.fingerprint
    other = LogPrivateKey.generate(house.log_key.origin, ENTROPY).public.format()
    with pytest.raises(VerificationError):
        await ask("audit.verify", key=other)
    for brought in ({"since": "!"}, {"since": "ä"}, {"key": ""}, {"key": "x\ny"}, {"key": "a" * 100_000}):
        with pytest.raises(MacroslowError) as refused:
            await ask("audit.verify", **brought)
        assert isinstance(refused.value, BadRequestError | VerificationError)


@pytest.mark.parametrize("verb", ["audit.verify", "audit.search", "audit.report"])
async def test_a_long_verb_says_how_far_it_is_and_ends_with_who_listened(house: House, verb: str) -> None:
    await house.note(5)
    arguments = {"subject": "tests"} if verb == "audit.report" else {}
    heard: list[tuple[int, int]] = []
    size = (await house.books.head()).size

    def gone(_done: int, _of: int) -> None:
        raise KeyError("hung up")

    await house.administration.perform(verb, arguments, progress=lambda done, of: heard.append((done, of)))
    assert heard[-1] == (size, size)
    with pytest.raises(KeyError):
        await house.administration.perform(verb, arguments, progress=gone)


async def test_what_was_erased_is_shown_with_who_says_so_and_cannot_be_proved(ask, house: House) -> None:
    event = Event(EventType.CHAT_COMPLETED, 1, "ann", {"note": "x"})
    (entry,) = await house.books.commit(Append(event))
    proof = orjson.dumps(await ask("audit.prove", index=entry.index))
    assert (await ask("audit.erasable", subject="ann"))["by_type"] == {"chat-completed": 1}
    erased = await ask("audit.erase", subject="ann", reason="asked")
    shown = await ask("audit.show", index=entry.index)
    assert (shown["fields"], shown["erased_by"]) == (None, erased["index"])
    with pytest.raises(BadRequestError, match=f"erased, as entry {erased['index']} says"):
        await ask("audit.prove", index=entry.index)
    assert receipt.verify(proof, house.log_key).index == entry.index
    found = await ask("audit.verify")
    assert (found["erased"], found["erased_as"]) == (1, [erased["index"]])
    assert (await ask("audit.report", subject=erased["pseudonym"]))["erased"] == 1


async def test_a_verdict_may_go_on_from_what_was_verified_before(ask, house: House) -> None:
    await house.note(4)
    note = (await ask("audit.checkpoint"))["note"]
    await house.note(2)
    found = await ask("audit.verify", since=base64_of(note.encode()), resume=True)
    assert (found["entries"] - found["start"], found["since"]) == (2, found["start"])
    with pytest.raises(BadRequestError, match="no checkpoint to go on from"):
        await ask("audit.verify", resume=True)


async def test_a_report_takes_checkpoints_of_this_log_alone(ask, house: House) -> None:
    await house.note(3)
    note = (await ask("audit.checkpoint"))["note"]
    await house.note(2)
    before = await ask("audit.report", subject="tests", until=base64_of(note.encode()))
    assert (before["entries"], before["checkpoint"], before["origin"]) == (3, note, house.log_key.origin)
    after = await ask("audit.report", subject="tests", since=base64_of(note.encode()))
    assert after["entries"] == 2
    other = LogPrivateKey.generate(house.log_key.origin, ENTROPY)
    forged = other.sign_checkpoint(3, b"\1" * 32, time_s=1)
    for brought in ({"since": base64_of(forged)}, {"until": base64_of(forged)}, {"until": "!"}, {"key": "x"}):
        with pytest.raises((VerificationError, BadRequestError)):
            await ask("audit.report", subject="tests", **brought)
