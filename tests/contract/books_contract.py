"""What every store of the books must do. Subclass `BooksContract` and give it a `books` fixture."""

import asyncio
import hashlib
from dataclasses import replace

import pytest
from tests.contract.budgets_contract import BudgetContract, OwnershipContract, ReportContract
from tests.contract.changes import accept, append, money, refusals, reserve, settle
from tests.contract.replies_contract import BoundIdContract, ReplyContract

from macroslow.authn.jwt.revoked import Revocation
from macroslow.authn.ports import (
    DropKey,
    DropRevocation,
    KeyRecord,
    PutKey,
    PutKeyUse,
    PutRevocation,
    PutSigner,
    SignerRecord,
)
from macroslow.errors import (
    BudgetExhaustedError,
    ConflictError,
    LogUnavailableError,
    MacroslowError,
    NotFoundError,
)
from macroslow.metering.ledger import (
    MAX_COUNT,
    Account,
    Budget,
    CloseAccount,
    OpenAccount,
    UsageRow,
)
from macroslow.ports import DAY_NS
from macroslow.tlog.event import Event, EventType
from macroslow.tlog.leaf import check_opening, leaf_hash, parse_leaf
from macroslow.tlog.ports import Append, StoreCheckpoint, TreeHead
from macroslow.tlog.tree import root_of, verify_consistency, verify_inclusion
from macroslow.workflow.books import Books, Change
from macroslow.workflow.journal import FinishRun, PutObject, RunEvent, RunState


class LedgerContract:
    async def test_a_reservation_holds_and_its_settlement_spends(self, books: Books) -> None:
        await books.commit(OpenAccount("a", 100))
        await books.commit(reserve("r", "a", 60))
        assert await money(books, "a") == (0, 60)
        await books.commit(settle("r", 25))
        assert await books.account("a") == Account("a", None, 100, 25, 0)
        assert await books.audit_ledger() == []

    async def test_a_refusal_names_the_budget_with_the_numbers_that_were_enforced(self, books: Books) -> None:
        await books.commit(
            OpenAccount("a", 100), reserve("r1", "a", 50), settle("r1", 30), reserve("r2", "a", 40)
        )
        with pytest.raises(BudgetExhaustedError) as refused:
            await books.commit(reserve("r3", "a", 31))
        error = refused.value
        assert (error.budget, error.limit_usd_micros) == ("a", 100)
        assert (error.spent_usd_micros, error.held_usd_micros, error.needed_usd_micros) == (30, 40, 31)
        await books.commit(reserve("r3", "a", 30))
        assert await money(books, "a") == (30, 70)

    async def test_400_reserves_at_once_never_pass_a_dollar(self, books: Books) -> None:
        await books.commit(OpenAccount("a", 1_000_000))
        refused = await refusals(books.commit(reserve(f"r{n}", "a", 7_000)) for n in range(400))
        assert len(refused) == 400 - 1_000_000 // 7_000
        assert all(isinstance(error, BudgetExhaustedError) for error in refused)
        assert await money(books, "a") == (0, 994_000)
        opened = await books.open_reservations()
        await asyncio.gather(*(books.commit(settle(held.id, 7_000)) for held in opened))
        assert await money(books, "a") == (994_000, 0)
        assert await books.open_reservations() == []
        assert await books.audit_ledger() == []

    async def test_the_first_calls_of_a_new_caller_share_one_budget(self, books: Books) -> None:
        first = (OpenAccount("new", 10),)
        refused = await refusals(books.commit(*first, reserve(f"r{n}", "new", 4)) for n in range(20))
        assert len(refused) == 18
        assert await money(books, "new") == (0, 8)

    async def test_settling_twice_charges_once(self, books: Books) -> None:
        await books.commit(OpenAccount("a", 100), reserve("r", "a", 60))
        await asyncio.gather(*(books.commit(settle("r", cost)) for cost in (10, 20, 30)))
        await books.commit(settle("r", 50), settle("r", 51))
        assert await money(books, "a") == (10, 0)
        assert [row.calls for row in await books.usage("principal")] == [1]

    @pytest.mark.parametrize("name", ["0001", "9999"])
    async def test_what_one_commit_reserved_and_settled_is_over_for_its_other_lists_too(
        self, books: Books, name: str
    ) -> None:
        await books.commit(OpenAccount("a", 1_000), reserve("5000", "a", 1), settle("5000", 1))
        again = (settle(name, 2, once=True), reserve(name, "a", 60), settle(name, 3))
        outcomes = await asyncio.gather(
            books.commit(reserve(name, "a", 60)),
            books.commit(reserve("8000", "a", 1), settle("8000", 1)),
            books.commit(settle(name, 10)),
            *(books.commit(change) for change in again),
            return_exceptions=True,
        )
        assert [type(outcome) for outcome in outcomes[3:]] == [ConflictError, ConflictError, list]
        assert await money(books, "a") == (12, 0)

    async def test_a_cost_above_its_reservation_is_booked_as_it_is(self, books: Books) -> None:
        await books.commit(OpenAccount("a", 100), reserve("r", "a", 60), settle("r", 130))
        assert await money(books, "a") == (130, 0)
        with pytest.raises(BudgetExhaustedError):
            await books.commit(reserve("r2", "a", 0))
        assert await books.audit_ledger() == []

    async def test_zero_is_a_value(self, books: Books) -> None:
        await books.commit(OpenAccount("a", 0), reserve("r", "a", 0), settle("r", 0, outcome="refused"))
        assert await money(books, "a") == (0, 0)

    async def test_an_account_without_a_limit_is_only_counted(self, books: Books) -> None:
        await books.commit(OpenAccount("a", None), reserve("r", "a", 10**12), settle("r", 10**11))
        assert await money(books, "a") == (10**11, 0)

    async def test_a_child_holds_its_whole_limit_in_its_parent_and_returns_the_rest(
        self, books: Books
    ) -> None:
        await books.commit(OpenAccount("key", 100), OpenAccount("run", 40, "key"))
        assert await money(books, "key") == (0, 40)
        await books.commit(reserve("r", "run", 30))
        assert await money(books, "key") == (0, 40)
        await books.commit(settle("r", 25))
        assert await money(books, "key") == (25, 15)
        await books.commit(CloseAccount("run"), CloseAccount("run"))
        assert await money(books, "key") == (25, 0)
        assert await money(books, "run") == (25, 0)
        assert await books.open_child_accounts() == []
        assert await books.audit_ledger() == []

    async def test_a_child_that_does_not_fit_its_parent_is_not_opened(self, books: Books) -> None:
        await books.commit(OpenAccount("key", 100), OpenAccount("run1", 70, "key"))
        with pytest.raises(BudgetExhaustedError) as refused:
            await books.commit(OpenAccount("run2", 31, "key"))
        assert refused.value.budget == "key"
        assert await books.account("run2") is None
        assert [account.id for account in await books.open_child_accounts()] == ["run1"]

    async def test_a_call_under_way_keeps_its_money_when_its_run_is_closed(self, books: Books) -> None:
        await books.commit(OpenAccount("key", 100), OpenAccount("run", 40, "key"), reserve("r", "run", 30))
        await books.commit(CloseAccount("run"))
        assert await money(books, "key") == (0, 30)
        with pytest.raises(ConflictError):
            await books.commit(reserve("late", "run", 1))
        with pytest.raises(BudgetExhaustedError):
            await books.commit(reserve("other", "key", 71))
        await books.commit(settle("r", 30))
        assert await money(books, "key") == (30, 0)
        assert await books.audit_ledger() == []

    async def test_an_overrun_in_a_run_is_charged_to_the_key_too(self, books: Books) -> None:
        await books.commit(
            OpenAccount("key", 100),
            OpenAccount("run", 40, "key"),
            reserve("r1", "run", 20),
            reserve("r2", "run", 20),
            settle("r1", 35),
        )
        assert await money(books, "run") == (35, 20)
        assert await money(books, "key") == (35, 20), "the open call stays covered"
        await books.commit(settle("r2", 20), CloseAccount("run"))
        assert await money(books, "key") == (55, 0)
        assert await books.audit_ledger() == []

    async def test_three_levels_move_together(self, books: Books) -> None:
        await books.commit(
            OpenAccount("team", 100), OpenAccount("key", None, "team"), OpenAccount("run", 60, "key")
        )
        assert await money(books, "team") == (0, 60)
        await books.commit(reserve("r", "key", 40))
        assert await money(books, "team") == (0, 100)
        with pytest.raises(BudgetExhaustedError) as refused:
            await books.commit(reserve("r2", "key", 1))
        assert refused.value.budget == "team"
        await books.commit(settle("r", 5), CloseAccount("run"))
        assert await money(books, "team") == await money(books, "key") == (5, 0)

    async def test_a_limit_can_be_raised_lowered_and_taken_away(self, books: Books) -> None:
        await books.commit(OpenAccount("a", 10), reserve("r", "a", 10))
        await books.commit(OpenAccount("a", 4))
        assert await money(books, "a") == (0, 10)
        with pytest.raises(BudgetExhaustedError):
            await books.commit(reserve("r2", "a", 1))
        await books.commit(OpenAccount("a", 11), reserve("r2", "a", 1))
        await books.commit(OpenAccount("a", None), reserve("r3", "a", 10**9))

    async def test_a_childs_new_limit_is_held_too(self, books: Books) -> None:
        await books.commit(OpenAccount("key", 100), OpenAccount("run", 40, "key"))
        await books.commit(OpenAccount("run", 90, "key"))
        assert await money(books, "key") == (0, 90)
        with pytest.raises(BudgetExhaustedError):
            await books.commit(OpenAccount("run", 101, "key"))
        await books.commit(OpenAccount("run", 10, "key"))
        assert await money(books, "key") == (0, 10)

    @pytest.mark.parametrize(
        ("change", "error"),
        [
            (reserve("x", "nobody", 1), NotFoundError),
            (reserve("open", "a", 1), ConflictError),
            (reserve("done", "a", 1), ConflictError),
            (settle("never", 1), NotFoundError),
            (CloseAccount("nobody"), NotFoundError),
            (OpenAccount("x", 1, "nobody"), NotFoundError),
            (OpenAccount("a", 1, "b"), ConflictError),
            (OpenAccount("shut", 1), ConflictError),
            (OpenAccount("x", 1, "shut"), ConflictError),
            (reserve("x", "a", -1), ValueError),
            (reserve("x", "a", MAX_COUNT + 1), ValueError),
            (reserve("x", "a", True), ValueError),
            (reserve("x", "a", 1.0), ValueError),  # type: ignore[arg-type]
            (settle("open", -1), ValueError),
            (settle("open", MAX_COUNT + 1), ValueError),
            (settle("open", 1, outcome="lost"), ValueError),
            (OpenAccount("x", -1), ValueError),
        ],
    )  # fmt: skip
    async def test_a_senseless_change_is_refused_and_takes_its_whole_list_along(
        self, books: Books, change: Change, error: type[Exception]
    ) -> None:
        await books.commit(
            OpenAccount("a", 100), OpenAccount("b", 100), OpenAccount("shut", 5), CloseAccount("shut"),
            reserve("open", "a", 3), reserve("done", "a", 4), settle("done", 4),
        )  # fmt: skip
        with pytest.raises(error):
            await books.commit(append(), OpenAccount("a", 50), reserve("before", "a", 1), change, append())
        assert await books.account("a") == Account("a", None, 100, 4, 3)
        assert await books.head() == TreeHead(0, root_of([]))
        assert [held.id for held in await books.open_reservations()] == ["open"]
        assert await books.audit_ledger() == []

    async def test_open_reservations_carry_what_a_later_settlement_needs(self, books: Books) -> None:
        await books.commit(OpenAccount("a", 100), OpenAccount("run", 50, "a"))
        await books.commit(reserve("r", "run", 7, model="large", tag="blue", run_id="run-1"))
        (held,) = await books.open_reservations()
        assert (held.id, held.account, held.usd_micros, held.principal) == ("r", "run", 7, "alice")
        assert (held.key_id, held.provider, held.model, held.tag, held.run_id) == (
            "k1", "openai", "large", "blue", "run-1",
        )  # fmt: skip

    async def test_usage_is_grouped_by_what_is_asked(self, books: Books) -> None:
        await books.commit(OpenAccount("key/k1", 1_000), OpenAccount("key/k2", None))
        await books.commit(
            reserve("r1", "key/k1", 100, model="small", tag="blue"),
            reserve("r2", "key/k1", 100, model="large", tag="red"),
            reserve("r3", "key/k2", 100, model="small", tag="red", principal="bob", key_id="k2"),
            reserve("r4", "key/k1", 9),
            settle("r1", 5, settled_ns=DAY_NS - 1),
            settle("r2", 6, settled_ns=DAY_NS),
            settle("r3", 7, settled_ns=DAY_NS + 1),
        )
        assert await books.usage("key") == [
            UsageRow("k1", 2, 20, 40, 11, 9, 1_000),
            UsageRow("k2", 1, 10, 20, 7, 0, None),
        ]
        assert await books.usage("principal") == [
            UsageRow("alice", 2, 20, 40, 11, 0, None),
            UsageRow("bob", 1, 10, 20, 7, 0, None),
        ]
        assert [(row.key, row.usd_micros) for row in await books.usage("model")] == [
            ("large", 6),
            ("small", 12),
        ]
        assert [(row.key, row.usd_micros) for row in await books.usage("tag")] == [("blue", 5), ("red", 13)]
        assert [(row.key, row.usd_micros) for row in await books.usage("day")] == [
            ("1970-01-01", 5),
            ("1970-01-02", 13),
        ]
        assert [(row.key, row.usd_micros) for row in await books.usage("model", principal="bob")] == [
            ("small", 7)
        ]
        assert await books.usage("key", principal="nobody") == []
        with pytest.raises(ValueError, match=r"grouped|grouping"):
            await books.usage("provider; DROP TABLE totals")

    async def test_the_accounts_of_all_keys_are_told_by_the_keys_ids(self, books: Books) -> None:
        assert await books.accounts_of_keys() == {}
        await books.commit(
            *(PutKey(replace(KEY, id=name)) for name in ("k2", "k1", "unpaid")),
            PutKey(replace(KEY, id="k3", revoked_ns=5)),
            OpenAccount("key/k1", 100),
            OpenAccount("key/k2", None),
            OpenAccount("key/k3", 7),
            OpenAccount("key/of-nobody", 5),
            OpenAccount("k1", 5),
            OpenAccount("run/1", 50, "key/k1"),
            reserve("r", "run/1", 3, budgets=(Budget("key/k1/total", 9),)),
        )
        found = await books.accounts_of_keys()
        assert [*found.items()] == [
            ("k1", Account("key/k1", None, 100, 0, 50)),
            ("k2", Account("key/k2", None, None, 0, 0)),
            ("k3", Account("key/k3", None, 7, 0, 0)),
        ]

    async def test_a_key_with_a_budget_is_listed_before_its_first_call(self, books: Books) -> None:
        await books.commit(PutKey(KEY), OpenAccount("key/k1", 500))
        assert await books.usage("key") == [UsageRow("k1", 0, 0, 0, 0, 0, 500)]
        assert await books.usage("key", principal="bob") == []


class LogContract:
    async def test_entries_get_consecutive_indices_and_open_again(self, books: Books) -> None:
        first, second = await books.commit(append(1), append(2, "bob"))
        (third,) = await books.commit(append(3))
        assert [first.index, second.index, third.index] == [0, 1, 2]
        for entry in (first, second, third):
            assert await books.entry(entry.index) == entry
            check_opening(entry.leaf, entry.event, entry.salt)
        assert await books.entry(3) is None
        assert await books.entry(-1) is None
        assert await books.leaves(1, 9) == [second.leaf, third.leaf]
        stored = await books.stored(1, 9)
        assert [leaf for leaf, _ in stored] == [second.leaf, third.leaf]
        facts = [parse_leaf(leaf) for leaf, _ in stored]
        digests = [hashlib.sha256(payload).digest() for _, payload in stored]
        assert [fact.payload_sha256 for fact in facts] == digests
        leaves = [first.leaf, second.leaf, third.leaf]
        assert await books.head() == TreeHead(3, root_of([leaf_hash(leaf) for leaf in leaves]))

    async def test_entries_are_listed_with_index_and_time(self, books: Books) -> None:
        appended = await books.commit(*(append(n, "bob") for n in range(5)))
        listed = await books.entries(1, 3)
        assert [(event.index, event.time_ns, event.type) for event in listed] == [
            (n, 1_000 + n, EventType.CHAT_COMPLETED) for n in (1, 2, 3)
        ]
        assert [event.event for event in listed] == [entry.event for entry in appended[1:4]]
        assert {event.subject for event in listed} == {"bob"}
        assert await books.entries(5, 10) == []

    async def test_no_index_is_lost_or_given_twice_among_many_callers(self, books: Books) -> None:
        await books.commit(OpenAccount("a", 100))
        lists: list[list[Change]] = [[append(n), reserve(f"r{n}", "a", 1)] for n in range(300)]
        outcomes = await asyncio.gather(
            *(books.commit(*changes) for changes in lists), return_exceptions=True
        )
        entries = [entry for outcome in outcomes if isinstance(outcome, list) for entry in outcome]
        assert sorted(entry.index for entry in entries) == list(range(100))
        hashes = [leaf_hash(leaf) for leaf in await books.leaves(0, 100)]
        assert [hashes[entry.index] for entry in entries] == [leaf_hash(entry.leaf) for entry in entries]
        assert await books.head() == TreeHead(100, root_of(hashes))

    async def test_proofs_hold_across_tiles(self, books: Books) -> None:
        heads = [await books.head()]
        for size in (1, 2, 255, 256, 257, 511, 513, 700):
            await books.commit(*(append(n) for n in range(heads[-1].size, size)))
            heads.append(await books.head())
        leaves = await books.leaves(0, 700)
        for head in heads:
            assert head.root == root_of([leaf_hash(leaf) for leaf in leaves[: head.size]])
            for later in heads:
                if later.size >= head.size:
                    proof = await books.consistency_proof(head.size, later.size)
                    verify_consistency(head.size, head.root, later.size, later.root, proof)
            for index in {0, 1, 254, 255, 256, 512, head.size - 1}:
                if 0 <= index < head.size:
                    path = await books.inclusion_proof(index, head.size)
                    verify_inclusion(leaf_hash(leaves[index]), index, head.size, head.root, path)

    async def test_tiles_are_whole_or_as_wide_as_asked(self, books: Books) -> None:
        await books.commit(*(append(n) for n in range(300)))
        hashes = [leaf_hash(leaf) for leaf in await books.leaves(0, 300)]
        assert await books.tile(0, 0, 256) == b"".join(hashes[:256])
        assert await books.tile(0, 0, 3) == b"".join(hashes[:3])
        assert await books.tile(0, 1, 44) == b"".join(hashes[256:])
        assert await books.tile(1, 0, 1) == root_of(hashes[:256])
        for missing in ((0, 1, 45), (0, 2, 1), (1, 0, 2), (1, 1, 1), (5, 0, 1)):
            assert await books.tile(*missing) is None

    async def test_a_proof_in_a_tree_that_never_was_is_refused(self, books: Books) -> None:
        await books.commit(append(), append())
        for attempt in (
            books.inclusion_proof(0, 3),
            books.inclusion_proof(2, 2),
            books.consistency_proof(1, 3),
            books.consistency_proof(2, 1),
        ):
            with pytest.raises(ValueError):
                await attempt

    async def test_an_event_that_is_not_canonical_is_refused_alone(self, books: Books) -> None:
        bad = Append(Event(EventType.REFUSED, 1, "mallory", {"ratio": 0.5}))
        kept, refused = await asyncio.gather(
            books.commit(append()), books.commit(append(), bad), return_exceptions=True
        )
        assert isinstance(refused, ValueError)
        assert isinstance(kept, list)
        assert (await books.head()).size == 1

    async def test_the_newest_checkpoint_is_kept(self, books: Books) -> None:
        assert await books.checkpoint() is None
        await books.commit(append(), append(), append())
        await books.commit(StoreCheckpoint(2, b"two"))
        await books.commit(StoreCheckpoint(3, b"three"))
        await books.commit(StoreCheckpoint(1, b"late"))
        assert await books.checkpoint() == (3, b"three")
        await books.commit(StoreCheckpoint(3, b"three again"))
        assert await books.checkpoint() == (3, b"three again")

    async def test_a_checkpoint_of_entries_that_are_not_committed_is_refused(self, books: Books) -> None:
        with pytest.raises(ValueError):
            await books.commit(append(), StoreCheckpoint(1, b"ahead"))
        assert (await books.head()).size == 0


class JournalContract:
    async def test_a_run_carries_the_indices_of_its_entries(self, books: Books) -> None:
        await books.commit(append())
        accepted = await books.commit(accept("run-1"), append())
        run = await books.run("run-1")
        assert run is not None
        assert (run.state, run.accepted_index, run.finished_index) == (
            RunState.RUNNING,
            accepted[0].index,
            None,
        )
        assert await books.running() == [run]
        finished = await books.commit(append(), FinishRun("run-1", RunEvent.SUCCEEDED, 9), append())
        run = await books.run("run-1")
        assert run is not None
        assert (run.state, run.finished_ns, run.finished_index) == (RunState.SUCCESS, 9, finished[1].index)
        assert await books.running() == []

    async def test_a_run_without_an_entry_after_it_is_refused(self, books: Books) -> None:
        with pytest.raises(ValueError):
            await books.commit(append(), accept("run-1"))
        assert await books.run("run-1") is None

    async def test_only_one_of_many_endings_counts(self, books: Books) -> None:
        await books.commit(accept("run-1"), append())
        endings = [RunEvent.SUCCEEDED, RunEvent.CANCELLED, RunEvent.FAILED, RunEvent.CUT_OFF]
        refused = await refusals(books.commit(FinishRun("run-1", end, 9), append()) for end in endings)
        assert [type(error) for error in refused] == [ConflictError] * 3
        assert (await books.head()).size == 2

    async def test_a_run_is_its_owners_to_its_end(self, books: Books) -> None:
        await books.commit(accept("run-1", owner="gateway-1"), append(), accept("run-2"), append())
        assert {run.id: run.owner for run in await books.running()} == {
            "run-1": "gateway-1",
            "run-2": "gateway",
        }
        await books.commit(FinishRun("run-1", RunEvent.CUT_OFF, 9), append())
        run = await books.run("run-1")
        assert run is not None
        assert (run.state, run.owner) == (RunState.INTERRUPTED, "gateway-1")

    async def test_runs_are_listed_newest_first_and_by_principal(self, books: Books) -> None:
        for n, principal in enumerate(["alice", "bob", "alice"]):
            await books.commit(accept(f"run-{n}", principal), append())
        assert [run.id for run in await books.runs(None)] == ["run-2", "run-1", "run-0"]
        assert [run.id for run in await books.runs("alice")] == ["run-2", "run-0"]
        assert [run.id for run in await books.runs(None, limit=1)] == ["run-2"]
        assert await books.runs("nobody") == []

    @pytest.mark.parametrize(
        ("change", "error"),
        [
            (accept("run-1"), ConflictError),
            (FinishRun("nothing", RunEvent.FAILED, 1), NotFoundError),
            (PutObject("nothing", "answer", "alice", b""), NotFoundError),
        ],
    )
    async def test_a_wrong_step_of_a_run_is_refused(
        self, books: Books, change: Change, error: type[MacroslowError]
    ) -> None:
        await books.commit(accept("run-1"), append())
        with pytest.raises(error):
            await books.commit(change, append())
        assert (await books.head()).size == 1

    async def test_sealed_objects_stand_beside_their_run(self, books: Books) -> None:
        await books.commit(accept("run-1"), append(), PutObject("run-1", "document", "alice", b"\0sealed"))
        await books.commit(PutObject("run-1", "receipt", "alice", b"1"))
        await books.commit(PutObject("run-1", "receipt", "bob", b"2"))
        assert await books.sealed_object("run-1", "document") == ("alice", b"\0sealed")
        assert await books.sealed_object("run-1", "receipt") == ("bob", b"2")
        assert await books.sealed_object("run-1", "answer") is None
        assert await books.sealed_object("run-2", "document") is None


KEY = KeyRecord(
    "k1",
    "alice",
    b"\0" * 32,
    1,
    note="note",
    scopes=frozenset({"inference:chat", "usage:read"}),
    grants=("https://*",),
    expires_ns=2,
    requests_per_minute=60,
)
SIGNER = SignerRecord("s1", "Alice", '{"keys":[]}', ("agent://alice", "agent://lab/*"), 3)


class IdentityContract:
    async def test_keys_and_signers_come_back_as_they_were_put(self, books: Books) -> None:
        older = KeyRecord("k0", "bob", b"\1" * 32, 0)
        await books.commit(PutKey(KEY), PutKey(older), PutSigner(SIGNER))
        assert await books.keys() == [older, KEY]
        assert await books.signers() == [SIGNER]

    async def test_no_process_brings_a_revoked_key_back(self, books: Books) -> None:
        """One that read the key before it was revoked, and changes something else of it."""
        revoked = replace(KEY, revoked_ns=9)
        await books.commit(PutKey(replace(KEY, note="before")))
        await books.commit(PutKey(revoked))
        await books.commit(PutKey(replace(KEY, note="after")), PutKey(replace(KEY, secret_hmac=b"2" * 32)))
        assert await books.keys() == [revoked]

    async def test_the_last_use_of_a_key_is_the_latest_that_was_ever_told(self, books: Books) -> None:
        await books.commit(PutKey(KEY))
        assert await books.key_uses() == {}
        await books.commit(PutKeyUse("k1", 50), PutKeyUse("k2", 7), PutKeyUse("k1", 40))
        assert await books.key_uses() == {"k1": 50, "k2": 7}
        await books.commit(PutKeyUse("k1", 30), PutKeyUse("k2", 2**62))
        assert await books.key_uses() == {"k1": 50, "k2": 2**62}
        assert await books.keys() == [KEY]

    async def test_a_key_that_is_dropped_leaves_nothing_and_the_others_stay(self, books: Books) -> None:
        other = replace(KEY, id="k2", revoked_ns=9)
        await books.commit(PutKey(KEY), PutKey(other), PutKeyUse("k1", 50), PutKeyUse("k2", 7))
        await books.commit(DropKey("k2"), DropKey("unknown"))
        await books.commit(DropKey("k2"))
        assert (await books.keys(), await books.key_uses()) == ([KEY], {"k1": 50})
        await books.commit(PutKey(replace(KEY, id="k3")), DropKey("k3"))
        assert await books.keys() == [KEY]

    async def test_revocations_come_back_replace_each_other_and_are_dropped(self, books: Books) -> None:
        one = Revocation("main", jti="é'; DROP TABLE revoked_tokens --", expires_s=2**33)
        everybody, alice = Revocation("main", before_s=5), Revocation("main", subject="alice", before_s=7)
        await books.commit(PutRevocation(one), PutRevocation(everybody), PutRevocation(alice))
        assert await books.revocations() == sorted([one, everybody, alice], key=lambda each: each.id)
        later = Revocation("main", before_s=9)
        await books.commit(PutRevocation(later), DropRevocation(alice.id), DropRevocation("unknown"))
        assert await books.revocations() == sorted([one, later], key=lambda each: each.id)
        await books.commit(DropRevocation(one.id), PutRevocation(one), DropRevocation(later.id))
        assert await books.revocations() == [one]
        await books.commit(PutRevocation(alice), DropRevocation(alice.id))
        assert await books.revocations() == [one]

    async def test_putting_again_replaces(self, books: Books) -> None:
        await books.commit(PutKey(KEY), PutSigner(SIGNER))
        revoked = KeyRecord("k1", "alice", b"\2" * 32, 1, note="revoked", revoked_ns=7)
        await books.commit(PutKey(revoked))
        assert await books.keys() == [revoked]

    async def test_a_keys_team_weight_budgets_and_origin_are_kept(self, books: Books) -> None:
        legacy = replace(
            KEY, id="legacy1", team="lab", weight=3, day_usd_micros=0, month_usd_micros=10**9, legacy=True
        )
        await books.commit(PutKey(KEY), PutKey(legacy))
        assert await books.keys() == [KEY, legacy]
        assert [key.legacy for key in await books.keys()] == [False, True]


class BooksContract(
    LedgerContract,
    BudgetContract,
    OwnershipContract,
    ReportContract,
    LogContract,
    JournalContract,
    ReplyContract,
    BoundIdContract,
    IdentityContract,
):
    async def test_a_refused_list_leaves_no_trace_and_its_neighbours_stand(self, books: Books) -> None:
        await books.commit(OpenAccount("a", 10))
        good = [books.commit(reserve(f"g{n}", "a", 1), append(n)) for n in range(5)]
        bad = [
            books.commit(append(), accept(f"run-{n}", "mallory"), append(), reserve(f"b{n}", "a", 11))
            for n in range(5)
        ]
        refused = await refusals(attempt for pair in zip(good, bad, strict=True) for attempt in pair)
        assert [type(error) for error in refused] == [BudgetExhaustedError] * 5
        assert await money(books, "a") == (0, 5)
        assert (await books.head()).size == 5
        assert await books.runs(None) == []

    async def test_nothing_is_a_commit_too(self, books: Books) -> None:
        assert await books.commit() == []

    async def test_closed_books_refuse(self, books: Books) -> None:
        await books.commit(append())
        await books.close()
        await books.close()
        with pytest.raises(LogUnavailableError):
            await books.commit(append())
        with pytest.raises(LogUnavailableError):
            await books.entry(0)
