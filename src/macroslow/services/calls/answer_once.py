"""A request that carries an idempotency key is done once, however often it is sent.

The key is claimed, durably, before the work; the answer is kept under it, sealed, until it expires.
The same request again gets the kept answer; another request under the same key is refused; one whose
first sending is still under way, or whose end nobody saw, is a conflict: to do it again might pay twice.

So a claim is never forgotten before its time, whatever else comes: where there are too many of them new
keys are refused, and an answer for which there is no room is not kept.

Source: IETF draft-ietf-httpapi-idempotency-key-header, section 2.
"""

import asyncio
import hashlib
import re
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from macroslow.authn.principal import Principal
from macroslow.errors import BadRequestError, ConflictError, KeyReusedError, RateLimitedError
from macroslow.limits.byte_budget import ByteBudget, Ration
from macroslow.ports import HOUR_NS, NS_PER_S, Clock
from macroslow.workflow.books import Books
from macroslow.workflow.replies import ClaimReply, DropReply, PutReply, Reply

KEPT_HOURS: Final = 24
MAX_KEPT_BYTES: Final = 256 * 1024
"""A longer answer is not kept: then the same key again is a conflict, never a second call."""

MIB: Final = 1024 * 1024
KEPT_BYTES: Final = 1024 * MIB
KEPT_SHARE_BYTES: Final = 64 * MIB
"""Answers that are kept in 24 hours, in all and of one principal: a disk is everybody's. Above it as if
too long."""

KEYS: Final = 1_000_000
KEYS_SHARE: Final = KEYS // 10
"""Keys that are taken in 24 hours, in all and by one principal, however small their answers. Above it a
new key is refused: to forget an old one would let its request be paid twice."""

UNDER_WAY_BYTES: Final = 128 * MIB
UNDER_WAY_SHARE_BYTES: Final = UNDER_WAY_BYTES // 4
"""Requests with a key, in all and of one principal: they are held although nobody may wait for the
answer any more, when no connection and no other budget counts them."""

UNDER_WAY_EACH_BYTES: Final = 16 * 1024
"""What one such request counts besides its body, or their number had no bound."""

_T = TypeVar("_T")
_KEY: Final = re.compile(r"[!-~]{1,255}")


@dataclass(frozen=True, slots=True)
class Claim:
    """One request under its key. Ends with `AnswerOnce.keep` or `AnswerOnce.drop`, or stays unanswered."""

    principal: str
    key: str
    claimed_ns: int


@dataclass(frozen=True, slots=True)
class AnswerOnce:
    """Its fields are everything that it touches."""

    books: Books
    clock: Clock
    _under_way: ByteBudget = field(
        default_factory=lambda: ByteBudget(UNDER_WAY_BYTES, UNDER_WAY_SHARE_BYTES), init=False, repr=False
    )
    _kept: Ration = field(
        default_factory=lambda: Ration(KEPT_BYTES, KEPT_SHARE_BYTES, KEPT_HOURS), init=False, repr=False
    )
    _keys: Ration = field(
        default_factory=lambda: Ration(KEYS, KEYS_SHARE, KEPT_HOURS), init=False, repr=False
    )
    _going: dict["asyncio.Task[Any]", Principal] = field(default_factory=dict, init=False, repr=False)

    @contextmanager
    def room(self, principal: Principal, size_bytes: int) -> Iterator[None]:
        """Room for a body until its work is over, whoever hangs up. OverloadedError if there is none."""
        held_bytes = size_bytes + UNDER_WAY_EACH_BYTES
        self._under_way.take(held_bytes, principal.name)
        try:
            yield
        finally:
            self._under_way.give_back(held_bytes, principal.name)

    def going(self, principal: Principal, work: Coroutine[Any, Any, _T]) -> "asyncio.Task[_T]":
        """Do `work` whether or not its caller stays."""
        task = asyncio.get_running_loop().create_task(work)
        self._going[task] = principal
        task.add_done_callback(self._over)
        return task

    def _over(self, task: "asyncio.Task[Any]") -> None:
        del self._going[task]
        if not task.cancelled():
            task.exception()  # its caller has it, or has left: then nobody asks for it

    def withdraw(self, admits: Callable[[Principal], bool]) -> None:
        """Give up what goes on for callers who would be let in no more."""
        for task, principal in self._going.items():
            if not admits(principal):
                task.cancel()

    async def close(self) -> None:
        """Give up what still goes on: each call under it settles itself."""
        for task in self._going:
            task.cancel()
        if self._going:
            await asyncio.wait(set(self._going))

    async def claim(self, principal: Principal, key: str, request: bytes) -> Claim | Reply:
        """Take `key` for `request` (route and body), or return the answer that it had before.

        Raises BadRequestError for what is no key, KeyReusedError if it stands for another request,
        ConflictError if the answer is not there (yet), RateLimitedError if it is new and one too many.
        """
        if not _KEY.fullmatch(key):
            raise BadRequestError(
                "Idempotency-Key: 1 to 255 printable ASCII characters",
                fix="send a new UUID with each request",
                step="parse",
            )
        name, now_ns = principal.name, self.clock.now_ns()
        sha256 = hashlib.sha256(request).hexdigest()
        if not self._keys.take(1, name, now_ns):
            return await self._known(name, key, sha256, now_ns)
        try:
            await self.books.commit(ClaimReply(name, key, sha256, now_ns, now_ns + KEPT_HOURS * HOUR_NS))
        except ConflictError:
            self._keys.give_back(1, name, now_ns)
            return _usable(await self.books.reply(name, key), sha256)
        return Claim(name, key, now_ns)

    async def _known(self, name: str, key: str, sha256: str, now_ns: int) -> Reply:
        """The answer that a key had before, where no new one is taken."""
        reply = await self.books.reply(name, key)
        if reply is not None and reply.expires_ns > now_ns:
            return _usable(reply, sha256)
        raise RateLimitedError(
            "too many idempotency keys were used in the last 24 hours",
            limit="idempotency keys",
            count=KEYS_SHARE,
            period_s=KEPT_HOURS * HOUR_NS // NS_PER_S,
            retry_after_s=self._keys.frees_ns(now_ns) / NS_PER_S,
            fix="send the request without the header, or later",
        )

    async def keep(self, claim: Claim, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Keep the answer, unless it is too long or its principal has had too much kept."""
        if len(body) > MAX_KEPT_BYTES:
            return
        if self._kept.take(len(body), claim.principal, self.clock.now_ns()):
            await self.books.commit(PutReply(claim.principal, claim.key, status, headers, body))

    async def drop(self, claim: Claim) -> None:
        """Give the key back: nothing was done, and the same request may be sent again."""
        await self.books.commit(DropReply(claim.principal, claim.key))
        self._keys.give_back(1, claim.principal, claim.claimed_ns)


def _usable(reply: Reply | None, sha256: str) -> Reply:
    if reply is not None and reply.request_sha256 != sha256:
        raise KeyReusedError(
            "this Idempotency-Key was used for another request", fix="use a fresh key for each request"
        )
    if reply is None or reply.status is None:
        raise ConflictError(
            "the request with this Idempotency-Key is under way, or its answer was not kept",
            fix="wait for the first one; send a fresh key to do it once more",
            step="parse",
        )
    return reply
