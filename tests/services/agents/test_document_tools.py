"""Tools for documents: what /execute and /validate do, and whose signature a document has."""

import asyncio
import hashlib

import orjson
import pytest
from tests.services.agents.asking import Use
from tests.services.house import CLOCK, ENTROPY, House, paper

from macroslow.crypto import documents
from macroslow.crypto.hybrid import HybridPrivateKey, KeyUse
from macroslow.errors import BadRequestError, InvalidDocumentError, TooLargeError
from macroslow.maml.parse import MAX_DOCUMENT_BYTES
from macroslow.mcp.catalogue import TOOLS
from macroslow.mcp.tools.images import IMAGE_TOOLS
from macroslow.services.documents.execute_document import STEPS
from macroslow.tlog import receipt
from macroslow.workflow.sandbox import BlockOutcome, BlockStatus, Level, Outcome

PAPER = paper("x").decode()


def test_every_tool_of_the_catalogue_has_its_handler(house: House) -> None:
    assert set(house.handlers) == {tool.name for tool in TOOLS if tool not in IMAGE_TOOLS}


async def test_a_document_is_run_as_by_execute(house: House, use: Use) -> None:
    answer = await use("run_document", document=PAPER, inputs={"a": 1})
    assert (answer["status"], answer["result"]) == ("success", {"sum": 42})
    receipt.verify(orjson.dumps(answer["receipt"]), house.log_key, answer=orjson.dumps(answer))
    [accepted, finished] = await house.events()
    assert accepted["request_id"] == finished["request_id"] == "r1"


async def test_code_that_fails_is_an_answer_of_the_schema_too(house: House, use: Use) -> None:
    house.sandbox.work = lambda job: Outcome(
        (BlockOutcome("python", "", BlockStatus.MEMORY, None, "", "", 3, "too much", "memory_bytes", 9),),
        None,
        "fake",
        Level.FULL,
    )
    answer = await use("run_document", document=PAPER)
    assert (answer["status"], answer["outputs"][0]["limit"]) == ("failed", "memory_bytes")


async def test_a_run_tells_its_steps_to_who_wants_them(house: House, use: Use) -> None:
    told: list[tuple[float, float | None, str]] = []

    async def tell(done: float, total: float | None, words: str) -> None:
        told.append((done, total, words))

    answer = await use("run_document", tell=tell, document=PAPER)
    assert [(done, total) for done, total, _ in told] == [(n, STEPS) for n in range(1, STEPS + 1)]
    assert answer["run_id"] in told[1][2]


async def test_a_caller_that_does_not_listen_holds_up_no_run(house: House, use: Use) -> None:
    deaf = asyncio.Event()

    async def tell(*_: object) -> None:
        await deaf.wait()

    asking = asyncio.create_task(use("run_document", tell=tell, document=PAPER))
    while len(await house.events()) < 2:
        await asyncio.sleep(0)
    assert not asking.done()  # the run has ended, and its answer waits for the caller
    deaf.set()
    assert (await asking)["status"] == "success"


async def test_n14_a_caller_that_goes_away_stops_the_run(house: House, use: Use) -> None:
    house.sandbox.hold = asyncio.Event()
    asking = asyncio.create_task(use("run_document", document=PAPER))
    await house.sandbox.started.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert (house.sandbox.under_way, house.sandbox.cut_off) == (0, 1)
    assert (await use("list_runs"))["runs"][0]["state"] == "cancelled"


async def test_a_document_is_checked_as_by_validate(house: House, use: Use) -> None:
    told = await use("validate_document", document=PAPER)
    assert (told["valid"], told["origin"], len(told["blocks"])) == (True, "agent://tester", 1)
    assert (await house.books.head()).size == 0
    with pytest.raises(InvalidDocumentError):
        await use("validate_document", document="x")


async def test_what_warns_fits_the_schema_too(use: Use) -> None:
    warned = paper("x", front="surprise: 1\n").decode()
    assert (await use("validate_document", document=warned))["warnings"]
    assert (await use("run_document", document=warned))["warnings"]


@pytest.mark.parametrize("name", ["run_document", "validate_document", "verify_document"])
async def test_half_of_a_surrogate_pair_is_no_text(use: Use, name: str) -> None:
    with pytest.raises(BadRequestError, match="half of a surrogate pair"):
        await use(name, document="\ud800")


async def test_an_unsigned_document_is_nobodys(use: Use) -> None:
    told = await use("verify_document", document=PAPER)
    assert (told["status"], told["signer"], told["origin"]) == ("unsigned", None, "agent://tester")
    assert told["speaks_for_origin"] is None
    assert told["document_sha256"] == told["signed_sha256"] == hashlib.sha256(PAPER.encode()).hexdigest()
    assert (await use("verify_document", document="no document"))["origin"] is None


@pytest.fixture
async def author(house: House) -> HybridPrivateKey:
    key = HybridPrivateKey.generate(KeyUse.DOCUMENT, ENTROPY)
    await house.signers.trust("zoe", key.public.to_jwks(), ["agent://tester"])
    return key


async def test_a_signature_that_is_trusted_names_its_signer(use: Use, author: HybridPrivateKey) -> None:
    signed = documents.sign(paper("x"), author, issued_ns=CLOCK.now_ns()).decode()
    told = await use("verify_document", document=signed)
    assert (told["status"], told["signer"]["name"]) == ("trusted", "zoe")
    assert told["signer"]["key_id"] == author.public.key_id
    assert told["speaks_for_origin"]
    assert told["signed_sha256"] == hashlib.sha256(paper("x")).hexdigest()
    assert told["document_sha256"] == hashlib.sha256(signed.encode()).hexdigest()


async def test_a_signature_in_a_file_of_its_own(use: Use, author: HybridPrivateKey) -> None:
    beside = documents.sign_detached(paper("x"), author, issued_ns=CLOCK.now_ns()).decode()
    told = await use("verify_document", document=PAPER, signature=beside)
    assert (told["status"], told["signer"]["name"]) == ("trusted", "zoe")


async def test_a_signer_may_not_speak_for_everybody(use: Use, author: HybridPrivateKey) -> None:
    other = documents.sign(paper("x", origin="boss"), author, issued_ns=CLOCK.now_ns()).decode()
    told = await use("verify_document", document=other)
    assert (told["status"], told["speaks_for_origin"]) == ("trusted", False)
    assert "may not speak for agent://boss" in told["detail"]


async def test_altered_unknown_and_revoked_signatures_are_refused(house, use, author) -> None:
    signed = documents.sign(paper("x"), author, issued_ns=CLOCK.now_ns()).decode()
    strange = HybridPrivateKey.generate(KeyUse.DOCUMENT, ENTROPY)
    by_stranger = documents.sign(paper("x"), strange, issued_ns=CLOCK.now_ns()).decode()
    for document in (signed.replace("Test.", "Pest."), by_stranger, signed[:-1], signed + signed):
        told = await use("verify_document", document=document)
        assert (told["status"], told["signer"]) == ("refused", None)
    await house.signers.revoke("zoe")
    told = await use("verify_document", document=signed)
    assert told["status"] == "refused"
    assert "revoked" in told["detail"]


async def test_a_document_beyond_the_cap_is_not_looked_at(house: House, use: Use) -> None:
    with pytest.raises(TooLargeError):
        await use("verify_document", document="ä" * (MAX_DOCUMENT_BYTES // 2 + 1))
