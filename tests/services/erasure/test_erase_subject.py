"""Erasing a person: what goes, what is held, what says so, and what is refused."""

import hashlib

import pytest
from tests.contract.changes import accept, append, reserve, settle
from tests.services.shelf import CHAT, KEY, REFUSED, Shelf

from macroslow.adapters.system import SystemEntropy
from macroslow.authn.ports import KeyRecord, PutKey
from macroslow.authn.principal import THE_GATEWAY
from macroslow.errors import BadRequestError, ConflictError, NotFoundError
from macroslow.metering.ledger import OpenAccount
from macroslow.services.audit.verify_log import VerifyLog
from macroslow.services.erasure.pending_erasures import pending_of
from macroslow.services.verbs import utc
from macroslow.tlog.checkpoint import LogPrivateKey
from macroslow.tlog.event import EventClass, EventType, PersonFields
from macroslow.workflow.books import Change, Wanted


def digest(*indices: int) -> str:
    """Of whole entries."""
    return hashlib.sha256(b"".join(index.to_bytes(8, "big") + b"\0" for index in indices)).hexdigest()


async def test_activity_goes_at_once_and_the_rest_is_held_and_said_to_be(shelf: Shelf) -> None:
    await shelf.did("ann", KEY, CHAT, REFUSED, CHAT)
    await shelf.did("bob", CHAT)
    erased = await shelf.erase("ann", "asked on paper 7")
    assert erased["entries"] == 2
    assert erased["by_type"] == {"chat-completed": 2}
    assert erased["entries_sha256"] == digest(1, 3)
    assert (erased["first_index"], erased["last_index"]) == (1, 3)
    assert erased["classes"] == ["activity"]
    assert erased["held"] == {"key-created": 1, "refused": 1}
    assert erased["held_until"] == utc(shelf.clock.now_ns() + 2190 * 86_400 * 10**9)
    assert (erased["reason"], erased["by"], erased["index"]) == ("asked on paper 7", "operator", 5)
    assert await shelf.readable("ann") == [0, 2]
    assert await shelf.readable("bob") == [4]
    opened = await shelf.books.entries(0, 10)
    assert [one.erased_by for one in opened] == [None, 5, None, 5, None, None]


async def test_the_entry_that_says_so_names_nobody_but_to_whom_the_key_is_held(shelf: Shelf) -> None:
    await shelf.did("ann", KEY, CHAT)
    erased = await shelf.erase("ann", "")
    (entry,) = await shelf.books.entries(2, 1)
    assert entry.event is not None
    assert entry.subject == THE_GATEWAY
    assert b"ann" not in entry.event
    assert [part is not None and b'"ann"' in part for part in entry.others] == [True]
    assert await shelf.told(2) == {name: value for name, value in erased.items() if name != "index"}
    pending = await pending_of(shelf.books, "ann")
    assert pending is not None
    assert (pending.index, pending.pseudonym) == (2, erased["pseudonym"])


async def test_where_nothing_is_held_the_name_is_gone_with_the_last_entry(shelf: Shelf) -> None:
    shelf.hold_days = dict.fromkeys(EventClass, 0)
    await shelf.did("ann", KEY, CHAT, REFUSED)
    erased = await shelf.erase("ann", "")
    assert (erased["entries"], erased["held"], erased["held_until"]) == (3, {}, None)
    assert str(erased["pseudonym"]).startswith("erased-")
    assert len(str(erased["pseudonym"])) == 15
    assert await shelf.names() == {erased["pseudonym"], THE_GATEWAY}
    with pytest.raises(NotFoundError):
        await shelf.erase("ann", "")


async def test_what_is_older_than_its_retention_goes_at_once(shelf: Shelf) -> None:
    await shelf.did("ann", KEY, REFUSED)
    await shelf.pass_days(365)
    await shelf.did("ann", CHAT)
    erased = await shelf.erase("ann", "")
    assert erased["classes"] == ["activity", "security"]
    assert erased["by_type"] == {"chat-completed": 1, "refused": 1}
    assert erased["held"] == {"key-created": 1}


async def test_what_is_held_for_longer_keeps_the_entries_of_administration(shelf: Shelf) -> None:
    """The name lies under their key: without it nobody would know whose rest is to be erased one day."""
    shelf.hold_days = {**shelf.hold_days, EventClass.ADMINISTRATION: 0}
    await shelf.did("ann", KEY, REFUSED, CHAT)
    erased = await shelf.erase("ann", "")
    assert (erased["by_type"], erased["held"]) == ({"chat-completed": 1}, {"key-created": 1, "refused": 1})
    await shelf.pass_days(365)
    await shelf.look()
    assert await shelf.names() == {erased["pseudonym"], THE_GATEWAY}


async def test_a_person_of_whom_nothing_may_go_yet_is_pending_all_the_same(shelf: Shelf) -> None:
    await shelf.did("ann", KEY)
    erased = await shelf.erase("ann", "")
    assert (erased["entries"], erased["first_index"], erased["held"]) == (0, None, {"key-created": 1})
    assert await shelf.readable("ann") == [0]
    await shelf.pass_days(2190)
    await shelf.look()
    assert await shelf.readable("ann") == []
    assert await shelf.names() == {erased["pseudonym"], THE_GATEWAY}


async def test_erased_twice_is_said_and_done_anew_for_what_came_since(shelf: Shelf) -> None:
    await shelf.did("ann", KEY, CHAT)
    first = await shelf.erase("ann", "")
    with pytest.raises(ConflictError, match="erased already, as entry 2 says"):
        await shelf.erase("ann", "")
    await shelf.did("ann", CHAT)
    second = await shelf.erase("ann", "")
    assert (second["entries"], second["pseudonym"]) == (1, first["pseudonym"])
    pending = await pending_of(shelf.books, "ann")
    assert pending is not None
    assert pending.index == second["index"]


async def test_who_has_keys_in_force_is_refused_with_the_repair(shelf: Shelf) -> None:
    await shelf.did("ann", CHAT)
    live = await shelf.key("k1", "ann")
    await shelf.key("k2", "bob")
    with pytest.raises(ConflictError, match="k1") as refused:
        await shelf.erase("ann", "")
    assert refused.value.fix == "macroslow keys revoke k1"
    with pytest.raises(ConflictError):
        await shelf.erase.plan("ann")
    await shelf.key("k1", "ann", revoked_ns=shelf.clock.now_ns())
    assert live.id not in (await shelf.erase("ann", ""))
    assert await keys_of(shelf) == ["k2"]
    assert shelf.read_anew == 1


async def keys_of(shelf: Shelf) -> list[str]:
    found: list[KeyRecord] = await shelf.books.keys()
    return [record.id for record in found]


async def test_a_key_that_fell_with_its_maker_keeps_nobody(shelf: Shelf) -> None:
    await shelf.key("boss", "bob", revoked_ns=shelf.clock.now_ns())
    await shelf.books.commit(OpenAccount("key/made", None, "key/boss"))
    await shelf.did("ann", CHAT)
    record = KeyRecord("made", "ann", b"m" * 32, shelf.clock.now_ns(), maker="boss")
    await shelf.books.commit(PutKey(record))
    await shelf.erase("ann", "")
    assert await keys_of(shelf) == ["boss"]
    account = await shelf.books.account("key/made")
    assert account is not None
    assert account.closed


async def test_who_has_work_under_way_is_refused(shelf: Shelf) -> None:
    await shelf.books.commit(OpenAccount("key/a", None), reserve("r1", "key/a", 5), append())
    with pytest.raises(ConflictError, match="calls under way"):
        await shelf.erase("alice", "")
    await shelf.books.commit(settle("r1", 5), accept("run1"), append())
    with pytest.raises(ConflictError, match="run1"):
        await shelf.erase("alice", "")
    assert await shelf.readable("alice") == [0, 1]


@pytest.mark.parametrize(
    ("subject", "error"),
    [
        ("", BadRequestError),
        ("operator", BadRequestError),
        ("gateway", BadRequestError),
        ("nobody", NotFoundError),
    ],
)
async def test_who_is_no_person_of_the_log_is_told_so(
    shelf: Shelf, subject: str, error: type[Exception]
) -> None:
    await shelf.did("operator", KEY)
    await shelf.did("gateway", EventType.SERVER_STARTED)
    for act in (shelf.erase.plan(subject), shelf.erase(subject, "")):
        with pytest.raises(error):
            await act
    assert (await shelf.books.head()).size == 2


async def test_a_reason_may_not_name_the_person_and_keys_in_it_are_cut(shelf: Shelf) -> None:
    await shelf.did("ann", CHAT)
    for reason in ("Ann asked", "for ann", "ann"):
        with pytest.raises(BadRequestError, match="names the person"):
            await shelf.erase("ann", reason)
    erased = await shelf.erase("ann", "annual purge of sk-abcdefghijklmnopqrstuvwxyz012345")
    assert erased["reason"] == "annual purge of sk-…"


async def test_what_is_logged_between_the_plan_and_the_commit_is_erased_too(
    shelf: Shelf, monkeypatch
) -> None:
    await shelf.did("ann", CHAT)
    books, real = shelf.books, shelf.books.commit
    left = [1, 1]

    async def commit(*changes: Change) -> object:
        if left:
            left.pop()
            await real(append(subject="ann"))
        return await real(*changes)

    monkeypatch.setattr(books, "commit", commit)
    erased = await shelf.erase("ann", "")
    assert erased["entries"] == 3
    assert await shelf.readable("ann") == []


async def test_who_is_never_done_being_logged_is_told_so_in_the_end(shelf: Shelf, monkeypatch) -> None:
    await shelf.did("ann", CHAT)
    real = shelf.books.commit

    async def commit(*changes: Change) -> object:
        await real(append(subject="ann"))
        return await real(*changes)

    monkeypatch.setattr(shelf.books, "commit", commit)
    with pytest.raises(ConflictError, match="every try"):
        await shelf.erase("ann", "")


async def test_ones_part_of_anothers_entry_goes_and_the_entry_stays(shelf: Shelf) -> None:
    shelf.hold_days = dict.fromkeys(EventClass, 0)
    shared = await shelf.did("bob", EventType.KEY_CHANGED, others=(PersonFields("ann", {"by": "k9"}),))
    erased = await shelf.erase("ann", "")
    assert erased["by_type"] == {"key-changed": 1}
    (entry,) = await shelf.books.entries(shared, 1)
    assert entry.event is not None
    assert entry.others == (None,)
    assert await shelf.names() == {"bob", THE_GATEWAY}


async def test_a_plan_changes_nothing(shelf: Shelf) -> None:
    await shelf.did("ann", KEY, CHAT)
    plan = await shelf.erase.plan("ann")
    assert plan.told()["by_type"] == {"chat-completed": 1}
    assert plan.told()["held"] == {"key-created": 1}
    assert await shelf.readable("ann") == [0, 1]
    assert (await shelf.books.head()).size == 2


async def test_a_name_that_begins_like_another_is_another(shelf: Shelf) -> None:
    for name in ("ann", "anna", "Ann", "jwt/x/ann"):
        await shelf.did(name, CHAT)
    await shelf.erase("ann", "")
    for name in ("anna", "Ann", "jwt/x/ann"):
        assert len(await shelf.readable(name)) == 1


async def test_who_comes_back_is_somebody_new_and_erased_for_what_is_new(shelf: Shelf) -> None:
    shelf.hold_days = dict.fromkeys(EventClass, 0)
    await shelf.did("ann", CHAT)
    first = await shelf.erase("ann", "")
    again = await shelf.did("ann", CHAT)
    assert await shelf.readable("ann") == [again]
    second = await shelf.erase("ann", "")
    assert (second["entries"], second["entries_sha256"]) == (1, digest(again))
    assert second["pseudonym"] != first["pseudonym"]
    found = await shelf.books.find(Wanted(subject=str(first["pseudonym"])), 0, 10)
    assert [(one.index, one.erased_by) for one in found.entries] == [(0, 1)]


async def verified_after(shelf: Shelf) -> int:
    """How many entries are gone from a log that is sound all the same."""
    key = LogPrivateKey.generate("tests.example/log", SystemEntropy()).public
    return (await VerifyLog(shelf.books, key)()).erased


@pytest.mark.parametrize("first", ["ann", "bob"])
async def test_a_shared_entry_both_of_whose_persons_are_erased_is_accounted_for_twice(
    shelf: Shelf, first: str
) -> None:
    shelf.hold_days = dict.fromkeys(EventClass, 0)
    await shelf.did("bob", EventType.KEY_CHANGED, others=(PersonFields("ann", {"by": "k9"}),))
    await shelf.did("ann", KEY, others=(PersonFields("bob", {"by": "k8"}), PersonFields("eve", {"by": "k7"})))
    await shelf.erase(first, "")
    assert await verified_after(shelf) == 2
    await shelf.erase("bob" if first == "ann" else "ann", "")
    await verified_after(shelf)
    await shelf.did("carol", CHAT)
    assert not {"ann", "bob"} & await shelf.names()


async def test_a_log_is_sound_while_something_is_held_and_after(shelf: Shelf) -> None:
    await shelf.did("ann", KEY, REFUSED, CHAT)
    await shelf.did("bob", EventType.KEY_CHANGED, others=(PersonFields("ann", {"by": "k9"}),))
    await shelf.erase("ann", "")
    assert await verified_after(shelf) == 1
    for _ in range(7):
        await shelf.pass_days(365)
        await shelf.look()
        await verified_after(shelf)
    assert "ann" not in await shelf.names()
    await shelf.erase("bob", "")
    await verified_after(shelf)
