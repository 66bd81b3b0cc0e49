"""What a provider itself says that was used and spent: its administrative reports, page by page.

They need a key of their own (an admin key), which models cannot be called with.

Source: OpenAI API reference, "Usage" (/organization/usage/completions, /organization/costs);
Anthropic Admin API reference, "Usage and cost" (/organizations/usage_report/messages,
/organizations/cost_report).
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import urlencode

import orjson

from macroslow.adapters.model_api.dialects import DIALECTS
from macroslow.adapters.model_api.sender import Sender
from macroslow.errors import UpstreamRefusedError, UpstreamUnavailableError
from macroslow.inference.dialect import Dialect
from macroslow.inference.ports import NotReached
from macroslow.outbound.exchange import Exchange, Patience
from macroslow.secretstore.secret import Secret

MAX_PAGE_BYTES: Final = 8 * 1024 * 1024
MAX_PAGES: Final = 500  # a year by days, 31 of them a page, for forty projects

Query = Mapping[str, str | int | Sequence[str]]


class UsageAPI:
    """One provider's reports. Make it anywhere; use and close it on one event loop."""

    def __init__(
        self,
        name: str,
        base_url: str,
        admin_key: Secret,
        *,
        dialect: Dialect = Dialect.OPENAI,
        setting: str = "base_url",
    ) -> None:
        """`base_url` as for models, e.g. https://api.openai.com/v1; `setting` gave it. ConfigurationError."""
        self._sender = Sender(
            name,
            base_url,
            admin_key,
            DIALECTS[dialect],
            auth=DIALECTS[dialect].auth,
            max_answer_bytes=MAX_PAGE_BYTES,
            patience=Patience(),
            setting=setting,
        )

    async def get_json(self, path: str, query: Query, *, deadline_s: float) -> object:
        """One page. Raises UpstreamRefusedError, for a redirect and a 4xx, and UpstreamUnavailableError."""
        exchange = await self._sender.get(path, urlencode(query, doseq=True), deadline_s)
        if isinstance(exchange, NotReached):
            raise self._unavailable("cannot be reached", exchange.reason)
        try:
            return await self._page(exchange)
        finally:
            exchange.end()

    async def get_pages(self, path: str, query: Query, *, deadline_s: float) -> list[object]:
        """The `data` of all pages, one after the other. Raises as `get_json`.

        More than MAX_PAGES, and a page that does not lead on, are errors: half a report would be
        read as money that was not spent.
        """
        loop = asyncio.get_running_loop()
        ends_s = loop.time() + deadline_s
        rows: list[object] = []
        seen: set[str] = set()
        for _ in range(MAX_PAGES):
            page = await self.get_json(path, query, deadline_s=ends_s - loop.time())
            if not isinstance(page, dict) or not isinstance(data := page.get("data"), list):
                raise self._unavailable("sent a report that cannot be read", "no list of data")
            rows += data
            if not page.get("has_more"):
                return rows
            following = page.get("next_page")
            if not isinstance(following, str) or following in seen:
                raise self._unavailable("sent a report that cannot be read", "no next page")
            seen.add(following)
            query = {**query, "page": following}
        raise self._unavailable("sent a report of too many pages", f"more than {MAX_PAGES} pages")

    async def close(self) -> None:
        """Close all connections."""
        await self._sender.close()

    async def _page(self, exchange: Exchange) -> object:
        status, name = exchange.status, self._sender.name
        if 400 <= status < 500:
            raise UpstreamRefusedError(
                f"the provider {name} answered with status {status}", upstream=name, status=status
            )
        if status != 200:
            raise self._unavailable(f"answered with status {status}", f"status {status}")
        try:
            return orjson.loads(await self._sender.read(exchange))
        except orjson.JSONDecodeError:
            raise self._unavailable("sent a report that cannot be read", "no JSON") from None

    def _unavailable(self, what: str, reason: str) -> UpstreamUnavailableError:
        name = self._sender.name
        return UpstreamUnavailableError(f"the provider {name} {what}", upstream=name, reason=reason)
