"""Telling that an image is used, where its provider asks for it: once a day for each principal and image."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from macroslow.authn.principal import Principal
from macroslow.errors import ConflictError, NotFoundError, RateLimitedError
from macroslow.ports import DAY_NS, Clock
from macroslow.services.images.ask_provider import AskProvider
from macroslow.services.images.image_ids import ImageIds
from macroslow.workflow.books import Books
from macroslow.workflow.replies import ClaimReply, DropReply

REPEATED_NS: Final = DAY_NS  # within that time a further use of the same image is not told again


@dataclass(frozen=True, slots=True)
class UseImage:
    """Its fields are everything that it touches."""

    providers: Mapping[str, AskProvider]
    ids: ImageIds
    books: Books
    clock: Clock

    async def __call__(self, principal: Principal, image_id: str, *, request_id: str) -> dict[str, object]:
        """What was done, as JSON. `image_id` is of a search of the same principal's: NotFoundError else.

        A report that failed may be made again; one whose process died counts as made. Raises
        RateLimitedError, UpstreamError, LogUnavailableError.
        """
        known = self.ids.read(principal.name, image_id)
        ask = self.providers.get(known.provider)
        if ask is None:
            raise NotFoundError(
                "no such image",
                reason=f"{known.provider} is not configured any more",
                fix="search again, and use an id of that answer",
            )
        told: dict[str, object] = {"id": image_id, "provider": known.provider}
        trace = known.trace
        if trace is None:
            return {**told, "reported": False, "first": True}
        claim = self._claim(principal, known.provider, known.image_id)
        try:
            await self.books.commit(claim)
        except ConflictError:
            return {**told, "reported": True, "first": False}
        about = {"request_id": request_id, "operation": "use", "image": known.image_id}
        undone = DropReply(claim.principal, claim.key)
        try:
            await ask(principal, lambda api: api.report_use(known.image_id, trace), about, undone)
        except RateLimitedError:  # by our own count, where nothing was logged to undo it with
            await self.books.commit(undone)
            raise
        return {**told, "reported": True, "first": True}

    def _claim(self, principal: Principal, provider: str, image_id: str) -> ClaimReply:
        """What no second call can take; clients' own idempotency keys are ASCII, so none is this one."""
        now_ns = self.clock.now_ns()
        return ClaimReply(principal.name, f"use·{provider}:{image_id}", "", now_ns, now_ns + REPEATED_NS)
