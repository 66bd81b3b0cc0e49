"""The operator's verbs about the log: what is shown, proved and verified is the log as it stands."""

import orjson
import pytest
from tests.services.house import ENTROPY, House, base64_of

from macroslow.errors import BadRequestError, MacroslowError, VerificationError
from macroslow.tlog import receipt
from macroslow.tlog.checkpoint import LogPrivateKey, verify_checkpoint


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
