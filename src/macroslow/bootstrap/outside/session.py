"""The HTTP client of what is called beside models: outside APIs, issuers' keys, alerts and a collector."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import aiohttp


class Outward:
    """One client for all of them, made when the first thing that is configured asks for it.

    Its library, and each adapter that uses it, are imported only then: they take a quarter of a second and
    10 MiB, and most gateways call models alone, which have a client of their own.
    """

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    def __call__(self) -> "aiohttp.ClientSession":
        """The client; it keeps no cookies."""
        if self._session is None:
            import aiohttp

            self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        return self._session

    async def close(self) -> None:
        """Close its connections."""
        if self._session is not None:
            await self._session.close()
