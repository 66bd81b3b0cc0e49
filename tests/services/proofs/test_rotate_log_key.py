"""A log's key is changed: what was proved stays proved, and every step may be the last before a crash."""

import orjson
import pytest
from tests.services.house import House

from macroslow.adapters.signer import engine
from macroslow.errors import ConflictError, LogUnavailableError, VerificationError
from macroslow.services.audit.log_key_verbs import LogKeyVerbs
from macroslow.services.audit.verify_log import VerifyLog
from macroslow.tlog import canonical, receipt
from macroslow.tlog.checkpoint import LogPublicKey, verify_checkpoint
from macroslow.tlog.event import EventType
from macroslow.tlog.ports import Append, StoreCheckpoint
from macroslow.tlog.succession import succession


async def proved(house: House, index: int) -> bytes:
    return orjson.dumps(await house.prove.by_index(index))


async def test_old_receipts_stay_and_new_ones_are_of_the_new_key(house: House) -> None:
    await house.note(3)
    before = await proved(house, 1)
    new = await house.change_log_key("a test")
    assert house.signer.keys.current == new != house.log_key
    assert receipt.verify(before, house.log_key).index == 1
    assert receipt.verify(await proved(house, 1), new).index == 1
    assert succession(house.log_key, house.signer.keys.hand_overs)[-1].key == new


async def test_the_newest_checkpoint_is_of_the_new_key_at_once(house: House) -> None:
    await house.note(3)
    new = await house.change_log_key("a test")
    assert verify_checkpoint(await house.checkpoints.newest(), new).size == 4
    stored = await house.books.checkpoint()
    assert stored is not None
    verify_checkpoint(stored[1], new)


async def test_the_log_is_verified_under_every_key_that_leads_to_its_own(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "CHANGE_EVERY_S", 0)
    await house.note(3)
    kept = await house.checkpoints.newest()
    keys = [house.log_key]
    for number in range(3):
        keys.append(await house.change_log_key(f"change {number}"))
        await house.note()
    administration = house.administration
    for key in keys:
        found = await administration.perform("audit.verify", {"key": key.format()})
        assert isinstance(found, dict)
        assert found["entries"] == 9
    await VerifyLog(house.books, keys[-1], others=keys[:-1])(since=kept)
    with pytest.raises(VerificationError, match="pinned log key"):
        await VerifyLog(house.books, keys[-1])(since=kept)


async def test_a_change_that_comes_too_soon_leaves_no_entry(house: House) -> None:
    await house.change_log_key("a test")
    size = (await house.books.head()).size
    with pytest.raises(VerificationError, match="within the last"):
        await house.change_log_key("once more")
    assert (await house.books.head()).size == size


async def test_the_entry_names_both_keys_and_why(house: House) -> None:
    new = await house.change_log_key("it was seen")
    entry = await house.books.entry(0)
    assert entry is not None
    said = receipt.statement(canonical.parse_event(entry.event))
    assert said["details"] == {
        "old_fingerprint": house.log_key.fingerprint,
        "new_fingerprint": new.fingerprint,
        "new_ed25519": new.ed25519.vkey,
        "new_ml_dsa_44": new.ml_dsa_44.vkey,
        "reason": "it was seen",
    }


@pytest.mark.parametrize("kind", [Append, StoreCheckpoint])
async def test_what_cannot_be_kept_changes_no_key_and_is_done_the_next_time(kind: type, house: House) -> None:
    await house.note(2)
    house.books.fail_once(kind)
    with pytest.raises(LogUnavailableError):
        await house.change_log_key("a test")
    staged = house.signer.staged
    assert house.signer.keys.current == house.log_key
    assert await house.change_log_key("once more") == staged


async def test_verbs_tell_the_key_and_who_led_to_it(house: House) -> None:
    administration = house.administration
    rotated = await administration.perform("audit.rotate_key", {"reason": "a test"})
    told = await administration.perform("audit.key", {})
    assert isinstance(rotated, dict)
    assert isinstance(told, dict)
    assert LogPublicKey.parse(told["key"]).fingerprint == rotated["fingerprint"] == told["fingerprint"]
    assert rotated["old"] == house.log_key.fingerprint
    followed = await administration.perform("audit.succession", {})
    assert isinstance(followed, dict)
    hand_overs = [text.encode() for text in followed["hand_overs"]]
    assert succession(house.log_key, hand_overs)[-1].key == LogPublicKey.parse(told["key"])


async def test_a_log_that_others_sign_too_keeps_its_key(house: House) -> None:
    verbs = LogKeyVerbs(house.signer, house.change_log_key, shared=True)
    with pytest.raises(ConflictError, match="shared database"):
        await verbs.rotate_key("a test")
    assert (await house.books.head()).size == 0


async def test_the_event_is_of_its_own_type(house: House) -> None:
    await house.change_log_key("a test")
    (logged,) = await house.books.entries(0, 1)
    assert logged.type == EventType.LOG_KEY_ROTATED
