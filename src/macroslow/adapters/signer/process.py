"""The signer as a process of its own, seen from the gateway: started by exec, or another user's.

It is started before this process knows a secret, with an empty environment and one descriptor, and it opens
its own key files: the seeds are never in this process, nor in what leaks of its memory, and whoever asks over
the socket has typed statements signed (`ports.Signer`), in the order of one growing log, and nothing else.
What keeps the files from this process is that they are another user's, or `adapters.sandbox.confine`.

If it dies, every call fails (LogUnavailableError) and `alive` says so. It is not started again beneath a
running gateway: a start reads what was signed last from outside, and so does the next one's.
"""

import asyncio
import base64
import logging
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from macroslow.adapters.signer import peer, wire
from macroslow.adapters.signer.engine import NOTHING
from macroslow.errors import ConfigurationError, LogUnavailableError, VerificationError
from macroslow.ports import Statement
from macroslow.tlog.checkpoint import LogPublicKey
from macroslow.tlog.ports import Mark, TreeHead
from macroslow.tlog.succession import LogKeys, Retired

OPEN_S: Final = 30.0  # on a machine that does much else
CONNECT_S: Final = 10.0
_AGAIN_S: Final = 0.05
_CLOSE_S: Final = 10.0
_BOOT: Final = (
    "import sys; sys.path[:0] = sys.argv[3:]; from importlib import import_module;"
    " import_module(sys.argv[1]).main(int(sys.argv[2]))"
)
_ROOT: Final = Path(__file__).parents[3]  # where the package is
log: Final = logging.getLogger("macroslow.server")


class SignerProcess:
    """Implements `ports.Signer`. Made by `start` or `connect`, used once it is `open`.

    `process` is None for one that somebody else started.
    """

    def __init__(self, process: subprocess.Popen[bytes] | None, channel: socket.socket) -> None:
        self.process = process
        self._channel = channel
        self._asked: deque[asyncio.Future[dict[str, object]]] = deque()
        self._writer: asyncio.StreamWriter | None = None
        self._listening: asyncio.Task[None] | None = None
        self._keys: LogKeys | None = None
        self.staged: LogPublicKey | None = None
        self.last: TreeHead = NOTHING
        self.mark: Mark | None = None
        self.note = ""

    @classmethod
    def start(cls, module: str) -> "SignerProcess":
        """Start a process that runs `main(descriptor)` of `module`; nothing is waited for."""
        ours, theirs = socket.socketpair()
        with theirs:
            return cls(_spawn(module, theirs), ours)

    @classmethod
    async def connect(cls, path: Path, *, waits: bool = False) -> "SignerProcess":
        """Go to the signer that listens at `path`; who `waits` gives one time to start, and says so.

        ConfigurationError where none is there, or where somebody else could have put his own there.
        """
        channel = peer.reach(path)
        if channel is None and waits:
            log.warning("waiting for the signer at %s", path)
            channel = await _awaited(path)
        if channel is None:
            raise peer.absent(path)
        return cls(None, channel)

    @property
    def keys(self) -> LogKeys:
        """The log's public keys."""
        if self._keys is None:
            raise RuntimeError("the signer is not open")
        return self._keys

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return self._listening is not None and not self._listening.done()

    async def open(self, request: Mapping[str, object]) -> None:
        """Have it open its keys. ConfigurationError with its own words if it cannot."""
        reader, self._writer = await asyncio.open_unix_connection(sock=self._channel)
        self._listening = asyncio.create_task(self._listen(reader))
        try:
            async with asyncio.timeout(OPEN_S):
                told = await self._ask(request)
        except TimeoutError:
            raise LogUnavailableError("the signer's process does not answer") from None
        self._learn(told)
        match told:
            case {"note": str(note), "mark": mark}:
                self.note, self.mark = note, _mark(mark)

    async def checkpoint(self, size: int, root: bytes, proof: Sequence[bytes]) -> bytes:
        """Return the signed note; VerificationError if the tree does not extend the last one signed."""
        asked = {"ask": "checkpoint", "size": size, "root": root.hex(), "proof": _hex(proof)}
        note = base64.b64decode(str(await self._ask(asked)))
        self.last = TreeHead(size, root)
        return note

    async def answer(self, statement: Statement) -> str:
        """Return a JWS (`typ` macroslow-answer+jws) over the statement."""
        return str(await self._ask({"ask": "answer", "claims": dict(statement.claims)}))

    async def history(self, statement: Statement) -> str:
        """Return a JWS (`typ` macroslow-history+jws) over the statement."""
        return str(await self._ask({"ask": "history", "claims": dict(statement.claims)}))

    async def adopt(self, signed_note: bytes, proof: Sequence[bytes]) -> None:
        """See `Engine.adopt`."""
        note = base64.b64encode(signed_note).decode("ascii")
        self._learn(await self._ask({"ask": "adopt", "note": note, "proof": _hex(proof)}))

    async def stage(self) -> LogPublicKey:
        """See `Engine.stage`."""
        self._learn(await self._ask({"ask": "stage"}))
        if self.staged is None:
            raise LogUnavailableError("the signer staged no key")
        return self.staged

    async def hand_over(self, receipt: bytes) -> None:
        """See `Engine.hand_over`."""
        self._learn(await self._ask({"ask": "hand_over", "receipt": receipt.decode()}))

    async def close(self) -> None:
        """Hang up, which ends it if it was started here, and wait for that."""
        if self._writer is None:
            self._channel.close()
        else:
            self._writer.close()
        if self.process is not None:
            await asyncio.to_thread(_end, self.process)
        if self._listening is not None:
            await self._listening

    async def _ask(self, message: Mapping[str, object]) -> object:
        """Send one ask and return what was told. Answers come in the order of asks."""
        if self._writer is None or not self.alive:
            raise _gone()
        packed = wire.pack(message)
        if len(packed) > wire.MAX_ASKED_BYTES:
            raise ValueError("what is to be signed is too large")
        answered: asyncio.Future[dict[str, object]] = asyncio.get_running_loop().create_future()
        self._asked.append(answered)
        self._writer.write(packed)
        match await answered:
            case {"told": told}:
                return told
            case {"refused": str(why), "last": last}:
                self.last = _head(last)  # another signer of this key may have come first
                raise VerificationError(why)
            case {"invalid": str(why)}:
                raise ValueError(why)
            case {"unavailable": str(why)}:
                raise LogUnavailableError(f"the signer cannot write: {why}")
            case {"failed": str(why), "fix": str(fix)}:
                raise ConfigurationError(why, fix=fix)
            case _:
                raise _gone()

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        """Hand out answers until it has gone; then nobody waits for one any more."""
        try:
            while True:
                size = wire.length(await reader.readexactly(wire.PREFIX.size), wire.MAX_TOLD_BYTES)
                answer = wire.parse(await reader.readexactly(size), wire.MAX_TOLD_BYTES)
                waiting = self._asked.popleft()
                if not waiting.done():  # else its caller has gone
                    waiting.set_result(answer)
        except (OSError, EOFError, ValueError, IndexError) as error:
            if not isinstance(error, asyncio.IncompleteReadError):
                log.error("the signer's process is not understood: %s", error)
        finally:
            while self._asked:
                waiting = self._asked.popleft()
                if not waiting.done():
                    waiting.set_exception(_gone())

    def _learn(self, told: object) -> None:
        """Take up what it tells of itself."""
        match told:
            case {
                "keys": {"current": str(current), "retired": list(retired)},
                "staged": str() | None as staged,
                "last": last,
            }:
                self._keys = LogKeys(LogPublicKey.parse(current), tuple(map(_retired, retired)))
                self.staged = None if staged is None else LogPublicKey.parse(staged)
                self.last = _head(last)
            case _:
                raise _gone()


async def _awaited(path: Path) -> socket.socket | None:
    for _ in range(int(CONNECT_S / _AGAIN_S)):
        await asyncio.sleep(_AGAIN_S)
        if (channel := peer.reach(path)) is not None:
            return channel
    return None


def _head(told: object) -> TreeHead:
    match told:
        case {"size": int(size), "root": str(root)}:
            return TreeHead(size, bytes.fromhex(root))
        case _:
            raise _gone()


def _retired(told: Mapping[str, str | None]) -> Retired:
    handed = told["hand_over"]
    return Retired(LogPublicKey.parse(told["key"] or ""), None if handed is None else handed.encode())


def _mark(told: object) -> Mark | None:
    match told:
        case {"head": head, "path": str(path), **noted}:
            return Mark(_head(head), path, **{str(name): str(text) for name, text in noted.items()})
        case _:
            return None


def _hex(hashes: Sequence[bytes]) -> list[str]:
    return [one.hex() for one in hashes]


def _gone() -> LogUnavailableError:
    return LogUnavailableError(
        "the signer's process has ended, and nothing is signed", fix="start the gateway again"
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(_CLOSE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _spawn(module: str, channel: socket.socket) -> subprocess.Popen[bytes]:
    libraries = [path for path in sys.path if Path(path).name in {"site-packages", "dist-packages"}]
    descriptor = channel.fileno()
    return subprocess.Popen(
        [sys.executable, "-I", "-c", _BOOT, module, str(descriptor), str(_ROOT), *libraries],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={},
        pass_fds=[descriptor],
        start_new_session=True,  # Ctrl-C is for the gateway, which has last signatures to ask for
    )
