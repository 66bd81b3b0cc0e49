"""A run from bytes to receipt: however it ends, it ends once, is paid for once and is in the log."""

import asyncio
import hashlib
import itertools
import json
import re
from pathlib import Path

import orjson
import pytest
from tests.services.house import ANN, BOB, ENTROPY, House, Keys, open_house, paper, succeeded
from tests.services.model_fakes import ScriptedProvider, chat_on, request

from macroslow.authn.principal import Principal
from macroslow.authz import scopes
from macroslow.crypto import documents, statements
from macroslow.crypto.hybrid import HybridPrivateKey, KeyUse
from macroslow.errors import (
    BudgetExhaustedError,
    ConflictError,
    DecryptionFailedError,
    InvalidDocumentError,
    InvalidInputsError,
    LogUnavailableError,
    MissingRightError,
    NotFoundError,
    SandboxUnavailableError,
    SignatureRefusedError,
    TooLargeError,
)
from macroslow.inference import CHAT_COMPLETIONS
from macroslow.metering.ledger import CloseAccount, OpenAccount
from macroslow.services.documents.admit_document import Submission
from macroslow.services.documents.interrupt_runs import InterruptRuns
from macroslow.services.documents.record_runs import object_purpose
from macroslow.services.recovery.recover_after_crash import RecoverAfterCrash
from macroslow.tlog import receipt
from macroslow.tlog.event import EventType
from macroslow.tlog.ports import StoreCheckpoint
from macroslow.workflow.journal import AcceptRun, FinishRun, RunState
from macroslow.workflow.sandbox import BlockOutcome, BlockStatus, Job, Level, Outcome

PLAIN = paper("print(1)")
PAID = paper("print(1)", execute="gateway://local api://openai api://weather")
SCHEMA = '\n## Output_Schema\n\n```json\n{"type": "object", "required": ["sum"]}\n```\n'


def run(house: House, raw: bytes = PLAIN, principal: Principal = ANN, **more) -> "asyncio.Task[dict]":
    return asyncio.create_task(house.execute(principal, Submission(raw, **more), request_id="r1"))


async def only_run(house: House, state: RunState):
    (found,) = await house.books.runs(None)
    assert found.state is state
    return found


async def assert_closed(house: House, accepted: int = 1) -> None:
    """Every run that was accepted has ended, once, and holds nothing any more."""
    assert len(await house.events(EventType.RUN_ACCEPTED)) == accepted
    ends = [fields["run_id"] for fields in await house.events(EventType.RUN_FINISHED)]
    assert len(ends) == len(set(ends)) == accepted
    assert await house.books.running() == []
    assert await house.books.open_child_accounts() == []
    assert (await house.books.account(ANN.account)).held_usd_micros == 0
    assert await house.books.audit_ledger() == []
    assert house.execute.under_way == {}
    assert house.sandbox.under_way == 0
    assert not house.execute.slots.locked()


async def test_a_run_is_answered_sealed_logged_and_proved(house: House) -> None:
    house.sandbox.work = lambda job: succeeded(job, orjson.dumps({"sum": job.inputs["a"] + 1}))
    answer = await run(house, inputs={"a": 41})
    assert (answer["status"], answer["result"], answer["error"]) == ("success", {"sum": 42}, None)
    assert [output["stdout"] for output in answer["outputs"]] == ["out"]
    assert answer["sandbox"] == {"backend": "fake", "level": "full"}
    assert answer["execution_time"] == f"{answer['duration_ms']}ms"
    assert (answer["signer"], answer["signature"], answer["quantum_checksum"]) == (None, None, None)
    sent = orjson.dumps(answer)
    verdict = receipt.verify(orjson.dumps(answer["receipt"]), house.log_key, answer=sent, document=PLAIN)
    assert verdict.statement["who"] == "ann"
    assert verdict.statement["details"]["answer_sha256"] == receipt.answer_sha256(answer)
    found = await only_run(house, RunState.SUCCESS)
    shown = await house.runs.show(ANN, found.id)
    assert shown["answer"] == {name: value for name, value in answer.items() if name != "receipt"}
    assert await house.runs.document(ANN, found.id) == PLAIN
    await assert_closed(house)


async def test_both_entries_say_who_what_and_with_which_rights(house: House) -> None:
    answer = await run(house, PAID, inputs={"b": 2, "a": 1})
    (accepted,) = await house.events(EventType.RUN_ACCEPTED)
    (finished,) = await house.events(EventType.RUN_FINISHED)
    for fields in (accepted, finished):
        assert fields["principal"] == "ann"
        assert fields["key_id"] == "ann0"
        assert fields["request_id"] == "r1"
        assert fields["run_id"] == answer["run_id"]
        assert fields["origin"] == "agent://tester"
        assert fields["rights"] == ["gateway://local", "api://openai", "api://weather"]
        assert fields["document_sha256"] == hashlib.sha256(PAID).hexdigest()
    assert accepted["inputs_sha256"] == hashlib.sha256(b'{"a": 1, "b": 2}').hexdigest()
    assert finished["status"] == "success"


async def test_acceptance_is_durable_before_the_first_block_runs(house: House) -> None:
    seen = []

    async def work(job: Job) -> Outcome:
        seen.append((await house.books.run(job.run_id)).state)
        return succeeded(job, None)

    house.sandbox.work = work
    await run(house)
    assert seen == [RunState.RUNNING]


async def test_a_document_without_code_needs_no_sandbox(house: House) -> None:
    house.sandbox.level = Level.NONE
    answer = await run(house, paper())
    assert (answer["status"], answer["outputs"], house.sandbox.jobs) == ("success", [], [])
    await assert_closed(house)


async def test_without_a_sandbox_code_is_refused_before_anything_is_recorded(house: House) -> None:
    house.sandbox.level = Level.NONE
    house.sandbox.work = lambda _: SandboxUnavailableError("no namespaces here")
    with pytest.raises(SandboxUnavailableError):
        await run(house)
    await assert_closed(house, accepted=0)


@pytest.mark.parametrize(
    ("raw", "more", "refused"),
    [
        (b"no document", {}, InvalidDocumentError),
        (b"\xff" * 100, {}, InvalidDocumentError),
        (b"x" * (1024 * 1024 + 1), {}, TooLargeError),
        (paper("x", execute="gateway://elsewhere"), {}, MissingRightError),
        (paper("x", execute="gateway://local api://unknown"), {}, MissingRightError),
        (paper("x", front="quantum_security_flag: true\n"), {}, SignatureRefusedError),
        (PLAIN + b'\n## Input_Schema\n\n```json\n{"required": ["a"]}\n```\n', {}, InvalidInputsError),
        (PLAIN, {"inputs": {"a": float("nan")}}, InvalidInputsError),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else None,
)
async def test_a_refusal_leaves_nothing_behind(house: House, raw: bytes, more: dict, refused: type) -> None:
    with pytest.raises(refused) as error:
        await run(house, raw, **more)
    assert error.value.step
    assert house.sandbox.jobs == []
    await assert_closed(house, accepted=0)


# What the code gives.


@pytest.mark.parametrize(
    "result",
    [b"", b"{", b"NaN", b'{"sum": 1e999}', b'{"sum": %d}' % 2**53, b"[" * 100 + b"]" * 100, b"\xff",
     b'{"sum": 1, "sum": 2}', rb'"\ud800"', b"[" * 100_000],
)  # fmt: skip
async def test_a_result_that_is_not_usable_is_a_failed_run_with_a_receipt(
    house: House, result: bytes
) -> None:
    house.sandbox.work = lambda job: succeeded(job, result)
    answer = await run(house)
    assert (answer["status"], answer["result"]) == ("failed", None)
    assert answer["error"].startswith("the result is not usable")
    receipt.verify(orjson.dumps(answer["receipt"]), house.log_key, answer=orjson.dumps(answer))
    await only_run(house, RunState.FAILED)
    await assert_closed(house)


async def test_a_result_that_does_not_fit_output_schema_fails_the_run(house: House) -> None:
    house.sandbox.work = lambda job: succeeded(job, b'{"total": 1}')
    answer = await run(house, PLAIN + SCHEMA.encode())
    assert (answer["status"], answer["result"]) == ("failed", None)
    assert "Output_Schema" in answer["error"]
    assert "sum" in answer["error"]
    await assert_closed(house)


async def test_a_block_that_fails_fails_the_run_and_says_which_limit(house: House) -> None:
    ended = BlockOutcome("python", "b", BlockStatus.MEMORY, None, "", "", 5, "too much", "memory_bytes", 9)
    house.sandbox.work = lambda _: Outcome((ended,), b"1", "fake", Level.FULL)
    answer = await run(house)
    assert (answer["status"], answer["error"], answer["result"]) == ("failed", "too much", None)
    assert (answer["outputs"][0]["limit"], answer["outputs"][0]["peak"]) == ("memory_bytes", 9)
    await assert_closed(house)


async def test_a_large_result_does_not_stop_the_loop(house: House) -> None:
    """Hashing 400,000 numbers takes half a second of CPU, which others must not wait for."""
    house.sandbox.work = lambda job: succeeded(job, orjson.dumps([0.5] * 200_000))
    loop, running = asyncio.get_running_loop(), run(house)
    times_s = [loop.time()]
    while not running.done():
        await asyncio.sleep(0)
        times_s.append(loop.time())
    assert running.result()["status"] == "success"
    longest_s = max(after - before for before, after in itertools.pairwise(times_s))
    assert longest_s < (times_s[-1] - times_s[0]) / 2


# Who goes away, and who cancels.


async def test_a_caller_that_leaves_before_acceptance_leaves_nothing(house: House) -> None:
    gone = run(house)
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.wait({gone})
    assert gone.cancelled()
    await assert_closed(house, accepted=0)


async def test_a_caller_that_leaves_during_acceptance_leaves_a_cancelled_run(house: House) -> None:
    house.books.leave = asyncio.Event()
    gone = run(house, PAID)
    while not house.books.waiting:
        await asyncio.sleep(0.001)
    gone.cancel()
    await asyncio.sleep(0.01)
    house.books.leave.set()
    await asyncio.wait({gone})
    assert gone.cancelled()
    assert house.sandbox.jobs == []
    await only_run(house, RunState.CANCELLED)
    await assert_closed(house)


async def test_a_caller_that_leaves_while_code_runs_stops_it(house: House) -> None:
    house.sandbox.hold = asyncio.Event()
    gone = run(house, PAID)
    await house.sandbox.started.wait()
    gone.cancel()
    await asyncio.wait({gone})
    assert (gone.cancelled(), house.sandbox.cut_off) == (True, 1)
    (fields,) = await house.events(EventType.RUN_FINISHED)
    assert fields["status"] == "failed"
    await only_run(house, RunState.CANCELLED)
    await assert_closed(house)


async def test_a_caller_that_leaves_while_the_end_is_recorded_changes_nothing(house: House) -> None:
    def work(job: Job) -> Outcome:
        house.books.leave = asyncio.Event()
        return succeeded(job, b"1")

    house.sandbox.work = work
    gone = run(house, PAID)
    while house.books.leave is None or house.execute.under_way:
        await asyncio.sleep(0.001)
    gone.cancel()
    gone.cancel()
    await asyncio.sleep(0.01)
    house.books.leave.set()
    await asyncio.wait({gone})
    await until_closed(house)
    await only_run(house, RunState.SUCCESS)
    await assert_closed(house)


async def until_closed(house: House) -> None:
    while await house.books.running():
        await asyncio.sleep(0.01)


async def test_a_caller_that_leaves_twice_does_not_leave_the_run_open(house: House) -> None:
    house.sandbox.hold = asyncio.Event()
    gone = run(house, PAID)
    await house.sandbox.started.wait()
    gone.cancel()
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.wait({gone})
    await until_closed(house)
    await only_run(house, RunState.CANCELLED)
    await assert_closed(house)


async def test_the_owner_cancels_and_the_caller_gets_an_answer(house: House) -> None:
    house.sandbox.hold = asyncio.Event()
    running = run(house)
    await house.sandbox.started.wait()
    (run_id,) = house.execute.under_way
    with pytest.raises(NotFoundError):
        await house.runs.cancel(BOB, run_id)
    assert await house.runs.cancel(ANN, run_id) == {"run_id": run_id, "cancelling": True}
    answer = await running
    assert (answer["status"], answer["error"]) == ("failed", "the run was cancelled")
    receipt.verify(orjson.dumps(answer["receipt"]), house.log_key, answer=orjson.dumps(answer))
    with pytest.raises(ConflictError, match="cancelled"):
        await house.runs.cancel(ANN, run_id)
    await assert_closed(house)


async def test_a_run_cancelled_while_it_waits_for_its_turn_never_starts(tmp_path: Path) -> None:
    async with open_house(tmp_path, slots=1) as house:
        house.sandbox.hold = asyncio.Event()
        first = run(house)
        await house.sandbox.started.wait()
        second = run(house)
        while len(house.execute.under_way) < 2:
            await asyncio.sleep(0.001)
        waiting = [run_id for run_id in house.execute.under_way if run_id != house.sandbox.jobs[0].run_id]
        await house.runs.cancel(ANN, waiting[0])
        assert (await second)["error"] == "the run was cancelled"
        house.sandbox.hold.set()
        assert (await first)["status"] == "success"
        assert len(house.sandbox.jobs) == 1
        await assert_closed(house, accepted=2)


async def test_no_more_runs_work_at_once_than_there_are_slots(tmp_path: Path) -> None:
    async with open_house(tmp_path, slots=3) as house:

        async def work(job: Job) -> Outcome:
            await asyncio.sleep(0.005)
            if len(house.sandbox.jobs) % 5 == 0:
                raise ValueError("a defect")
            return succeeded(job, None)

        house.sandbox.work = work
        ended = await asyncio.gather(*(run(house) for _ in range(20)), return_exceptions=True)
        assert house.sandbox.most_under_way == 3
        assert any(isinstance(one, ValueError) for one in ended)
        await assert_closed(house, accepted=20)


# What fails around it.


@pytest.mark.parametrize("error", [SandboxUnavailableError("it broke"), ValueError("a defect"), OSError(5)])
async def test_a_sandbox_that_raises_is_a_failed_run_and_the_error_goes_on(house: House, error) -> None:
    house.sandbox.work = lambda _: error
    with pytest.raises(type(error)):
        await run(house, PAID)
    found = await only_run(house, RunState.FAILED)
    code = getattr(error, "code", "internal")
    shown = await house.runs.show(ANN, found.id)
    assert shown["answer"]["error"] == f"the run could not be carried out ({code})"
    await assert_closed(house)


@pytest.mark.parametrize("kind", [OpenAccount, AcceptRun])
async def test_books_that_fail_at_acceptance_run_nothing(house: House, kind: type) -> None:
    house.books.fail_once(kind)
    with pytest.raises(LogUnavailableError):
        await run(house, PAID)
    assert house.sandbox.jobs == []
    await assert_closed(house, accepted=0)


@pytest.mark.parametrize("kind", [FinishRun, CloseAccount])
async def test_books_that_fail_once_at_the_end_give_no_answer_and_leave_no_open_run(house, kind) -> None:
    house.books.fail_once(kind)
    with pytest.raises(LogUnavailableError):
        await run(house, PAID)
    await only_run(house, RunState.FAILED)
    await assert_closed(house)


async def test_books_that_fail_for_good_leave_the_run_to_the_next_start(tmp_path: Path) -> None:
    keys = Keys.new()
    async with open_house(tmp_path, keys=keys) as house:
        house.books.fails = lambda changes: any(isinstance(change, FinishRun) for change in changes)
        with pytest.raises(LogUnavailableError):
            await run(house, PAID)
        assert len(await house.books.running()) == 1
    async with open_house(tmp_path, keys=keys) as again:
        recovered = await RecoverAfterCrash(again.books, again.execute.record.clock, "again")()
        assert recovered.runs == 1
        await only_run(again, RunState.INTERRUPTED)
        assert (await again.books.account(ANN.account)).held_usd_micros == 0


async def test_a_run_whose_end_could_not_be_recorded_is_closed_while_its_process_lives_on(
    house: House,
) -> None:
    record = house.execute.record
    interrupt = InterruptRuns(house.books, record.clock, _nobody, record.owner, record.open_runs)

    async def work(job: Job) -> Outcome:
        assert await interrupt() == 0, "it is carried out"
        return succeeded(job, b"1")

    house.sandbox.work = work
    house.books.fails = lambda changes: any(isinstance(change, FinishRun) for change in changes)
    with pytest.raises(LogUnavailableError):
        await run(house, PAID)
    house.books.fails = lambda _: False
    assert await interrupt() == 1
    await only_run(house, RunState.INTERRUPTED)
    assert (await house.books.account(ANN.account)).held_usd_micros == 0


async def test_a_run_that_was_taken_for_dead_is_not_told_as_if_nothing_was_done(house: House) -> None:
    interrupt = InterruptRuns(house.books, house.execute.record.clock, _nobody, "another")

    async def work(job: Job) -> Outcome:
        assert await interrupt() == 1
        return succeeded(job, b"1")

    house.sandbox.work = work
    with pytest.raises(LogUnavailableError) as told:
        await run(house, PAID)
    assert not told.value.nothing_done
    await only_run(house, RunState.INTERRUPTED)


async def _nobody(_owner: str) -> bool:
    return False


async def test_a_checkpoint_that_cannot_be_kept_costs_the_answer_and_not_the_run(house: House) -> None:
    house.books.fail_once(StoreCheckpoint)
    with pytest.raises(LogUnavailableError):
        await run(house)
    found = await only_run(house, RunState.SUCCESS)
    told = await house.runs.receipt(ANN, found.id)  # it is proved as soon as it can be
    receipt.verify(orjson.dumps(told), house.log_key, document=PLAIN)
    await assert_closed(house)


async def test_a_signer_that_is_away_fails_the_run_that_wants_a_signature(house: House) -> None:
    house.signer.broken = True
    with pytest.raises(LogUnavailableError, match="signer"):
        await run(house, PAID, wants_signature=True)
    await only_run(house, RunState.FAILED)
    await assert_closed(house)


# Signatures.


async def test_the_answers_signature_verifies_over_its_digest(house: House) -> None:
    answer = await run(house, wants_signature=True)
    keys = {house.answer_key.key_id: house.answer_key.public}
    statement, facts = statements.verify(answer["signature"], keys.get, use="answer")
    assert facts.key_id == house.answer_key.key_id
    assert statement.claims["answer_sha256"] == answer["quantum_checksum"]
    assert statement.claims["run_id"] == answer["run_id"]
    unsigned = {**answer, "signature": None, "quantum_checksum": None}
    assert receipt.answer_sha256(unsigned) == answer["quantum_checksum"]
    receipt.verify(orjson.dumps(answer["receipt"]), house.log_key, answer=orjson.dumps(answer))


async def test_a_signed_document_names_its_signer_and_its_flag_asks_for_a_signed_answer(house: House) -> None:
    author = HybridPrivateKey.generate(KeyUse.DOCUMENT, ENTROPY)
    raw = documents.sign(paper("x", front="quantum_security_flag: true\n"), author, issued_ns=1)
    with pytest.raises(SignatureRefusedError):
        await run(house, raw)
    await house.signers.trust("author", author.public.to_jwks(), ["agent://tester"])
    answer = await run(house, raw)
    assert answer["signer"] == author.key_id
    assert answer["signature"]
    assert await house.runs.document(ANN, answer["run_id"]) == raw
    await house.signers.revoke("author")
    with pytest.raises(SignatureRefusedError):
        await run(house, raw)


# Money.


@pytest.mark.parametrize(
    ("budget", "spent", "expected"),
    [(None, 0, 1_000_000), (5_000_000, 0, 1_000_000), (300_000, 0, 300_000), (2_000_000, 1_999_999, 1)],
)
async def test_a_run_holds_at_most_what_its_caller_has_left(tmp_path: Path, budget, spent, expected) -> None:
    async with open_house(tmp_path, budgets={ANN.account: budget}) as house:
        if spent:
            await house.books.commit(OpenAccount("run/other", spent, ANN.account))
        seen = []

        async def work(job: Job) -> Outcome:
            seen.append((await house.books.account(f"run/{job.run_id}")).limit_usd_micros)
            seen.append((await house.books.account(ANN.account)).held_usd_micros)
            return succeeded(job, None)

        house.sandbox.work = work
        await run(house, PAID)
        assert seen == [expected, spent + expected]


async def test_with_nothing_left_a_document_that_may_call_models_is_refused_with_the_numbers(
    tmp_path,
) -> None:
    async with open_house(tmp_path, budgets={ANN.account: 500}) as house:
        await house.books.commit(OpenAccount("run/other", 500, ANN.account))
        with pytest.raises(BudgetExhaustedError) as refused:
            await run(house, PAID)
        assert (refused.value.limit_usd_micros, refused.value.held_usd_micros) == (500, 500)
        assert (await run(house, PLAIN))["status"] == "success"  # which needs no money


async def test_a_runs_calls_are_paid_from_its_account_and_counted_in_its_answer(house: House) -> None:
    async def work(job: Job) -> Outcome:
        ask = house.egress[-1].ask
        for _ in range(3):
            await ask(CHAT_COMPLETIONS, request(), {})
        return succeeded(job, None)

    house.sandbox.work = work
    answer = await run(house, PAID)
    used = answer["usage"]
    assert used["by_model"]["gpt-4o"]["calls"] == 3
    assert used["usd_micros"] == used["by_model"]["gpt-4o"]["usd_micros"] > 0
    account = await house.books.account(ANN.account)
    assert account.spent_usd_micros == used["usd_micros"]
    calls = await house.events(EventType.CHAT_COMPLETED)
    assert {fields["run_id"] for fields in calls} == {answer["run_id"]}
    await assert_closed(house)


async def test_a_run_spends_no_cent_over_its_account(tmp_path: Path) -> None:
    async with open_house(tmp_path, run_budget_usd_micros=3000) as house:
        refusals = 0

        async def work(job: Job) -> Outcome:
            nonlocal refusals
            ask = house.egress[-1].ask
            for _ in range(100):
                try:
                    await ask(CHAT_COMPLETIONS, request(), {})
                except BudgetExhaustedError:
                    refusals += 1
            return succeeded(job, None)

        house.sandbox.work = work
        answer = await run(house, PAID)
        assert refusals > 0
        assert 0 < answer["usage"]["usd_micros"] <= 3000


async def test_a_run_cut_off_within_a_call_is_charged_for_it_and_its_answer_says_so(tmp_path: Path) -> None:
    provider = ScriptedProvider(None, hold=asyncio.Event())
    async with open_house(tmp_path, chat=lambda books: chat_on(books, provider)) as house:

        async def work(job: Job) -> Outcome:
            ask = house.egress[-1].ask
            await ask(CHAT_COMPLETIONS, request(), {})
            raise AssertionError

        house.sandbox.work = work
        running = run(house, PAID)
        while not provider.under_way:
            await asyncio.sleep(0.001)
        await house.runs.cancel(ANN, next(iter(house.execute.under_way)))
        answer = await running
        assert answer["usage"]["usd_micros"] > 0
        assert (await house.books.account(ANN.account)).spent_usd_micros == answer["usage"]["usd_micros"]
        await assert_closed(house)


async def test_only_granted_ways_out_are_given_to_the_sandbox(house: House) -> None:
    await run(house, PLAIN)
    await run(house, paper("x", execute="gateway://local api://weather"))
    await run(house, PAID)
    plain, weather, paid = house.sandbox.jobs
    assert (plain.wants_egress, plain.environment, plain.apis) == (False, {}, {})
    assert (weather.wants_egress, weather.environment) == (True, {})
    prefix = house.egress[0].api_prefix.decode()
    assert re.fullmatch(r"/api/[0-9a-f]{32}/", prefix)
    assert weather.apis == {"weather": prefix + "weather"}
    assert house.egress[1].api_prefix.decode() != prefix
    assert paid.environment["OPENAI_BASE_URL"] == "http://127.0.0.1:{port}/v1"
    capability = paid.environment["OPENAI_API_KEY"]
    assert paid.environment["ANTHROPIC_BASE_URL"] == "http://127.0.0.1:{port}"
    assert paid.environment["ANTHROPIC_API_KEY"] == capability
    with pytest.raises(MissingRightError) as refused:
        await house.egress[0].ask(CHAT_COMPLETIONS, request(), {})
    assert refused.value.uri == "api://openai"
    assert house.egress[1].capability_sha256 == hashlib.sha256(capability.encode()).digest()
    assert list(house.egress[0].apis) == ["weather"]


async def test_a_callers_grants_bound_its_documents(house: House) -> None:
    narrow = Principal("ann", ANN.account, "ann0", scopes=scopes.CLIENT, grants=("gateway://*",))
    with pytest.raises(MissingRightError):
        await run(house, PAID, narrow)
    await assert_closed(house, accepted=0)


async def test_a_document_may_only_ask_for_less_time(house: House) -> None:
    for front, wall_s in (("", 60.0), ("timeout_s: 5\n", 5.0), ("timeout_s: 5000\n", 60.0)):
        await run(house, paper("x", front=front))
        assert house.sandbox.jobs[-1].limits.wall_s == wall_s


# Secrecy.


async def test_nothing_sealed_opens_for_another_subject_run_or_purpose(house: House) -> None:
    first = await run(house, inputs={"secret": "a"})
    other = await run(house, principal=BOB)
    for kind in ("document", "inputs", "answer"):
        subject, sealed = await house.books.sealed_object(first["run_id"], kind)
        assert subject == "ann"
        assert house.quad.open(sealed, "ann", purpose=object_purpose(first["run_id"], kind))
        for who, run_id, what in (
            ("bob", first["run_id"], kind),
            ("ann", other["run_id"], kind),
            ("ann", first["run_id"], "receipt"),
        ):
            with pytest.raises(DecryptionFailedError):
                house.quad.open(sealed, who, purpose=object_purpose(run_id, what))
    stored = json.loads(
        house.quad.open(
            (await house.books.sealed_object(first["run_id"], "inputs"))[1],
            "ann",
            purpose=object_purpose(first["run_id"], "inputs"),
        )
    )
    assert stored == {"secret": "a"}


async def test_no_content_lies_in_the_file_in_clear(house: House, tmp_path: Path) -> None:
    marker = "Wachtmeisterin-8264"
    house.sandbox.work = lambda job: succeeded(job, orjson.dumps({"echo": job.inputs["text"]}))
    answer = await run(house, paper(f"print('{marker}')"), inputs={"text": marker})
    assert answer["result"] == {"echo": marker}
    await house.books.close()
    for file in tmp_path.iterdir():
        assert marker.encode() not in file.read_bytes()
