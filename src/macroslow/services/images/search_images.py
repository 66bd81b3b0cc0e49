"""Searching images: from the cache, else at one provider that has room for it."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from macroslow.authn.principal import Principal
from macroslow.errors import MacroslowError, NotFoundError, RateLimitedError, TooLargeError, UpstreamError
from macroslow.images.search import HotLink, Image, ImageAPI, ImageQuery
from macroslow.ports import DAY_NS
from macroslow.services.images.ask_provider import AskProvider
from macroslow.services.images.image_cache import ImageCache, Kept
from macroslow.services.images.image_ids import ImageIds
from macroslow.services.images.use_image import UseImage
from macroslow.services.verbs import utc

ANY: Final = "any"
_PASSED_OVER: Final = (RateLimitedError, UpstreamError, TooLargeError)


@dataclass(frozen=True, slots=True)
class SearchImages:
    """Its fields are everything that it touches. `providers` are asked in their order."""

    providers: Mapping[str, AskProvider]
    cache: ImageCache
    ids: ImageIds

    async def __call__(
        self, principal: Principal, query: ImageQuery, *, provider: str = ANY, request_id: str
    ) -> dict[str, object]:
        """What was found, as JSON, with the terms of each image.

        "any" is whoever found it in the last day, else the first that answers. Raises NotFoundError for a
        provider that is not configured, RateLimitedError (the one that ends first), UpstreamError,
        TooLargeError, LogUnavailableError.
        """
        names = self._chosen(provider)
        for name in names:
            if kept := self.cache.get((name, query)):
                return self._told(principal, name, query, kept, cached=True)
        failed: list[MacroslowError] = []
        for name in names:
            try:
                return await self._search(principal, name, query, request_id)
            except _PASSED_OVER as error:
                failed.append(error)
        raise min(failed, key=_wait_s)

    def _chosen(self, provider: str) -> Sequence[str]:
        if provider == ANY:
            return list(self.providers)
        if provider not in self.providers:
            raise NotFoundError(
                f"no provider of images is called {provider[:40]!r} here",
                fix=f"one of: {', '.join((ANY, *self.providers))}",
            )
        return [provider]

    async def _search(
        self, principal: Principal, name: str, query: ImageQuery, request_id: str
    ) -> dict[str, object]:
        """Ask the provider, unless somebody else just did."""
        async with self.cache.asking((name, query)):
            if kept := self.cache.get((name, query)):
                return self._told(principal, name, query, kept, cached=True)
            about = {
                "request_id": request_id,
                "operation": "search",
                "query_sha256": hashlib.sha256(query.text.encode()).hexdigest(),
            }
            answered = await self.providers[name](principal, lambda api: api.search(query), about)
            assert answered.found is not None  # noqa: S101 (a search finds something, be it nothing)
            kept = self.cache.put((name, query), answered.found)
        return self._told(principal, name, query, kept, cached=False)

    def _told(
        self, principal: Principal, name: str, query: ImageQuery, kept: Kept, *, cached: bool
    ) -> dict[str, object]:
        api = self.providers[name].api
        return {
            "provider": name,
            "total": kept.found.total,
            "page": query.page,
            "cached": cached,
            "left_out": kept.found.left_out,
            "images": [
                {"id": self.ids.give(principal.name, name, one), **_image(api, one, kept)}
                for one in kept.found.images
            ],
        }


@dataclass(frozen=True, slots=True)
class Images:
    """All that is offered of images; there is one where a provider of images is configured."""

    search: SearchImages
    use: UseImage

    @property
    def providers(self) -> tuple[str, ...]:
        """Those that are configured, in the order in which they are asked."""
        return tuple(self.search.providers)


def _image(api: ImageAPI, image: Image, kept: Kept) -> dict[str, object]:
    ends_ns = kept.found_ns + DAY_NS
    return {
        "provider": api.name,
        "description": image.description,
        "width": image.width,
        "height": image.height,
        "urls": {"thumb": image.urls.thumb, "small": image.urls.small, "regular": image.urls.regular},
        "author": {"name": image.author.name, "url": image.author.url},
        "attribution": {"text": image.attribution.text, "html": image.attribution.html},
        "page_url": image.page_url,
        "license": api.terms.license_url,
        "terms": {
            "hotlink": api.terms.hotlink.value,
            "urls_valid_until": utc(ends_ns) if api.terms.hotlink is HotLink.DAY else None,
            "report_use": image.trace is not None,
        },
    }


def _wait_s(error: MacroslowError) -> float:
    """What may be tried again soonest comes first; what failed otherwise, last."""
    return error.retry_after_s if isinstance(error, RateLimitedError) else float("inf")
