"""What every store of the books must do about replies kept for idempotency keys, and ids of providers."""

import asyncio
from dataclasses import replace

import pytest
from tests.contract.changes import append, refusals, reserve, settle

from macroslow.errors import ConflictError, NotFoundError
from macroslow.metering.ledger import OpenAccount
from macroslow.workflow.books import Books
from macroslow.workflow.replies import BindId, ClaimReply, DropReply, PutReply, Reply

SHA = "ab" * 32
HEADERS = {"content-type": "application/json", "x-note": "caf\u00e9"}
BODY = b"\0\xff{" + bytes(range(256)) * 40


def claim(
    key: str = "k", *, principal: str = "alice", now_ns: int = 100, expires_ns: int = 200
) -> ClaimReply:
    return ClaimReply(principal, key, SHA, now_ns, expires_ns)


def put(key: str = "k", *, principal: str = "alice", body: bytes = BODY) -> PutReply:
    return PutReply(principal, key, 201, HEADERS, body)


BOUND = BindId("resp_1", "response", "alice", "openai", "main", 7, 1_234)


class ReplyContract:
    async def test_a_claim_is_known_before_and_after_its_answer(self, books: Books) -> None:
        assert await books.reply("alice", "k") is None
        await books.commit(claim())
        assert await books.reply("alice", "k") == Reply(SHA, 100, 200)
        await books.commit(put())
        assert await books.reply("alice", "k") == Reply(SHA, 100, 200, 201, HEADERS, BODY)

    async def test_a_key_is_the_principals_own(self, books: Books) -> None:
        await books.commit(claim(), claim(principal="bob"), put(principal="bob", body=b"bobs"))
        assert await books.reply("alice", "k") == Reply(SHA, 100, 200)
        answered = await books.reply("bob", "k")
        assert answered is not None
        assert answered.body == b"bobs"
        assert await books.reply("mallory", "k") is None
        assert await books.reply("alice", "K") is None

    async def test_one_of_many_claims_at_once_is_taken(self, books: Books) -> None:
        refused = await refusals(books.commit(claim(), append(n)) for n in range(20))
        assert [type(error) for error in refused] == [ConflictError] * 19
        assert (await books.head()).size == 1

    async def test_a_claim_stands_until_the_moment_it_expires(self, books: Books) -> None:
        await books.commit(claim(), put())
        with pytest.raises(ConflictError):
            await books.commit(claim(now_ns=199, expires_ns=900))
        await books.commit(replace(claim(now_ns=200, expires_ns=900), request_sha256="cd" * 32))
        assert await books.reply("alice", "k") == Reply("cd" * 32, 200, 900)

    async def test_a_dropped_claim_can_be_taken_again(self, books: Books) -> None:
        await books.commit(DropReply("alice", "k"))
        await books.commit(claim())
        await books.commit(DropReply("alice", "k"), DropReply("alice", "k"))
        assert await books.reply("alice", "k") is None
        await books.commit(claim(), DropReply("alice", "k"), claim(now_ns=150), put(body=b"second"))
        assert await books.reply("alice", "k") == Reply(SHA, 150, 200, 201, HEADERS, b"second")

    async def test_an_answer_without_a_claim_is_refused_with_all_beside_it(self, books: Books) -> None:
        await books.commit(OpenAccount("a", 100), reserve("r", "a", 7))
        with pytest.raises(NotFoundError):
            await books.commit(settle("r", 1), append(), put())
        await books.commit(claim(), DropReply("alice", "k"))
        with pytest.raises(NotFoundError):
            await books.commit(settle("r", 1), append(), put())
        assert [held.id for held in await books.open_reservations()] == ["r"]
        assert (await books.head()).size == 0

    async def test_an_answer_and_its_settlement_are_one(self, books: Books) -> None:
        await books.commit(OpenAccount("a", 100), reserve("r", "a", 7), claim())
        with pytest.raises(NotFoundError):
            await books.commit(put(), settle("never", 1))
        assert await books.reply("alice", "k") == Reply(SHA, 100, 200)
        await books.commit(put(body=b""), settle("r", 1), append())
        assert await books.reply("alice", "k") == Reply(SHA, 100, 200, 201, HEADERS, b"")

    async def test_each_claim_takes_an_expired_one_along(self, books: Books) -> None:
        await books.commit(*(claim(f"old{n}") for n in range(30)), *(put(f"old{n}") for n in range(30)))
        await books.commit(claim("lasting", expires_ns=10_000))
        await asyncio.gather(*(books.commit(claim(f"new{n}", now_ns=200, expires_ns=300)) for n in range(30)))
        assert {await books.reply("alice", f"old{n}") for n in range(30)} == {None}
        assert None not in [await books.reply("alice", f"new{n}") for n in range(30)]
        assert await books.reply("alice", "lasting") is not None


class BoundIdContract:
    async def test_an_id_belongs_to_whom_it_was_bound_to(self, books: Books) -> None:
        assert await books.bound_id("resp_1") is None
        await books.commit(BOUND)
        assert await books.bound_id("resp_1") == BOUND
        assert await books.bound_id("RESP_1") is None

    async def test_an_id_of_one_is_never_bound_to_another(self, books: Books) -> None:
        taken = replace(BOUND, principal="mallory")
        refused = await refusals(books.commit(bind, append()) for bind in (BOUND, taken, taken))
        assert [type(error) for error in refused] == [ConflictError, ConflictError]
        with pytest.raises(ConflictError):
            await books.commit(append(), taken)
        assert await books.bound_id("resp_1") == BOUND
        assert (await books.head()).size == 1

    async def test_an_id_bound_again_by_its_owner_has_the_newest_facts(self, books: Books) -> None:
        newest = replace(BOUND, tokens=9, created_ns=8)
        await books.commit(BOUND)
        await books.commit(newest)
        assert await books.bound_id("resp_1") == newest
