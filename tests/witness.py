"""A witness of our own (C2SP tlog-witness): stateful, with either kind of key, and told how to fail."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web
from tests.tlog.logs import octets

from macroslow.crypto.note_keys import NotePrivateKey, NoteType
from macroslow.errors import UpstreamUnavailableError, VerificationError
from macroslow.tlog import note, tree
from macroslow.tlog.checkpoint import LogPublicKey, verify_checkpoint
from macroslow.tlog.witness import (
    SIZE_TYPE,
    Answer,
    Cosigned,
    Inconsistent,
    OtherSize,
    request_body,
)

NOW_S = 1_800_000_000
_HEAD = re.compile(rb"old (0|[1-9][0-9]*)\n((?:[A-Za-z0-9+/]{43}=\n){0,63})\n", re.ASCII)


@dataclass(frozen=True)
class Told:
    """One answer: status, body and its type."""

    status: int
    body: bytes = b""
    type: str = "text/plain"


@dataclass
class OwnWitness:
    """Cosigns what extends what it cosigned. `fault` may answer in its place; `hold` makes it wait."""

    name: str
    log_key: LogPublicKey
    type: NoteType = NoteType.ED25519_COSIGNATURE
    size: int = 0
    root: bytes = tree.EMPTY_ROOT
    time_s: int = NOW_S
    fault: Callable[[bytes], Told | None] = lambda _: None
    hold: asyncio.Event | None = None
    down: bool = False
    asked: list[int] = field(default_factory=list)
    url: str = ""

    @property
    def key(self) -> NotePrivateKey:
        return NotePrivateKey(self.name, self.type, octets(f"witness {self.name} {self.type}", 32))

    @property
    def vkey(self) -> str:
        return self.key.public.vkey

    def decide(self, body: bytes) -> Told:
        """The rules of the standard, in its order."""
        head = _HEAD.match(body)
        if head is None:
            return Told(400)
        old, raw = int(head[1]), body[head.end() :]
        self.asked.append(old)
        instead = self.fault(body)
        if instead is not None:
            return instead
        try:
            parsed = note.parse(raw)
            if note.parse_body(parsed.text).origin != self.log_key.origin:
                return Told(404)
            checkpoint = verify_checkpoint(raw, self.log_key)
        except VerificationError:
            return Told(403)
        if old > checkpoint.size:
            return Told(400)
        if old != self.size:
            return Told(409, b"%d\n" % self.size, SIZE_TYPE)
        proof = [note.decode_hash(line.decode()) for line in head[2].splitlines()]
        try:
            tree.verify_consistency(self.size, self.root, checkpoint.size, checkpoint.root, proof)
        except VerificationError:
            return Told(422)
        self.size, self.root = checkpoint.size, checkpoint.root
        return Told(200, self.lines(parsed.text))

    def lines(self, text: str) -> bytes:
        """Its signature lines over `text`."""
        signed = note.sign(text, [self.key], time_s=self.time_s)
        return signed.format().removeprefix(text.encode() + b"\n")

    async def add_checkpoint(self, old_size: int, proof: Sequence[bytes], checkpoint: bytes) -> Answer:
        """The same without HTTP, as `tlog.witness.Witness`."""
        if self.hold is not None:
            await self.hold.wait()
        told = Told(503) if self.down else self.decide(request_body(old_size, proof, checkpoint))
        match told.status:
            case 200:
                return Cosigned(told.body)
            case 409:
                return OtherSize(int(told.body))
            case 422:
                return Inconsistent()
            case status:
                raise UpstreamUnavailableError(
                    f"the witness {self.name} did not cosign: {status}",
                    upstream=self.name,
                    reason=f"it answered with status {status}",
                )


@asynccontextmanager
async def served(*witnesses: OwnWitness) -> AsyncIterator[None]:
    """Have them listen, each on a port of its own."""

    def handler(witness: OwnWitness) -> Callable[[web.BaseRequest], object]:
        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            if witness.hold is not None:
                await witness.hold.wait()
            if witness.down or (request.method, request.path) != ("POST", "/w/add-checkpoint"):
                return web.Response(status=503 if witness.down else 404)
            told = witness.decide(await request.read())
            return web.Response(status=told.status, body=told.body, headers={"content-type": told.type})

        return handle

    runners = []
    try:
        for witness in witnesses:
            runner = web.ServerRunner(web.Server(handler(witness)))  # type: ignore[arg-type]
            runners.append(runner)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            witness.url = f"http://127.0.0.1:{runner.addresses[0][1]}/w"
        yield
    finally:
        for witness in witnesses:
            if witness.hold is not None:
                witness.hold.set()
        for runner in runners:
            await runner.cleanup()
