"""A log and its witnesses in one process: books in memory, the signer's rule, witnesses of our own."""

import asyncio
import copy
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.contract.fake_books import FakeBooks
from tests.services.key_house import SetClock
from tests.tlog.logs import ORIGIN, octets
from tests.witness import NOW_S, OwnWitness

from macroslow.adapters.system import SystemEntropy
from macroslow.authn.principal import THE_GATEWAY
from macroslow.crypto.note_keys import NoteType
from macroslow.errors import LogUnavailableError
from macroslow.ports import NS_PER_S, Statement
from macroslow.services.alerts.send_alerts import Message
from macroslow.services.signing.ask_witnesses import AskWitnesses
from macroslow.services.signing.checkpoint_log import CheckpointLog
from macroslow.services.signing.log_health import LogHealth
from macroslow.services.signing.witness_states import WitnessStates
from macroslow.tlog import note, policy, tree
from macroslow.tlog.checkpoint import LogPrivateKey
from macroslow.tlog.event import Event, EventType
from macroslow.tlog.policy import Judged
from macroslow.tlog.ports import Append, StoreCheckpoint, TreeHead
from macroslow.workflow.books import Change

KEY = LogPrivateKey(ORIGIN, octets("ed25519", 32), octets("ml-dsa-44", 32))


class Signer:
    """Signs what extends the last tree that it signed, as the real one does."""

    def __init__(self, last: TreeHead | None = None) -> None:
        self.last = last or TreeHead(0, tree.EMPTY_ROOT)
        self.broken = False

    async def checkpoint(self, size: int, root: bytes, proof: Sequence[bytes]) -> bytes:
        if self.broken:
            raise LogUnavailableError("the signer is away")
        tree.verify_consistency(self.last.size, self.last.root, size, root, proof)
        self.last = TreeHead(size, root)
        return KEY.sign_checkpoint(size, root, time_s=NOW_S)

    async def answer(self, statement: Statement) -> str:
        raise NotImplementedError

    async def history(self, statement: Statement) -> str:
        raise NotImplementedError


class Books(FakeBooks):
    """Whose checkpoints may find no room."""

    full = False

    async def commit(self, *changes: Change) -> list:  # type: ignore[type-arg]
        if self.full and any(isinstance(change, StoreCheckpoint) for change in changes):
            raise LogUnavailableError("no space left")
        return await super().commit(*changes)


@dataclass
class Outlet:
    """Where alerts go."""

    sent: list[Message] = field(default_factory=list)

    def send(self, message: Message) -> None:
        self.sent.append(message)


@dataclass
class Process:
    """One process that serves: its log, its witnesses and what it says of them."""

    books: Books
    signer: Signer
    checkpoints: CheckpointLog
    states: WitnessStates
    health: LogHealth
    ask: AskWitnesses
    outlet: Outlet
    clock: SetClock

    async def note(self, count: int = 1) -> int:
        """Log so many events; return the index of the last."""
        for _ in range(count):
            await log(self.books)
        return (await self.books.head()).size - 1

    async def published(self) -> tuple[int, Judged]:
        """Size of the published checkpoint, and who cosigned it."""
        parsed = note.parse((await self.checkpoints.published()).note)
        return note.parse_body(parsed.text).size, self.states.policy.judge(parsed)

    async def sign(self) -> int:
        """Sign what is there; return its size."""
        await self.checkpoints.sign_all()
        return (await self.books.head()).size

    def confirmed(self) -> bool:
        return not self.health.reasons()


async def log(books: Books) -> None:
    size = (await books.head()).size
    await books.commit(Append(Event(EventType.SERVER_STARTED, NOW_S * NS_PER_S, THE_GATEWAY, {"n": size})))


def witnesses(*names: str) -> list[OwnWitness]:
    """Witnesses of these names; those that end in q have post-quantum keys."""
    return [
        OwnWitness(
            name, KEY.public, NoteType.ML_DSA_44 if name.endswith("q") else NoteType.ED25519_COSIGNATURE
        )
        for name in names
    ]


def backup(books: Books) -> Books:
    return copy.deepcopy(books)


@asynccontextmanager
async def serving(
    books: Books,
    asked: Sequence[OwnWitness],
    *,
    quorum: int,
    wait_s: float = 30.0,
    required: bool = False,
    patience_s: float = 30.0,
    signed: TreeHead | None = None,
) -> AsyncIterator[Process]:
    """A process that serves on `books`; `signed` is what its signer remembers."""
    known = [policy.KnownWitness(one.name, one.key.public, one.url) for one in asked]
    trusted = policy.threshold([KEY.public.ed25519, KEY.public.ml_dsa_44], known, quorum)
    stored = await books.checkpoint()
    if stored is not None:
        signed = signed or TreeHead(stored[0], note.parse_body(note.parse(stored[1]).text).root)
    signer, health, outlet = Signer(signed), LogHealth(), Outlet()
    checkpoints = CheckpointLog(books, signer, trusted, wait_s)
    await checkpoints.load()
    clock = SetClock(NOW_S * NS_PER_S)
    ask = AskWitnesses(
        books,
        checkpoints,
        {one.name: one for one in asked},
        health,
        outlet,
        clock,
        SystemEntropy(),
        gateway="tests",
        required=required,
        patience_s=patience_s,
        sleep=_shortly,
    )
    asking = asyncio.create_task(ask.run())
    try:
        yield Process(books, signer, checkpoints, checkpoints.witnesses, health, ask, outlet, clock)
    finally:
        assert not asking.done(), asking
        asking.cancel()
        await asyncio.wait({asking})


async def _shortly(_seconds: float) -> None:
    await asyncio.sleep(0.001)


async def published_at(process: Process, size: int) -> Judged:
    """Wait until a checkpoint of that size, or a later one, is published."""
    async with asyncio.timeout(30):
        while True:
            try:
                found, judged = await process.published()
            except LogUnavailableError:
                found, judged = 0, None
            if judged is not None and found >= size:
                return judged
            await asyncio.sleep(0.001)
