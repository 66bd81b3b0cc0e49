"""Have the witnesses cosign what is signed, as long as the gateway serves.

All are asked for one checkpoint at once, each at its own pace; the next one has its turn when enough of them
cosigned, or after PATIENCE_S. A witness that fails is asked again with growing pauses for ever, and told of
at most once a minute.

First they confirm what is stored; until then nothing is signed and no new work is taken. A witness that knows
of more than is stored, or finds that what is signed does not extend what it knows, ends signing in this
process: the log was rolled back or forked, and going on would prove it to everybody.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final, NoReturn

from macroslow.crypto.note_keys import NotePublicKey
from macroslow.errors import LogUnavailableError, UpstreamUnavailableError, VerificationError
from macroslow.ports import NS_PER_S, Clock, Entropy
from macroslow.services.alerts.send_alerts import Outlet, message_of
from macroslow.services.signing.checkpoint_log import UNCONFIRMED, Checkpoint, CheckpointLog
from macroslow.services.signing.log_health import LogHealth
from macroslow.services.signing.trouble import Trouble
from macroslow.tlog import note
from macroslow.tlog.note import Note
from macroslow.tlog.witness import Cosigned, Inconsistent, OtherSize, Witness, cosignature
from macroslow.workflow.books import Books

CONTRADICTED: Final = "log.contradicted"
UNWITNESSED: Final = "log.unwitnessed"
PATIENCE_S: Final = 5.0
ROUND_EVERY_S: Final = 0.1  # at most ten checkpoints a second are for the witnesses
PAUSES_S: Final = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
MAX_SIZES: Final = 3  # that a witness may name before one fits
_ID_BYTES: Final = 16
_FIX: Final = (
    "restore the newest backup; or, where entries are lost for good, `macroslow audit fork` begins a new log;"
    " or, if the witness is wrong, take it out of [log.witnesses]"
)

log: Final = logging.getLogger("macroslow.log")


@dataclass(slots=True)
class _Line:
    """One witness as it is asked: `known` is the size that it cosigned last, `done` that of its last turn.

    `heard`: it was asked once, whatever came of it.
    """

    name: str
    key: NotePublicKey
    witness: Witness
    trouble: Trouble
    known: int
    done: int = -1
    heard: bool = False


class AskWitnesses:
    """`run` asks until it is cancelled. `raised` counts the alerts by kind. One event loop."""

    def __init__(
        self,
        books: Books,
        checkpoints: CheckpointLog,
        witnesses: Mapping[str, Witness],
        health: LogHealth,
        outlet: Outlet,
        clock: Clock,
        entropy: Entropy,
        *,
        gateway: str,
        required: bool,
        patience_s: float = PATIENCE_S,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.raised = {CONTRADICTED: 0, UNWITNESSED: 0}
        self._books = books
        self._checkpoints = checkpoints
        self._states = checkpoints.witnesses
        self._policy = checkpoints.witnesses.policy
        self._health = health
        self._outlet = outlet
        self._clock = clock
        self._entropy = entropy
        self._gateway = gateway
        self._required = required
        self._patience_s = patience_s
        self._sleep = sleep
        known = {name: state.size or 0 for name, state in self._states.items()}
        self._lines = [
            _Line(one.name, one.key, witnesses[one.name], Trouble(log, clock), known[one.name])
            for one in self._policy.witnesses
        ]
        self._target = Checkpoint(-1, b"")
        self._note = Note("", ())
        self._met = False
        self._confirmed = False
        self._quorum = Trouble(log, clock)
        self._news = asyncio.Condition()
        health.hold("witnesses", UNCONFIRMED)

    async def run(self) -> NoReturn:
        """Ask for ever."""
        async with asyncio.TaskGroup() as group:
            for line in self._lines:
                group.create_task(self._attend(line))
            await self._conduct()
        raise AssertionError("unreachable")

    async def _conduct(self) -> NoReturn:
        """Choose what the witnesses are asked for."""
        while not self._confirmed:
            try:
                await self._turn_to(await self._checkpoints.first())
                if await self._wait_until(lambda: self._met):
                    # One that knows better may be slower than those that do not.
                    await self._wait_until(lambda: all(line.heard for line in self._lines))
                    self._confirm()
            except (VerificationError, LogUnavailableError) as error:  # of the signer
                self._quorum.begins(f"there is nothing that the witnesses could confirm: {error.reason}")
                await self._sleep(self._patience_s)
        while True:
            await self._turn_to(await self._checkpoints.after(self._target.size))
            if not await self._wait_until(lambda: self._met):
                self._lost()
            await self._sleep(ROUND_EVERY_S)

    async def _turn_to(self, checkpoint: Checkpoint) -> None:
        if checkpoint.size == self._target.size:
            return  # the lines that it has stay
        self._target, self._note, self._met = checkpoint, note.parse(checkpoint.note), False
        await self._tell()

    async def _wait_until(self, true: Callable[[], bool]) -> bool:
        """Wait, with patience; return whether it came to pass."""
        try:
            async with asyncio.timeout(self._patience_s), self._news:
                await self._news.wait_for(true)
        except TimeoutError:
            return False
        return True

    async def _attend(self, line: _Line) -> None:
        """Ask one witness whenever there is something that it has not cosigned; until it contradicts."""
        failures = 0
        while True:
            async with self._news:
                await self._news.wait_for(lambda: line.done < self._target.size)
            try:
                await self._ask(line, self._target)
                failures, pause_s = 0, 0.0
            except _ContradictedError as error:
                self._contradicted(line, error.said)
                return
            except (UpstreamUnavailableError, VerificationError, LogUnavailableError) as error:
                self._states.failed(line.name, error.reason)
                line.trouble.begins(f"the witness {line.name} does not cosign: {error.reason}")
                failures, pause_s = failures + 1, PAUSES_S[min(failures, len(PAUSES_S) - 1)]
            finally:
                line.heard = True
                await self._tell()
            if pause_s:
                await self._sleep(pause_s)

    async def _ask(self, line: _Line, target: Checkpoint) -> None:
        for _ in range(MAX_SIZES):
            if line.known > target.size:
                await self._look_ahead(line, target)
                return
            proof = await self._books.consistency_proof(line.known, target.size) if line.known else []
            match await line.witness.add_checkpoint(line.known, proof, target.note):
                case Cosigned(lines):
                    await self._take(line, target, lines)
                    return
                case OtherSize(size) if size != line.known:
                    line.known = size
                case OtherSize(size) if size < target.size:
                    raise VerificationError(f"it names {size} as the size that it knows, and then does not")
                case Inconsistent() if not line.known:
                    raise VerificationError("it finds the first checkpoint that it sees inconsistent")
                case OtherSize() | Inconsistent():  # the first by tlog-witness before v1.1
                    known = f"one of {line.known} entries that it cosigned"
                    raise _ContradictedError(f"says that the tree of {target.size} does not extend {known}")
        raise VerificationError("it names one size after another as the one that it knows")

    async def _take(self, line: _Line, target: Checkpoint, lines: bytes) -> None:
        now_s = self._clock.now_ns() // NS_PER_S
        cosigned, time_s = cosignature(note.parse(target.note), lines, line.key, now_s=now_s)
        line.known = line.done = target.size
        self._states.cosigned(line.name, target.size, time_s)
        line.trouble.ends(f"the witness {line.name} cosigns again")
        if target.size != self._target.size:
            return  # it came too late for that one
        self._note = self._note.with_line(cosigned)
        if await self._checkpoints.cosigned(target.size, self._note):
            await self._agreed()

    async def _look_ahead(self, line: _Line, target: Checkpoint) -> None:
        """The witness knows of more than it was asked for: by another process, or we were rolled back."""
        stored = await self._checkpoints.take_up()
        if line.known > stored:
            raise _ContradictedError(f"cosigned {line.known} entries of this log, of which {stored} are here")
        line.done = target.size

    async def _agreed(self) -> None:
        self._met = True
        if self._confirmed:
            self._health.release("witnesses")
        self._quorum.ends("enough witnesses cosign again")
        await self._tell()

    def _confirm(self) -> None:
        self._confirmed = True
        self._checkpoints.allow()
        self._health.release("witnesses")
        log.info("the witnesses confirmed the log as it was signed, %d entries", self._target.size)

    def _lost(self) -> None:
        signed = self._policy.judge(self._note).signed
        short = f"of the log's witnesses {len(signed)} cosign, needed are {self._policy.needed}"
        if self._quorum.begins(short):
            self._alert(UNWITNESSED, {"reason": short})
        if self._required:
            self._health.hold("witnesses", short)

    def _contradicted(self, line: _Line, said: str) -> None:
        reason = f"the witness {line.name} {said}: the log was rolled back or forked"
        self._states.failed(line.name, said)
        self._checkpoints.stop(reason)
        self._health.hold("contradicted", f"{reason}; {_FIX}")
        log.critical("nothing is signed any more: %s; %s", reason, _FIX)
        self._alert(CONTRADICTED, {"witness": line.name, "reason": reason})

    def _alert(self, kind: str, facts: Mapping[str, object]) -> None:
        self.raised[kind] += 1
        alert_id = self._entropy.random(_ID_BYTES).hex()
        self._outlet.send(message_of(kind, alert_id, self._gateway, facts, self._clock.now_ns()))

    async def _tell(self) -> None:
        async with self._news:
            self._news.notify_all()


class _ContradictedError(Exception):
    """A witness's word against ours."""

    def __init__(self, said: str) -> None:
        super().__init__(said)
        self.said = said
