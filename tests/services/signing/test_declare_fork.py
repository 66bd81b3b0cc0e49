"""A declared fork is a log of another name, and says so in its first entry."""

import json

import pytest
from tests.services.house import CLOCK, House

from macroslow.errors import BadRequestError, LogUnavailableError, VerificationError
from macroslow.services.audit.verify_log import VerifyLog
from macroslow.services.signing.declare_fork import DeclareFork, ForkPlan, next_origin
from macroslow.tlog.checkpoint import verify_checkpoint
from macroslow.tlog.event import EventType
from macroslow.tlog.ports import Append


def fork_of(house: House) -> DeclareFork:
    return DeclareFork(house.books, house.signer, CLOCK)


@pytest.mark.parametrize(
    ("origin", "after"),
    [
        ("macroslow/local", "macroslow/local.2"),
        ("macroslow/local.2", "macroslow/local.3"),
        ("a.example/log.9", "a.example/log.10"),
        ("a.example/log.1", "a.example/log.1.2"),
        ("a.example/log.02", "a.example/log.02.2"),
    ],
)
def test_names_after_forks(origin: str, after: str) -> None:
    assert next_origin(origin) == after


def test_no_name_is_proposed_that_was_given_out() -> None:
    assert next_origin("a/log", {"a/log", "a/log.2", "a/log.3", "a/log.5"}) == "a/log.4"


async def test_a_log_that_can_go_on_gives_nothing_to_declare(house: House) -> None:
    await house.note(5)
    await house.checkpoints.newest()
    plan = await fork_of(house).plan()
    assert plan == ForkPlan(house.log_key, next_origin(house.log_key.origin), 5, "")
    assert (await house.books.head()).size == 5
    assert house.signer.staged is None


async def test_why_a_log_cannot_go_on_stands_in_the_plan(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.note(5)

    async def longer() -> tuple[int, bytes]:
        return 7, b""

    monkeypatch.setattr(house.books, "checkpoint", longer)
    plan = await fork_of(house).plan("another.example/log")
    assert (plan.origin, plan.entries) == ("another.example/log", 5)
    assert "has 5 entries, and 7 were signed" in plan.trouble


async def test_a_declaration_that_was_cut_off_is_taken_up_under_its_own_name(house: House) -> None:
    staged = await house.signer.stage("another.example/log")
    plan = await fork_of(house).plan()
    assert plan.origin == "another.example/log"
    assert "was declared and not completed" in plan.trouble
    assert await fork_of(house)("once more") == staged


async def test_a_name_is_given_out_once(house: House) -> None:
    first, second = house.log_key.origin, next_origin(house.log_key.origin)
    assert (await fork_of(house)("a test")).origin == second
    for name in (first, second):
        with pytest.raises(BadRequestError, match="given out already"):
            await fork_of(house)("a test", name)
    await fork_of(house)("a test", "another.example/log")
    assert (await fork_of(house).plan()).origin == "another.example/log.2"


async def test_the_tree_goes_on_under_another_name_and_key(house: House) -> None:
    await house.note(5)
    await house.checkpoints.newest()
    signed = house.signer.last
    new = await fork_of(house)("the disk was lost")
    assert (new.origin, house.signer.keys.current) == (next_origin(house.log_key.origin), new)
    (logged,) = await house.books.entries(5, 1)
    assert logged.type == EventType.LOG_FORKED
    assert json.loads(logged.event or b"")["fields"] == {
        "old_origin": house.log_key.origin,
        "old_fingerprint": house.log_key.fingerprint,
        "new_origin": new.origin,
        "new_fingerprint": new.fingerprint,
        "entries": 5,
        "marked_entries": signed.size,
        "marked_root": signed.root.hex(),
        "reason": "the disk was lost",
    }
    stored = await house.books.checkpoint()
    assert stored is not None
    assert verify_checkpoint(stored[1], new).size == 6
    assert (await VerifyLog(house.books, new)()).entries == 6
    with pytest.raises(VerificationError):
        await VerifyLog(house.books, house.log_key)()


async def test_the_old_key_leads_to_no_fork(house: House) -> None:
    await house.change_log_key("before")
    await fork_of(house)("a test", "another.example/log")
    keys = house.signer.keys
    assert keys.hand_overs == []
    assert keys.since(house.log_key) == [house.log_key]


@pytest.mark.parametrize("origin", ["a b", "a+b", "x" * 300])
async def test_a_name_that_notes_cannot_carry_is_refused(origin: str, house: House) -> None:
    with pytest.raises(BadRequestError, match="cannot be named"):
        await fork_of(house)("a test", origin)
    with pytest.raises(BadRequestError, match="given out already"):
        await fork_of(house)("a test", house.log_key.origin)
    assert (await house.books.head()).size == 0


async def test_what_cannot_be_kept_leaves_the_old_log_and_is_done_the_next_time(house: House) -> None:
    await house.note(2)
    house.books.fail_once(Append)
    with pytest.raises(LogUnavailableError):
        await fork_of(house)("a test")
    assert house.signer.keys.current == house.log_key
    new = await fork_of(house)("once more")
    assert house.signer.keys.current == new
