"""One request to a provider of images: within its limit, and in the log however it ends."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from macroslow.authn.principal import Principal
from macroslow.errors import MacroslowError
from macroslow.images.search import Answered, ImageAPI, LimitReachedError
from macroslow.ports import Clock
from macroslow.services.images.provider_rate import ProviderRate
from macroslow.tlog.event import Event, EventType
from macroslow.tlog.ports import Append
from macroslow.workflow.books import Books, Change

Ask = Callable[[ImageAPI], Awaitable[Answered]]


@dataclass(frozen=True, slots=True)
class AskProvider:
    """Its fields are everything that it touches."""

    api: ImageAPI
    rate: ProviderRate
    books: Books
    clock: Clock

    async def __call__(
        self, principal: Principal, ask: Ask, about: Mapping[str, object], *undone: Change
    ) -> Answered:
        """Return the answer once it is logged; `about` is what the entry says of the request.

        `undone` is committed with the entry if the request fails. Raises what the provider's adapter raises,
        and RateLimitedError: by our own count nothing went out then, and nothing is logged or undone. A
        request that is cut off while it waits is logged too: it may have been served.
        """
        number = self.rate.take()
        try:
            answered = await ask(self.api)
        except LimitReachedError as reached:
            error = self.rate.refused(number, reached.allowance)
            await self._log(principal, about, error.code, 0, *undone)
            raise error from None
        except MacroslowError as error:
            self.rate.over(number, None)
            await self._log(principal, about, error.code, 0, *undone)
            raise
        except asyncio.CancelledError:
            self.rate.over(number, None)
            await self._log(principal, about, "unknown", 0, *undone)
            raise
        self.rate.over(number, answered.allowance)
        count = 0 if answered.found is None else len(answered.found.images)
        await self._log(principal, about, "ok", count)
        return answered

    async def _log(
        self, principal: Principal, about: Mapping[str, object], outcome: str, images: int, *undone: Change
    ) -> None:
        fields = {
            "principal": principal.name,
            "key_id": principal.key_id,
            "provider": self.api.name,
            "query_sha256": "",
            "image": "",
            **about,
            "outcome": outcome,
            "images": images,
            "emulator": self.api.emulator,
        }
        event = Event(EventType.IMAGES_CALLED, self.clock.now_ns(), principal.name, fields)
        await self.books.commit(Append(event), *undone)
