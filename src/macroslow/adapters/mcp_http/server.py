"""One MCP server over Streamable HTTP, in either era of the protocol.

A call is one request. In the handshake's era the session is begun once and kept; where the server has
forgotten it (404) it is begun anew, and the request, which was not read, sent again. Nothing else is ever
repeated.

Credentials are the operator's static headers. A server that wants OAuth (401 with metadata) is refused, and
the operator told: no address of its choosing is ever asked.

Source: MCP 2026-07-28, "Transports: Streamable HTTP"; 2025-11-25, the same.
"""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from types import MappingProxyType
from typing import Final

from macroslow.adapters.mcp_http.endpoint import Endpoint
from macroslow.adapters.mcp_http.parameters import header_value, parameter_headers, parameters
from macroslow.adapters.mcp_http.wire import Bounds, SessionGoneError, Wire
from macroslow.mcp.client.catalogue import everything
from macroslow.mcp.client.errors import in_words_of_the_port, unavailable
from macroslow.mcp.client.greeting import Greeting, meet
from macroslow.mcp.client.rpc import (
    MODERN,
    NoAnswerError,
    Reply,
    complete,
    listen_params,
    notification,
    request,
)
from macroslow.mcp.upstream import JSON, MAX_CATALOGUE_BYTES, Found, Progress
from macroslow.outbound.dialling import NotConnectedError
from macroslow.outbound.exchange import BrokenOffError, TooSlowError

DISCOVER_S: Final = 30.0  # for each question about what a server offers
LISTEN_S: Final = 600.0  # after this a stream of notifications has ended

_DISCOVER: Final = Bounds(DISCOVER_S, MAX_CATALOGUE_BYTES)
_NAMED: Final = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
_NONE: Final[Mapping[str, str]] = MappingProxyType({})


class MCPOverHTTP:
    """See `mcp.upstream.UpstreamServer`. Use and close it on one event loop."""

    def __init__(self, name: str, endpoint: Endpoint, *, max_result_bytes: int) -> None:
        self._name = name
        self._endpoint = endpoint
        self._max_result_bytes = max_result_bytes
        self._wire = Wire(name, endpoint)
        self._meeting = asyncio.Lock()
        self._greeting: Greeting | None = None
        self._number = 0
        self._parameters: dict[str, dict[tuple[str, ...], str]] = {}
        self._doubted = asyncio.Event()

    @property
    def where(self) -> str:
        """The URL."""
        return self._endpoint.url

    async def discover(self) -> Found:
        """See the port."""
        self._doubted.clear()
        with self._translated():
            async with self._meeting:
                greeting = self._greeting
                # A session tells when its server is another one (404); without one it must be asked.
                if greeting is None or self._wire.session is None:
                    greeting = self._greeting = await self._meet()
            found = await everything(greeting, self._ask)
        listed = ((tool.get("name"), tool.get("inputSchema")) for tool in found.tools)
        self._parameters = {name: parameters(schema) for name, schema in listed if isinstance(name, str)}
        return found

    async def call_tool(
        self, name: str, arguments: JSON, *, timeout_s: float, progress: Progress | None = None
    ) -> JSON:
        """See the port."""
        wanted = self._parameters.get(name)
        own = parameter_headers(wanted, arguments) if wanted else _NONE
        params = {"name": name, "arguments": arguments}
        return await self._once("tools/call", params, timeout_s, progress, own)

    async def get_prompt(self, name: str, arguments: Mapping[str, str], *, timeout_s: float) -> JSON:
        """See the port."""
        return await self._once("prompts/get", {"name": name, "arguments": {**arguments}}, timeout_s)

    async def read_resource(self, uri: str, *, timeout_s: float) -> JSON:
        """See the port."""
        return await self._once("resources/read", {"uri": uri}, timeout_s)

    async def changed(self) -> None:
        """See the port. Returns also where something came up that makes a look worth while."""
        waits = [asyncio.create_task(one) for one in (self._told_of_change(), _returned(self._doubted))]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    async def close(self) -> None:
        """End the connections; what is under way breaks off."""
        self._wire.close()

    async def _once(
        self,
        method: str,
        params: JSON,
        timeout_s: float,
        progress: Progress | None = None,
        own: Mapping[str, str] = _NONE,
    ) -> JSON:
        bounds = Bounds(timeout_s, self._max_result_bytes)
        with self._translated():
            return complete((await self._asked(method, params, bounds, progress, own)).result)

    async def _ask(self, method: str, params: JSON) -> Reply:
        return await self._asked(method, params, _DISCOVER)

    async def _asked(
        self,
        method: str,
        params: JSON,
        bounds: Bounds,
        progress: Progress | None = None,
        own: Mapping[str, str] = _NONE,
    ) -> Reply:
        greeting = self._greeting
        if greeting is None:
            greeting = await self._met_first()
        try:
            return await self._send(greeting, method, params, bounds, progress, own)
        except SessionGoneError:
            greeting = await self._met_again(greeting)
            return await self._send(greeting, method, params, bounds, progress, own)

    async def _send(
        self,
        greeting: Greeting,
        method: str,
        params: JSON,
        bounds: Bounds,
        progress: Progress | None,
        own: Mapping[str, str],
    ) -> Reply:
        self._number = number = self._number + 1
        headers = {"mcp-protocol-version": greeting.identity.protocol}
        if greeting.is_modern:
            headers["mcp-method"] = method
            if (member := _NAMED.get(method)) is not None:
                headers["mcp-name"] = header_value(str(params[member]))
            headers.update(own)
        token = None if progress is None else number
        body = request(number, method, params, greeting.version, progress_token=token)
        return await self._wire.ask(number, body, headers, bounds, progress)

    # How a conversation begins

    async def _met_first(self) -> Greeting:
        async with self._meeting:
            if self._greeting is None:
                self._greeting = await self._meet()
            return self._greeting

    async def _met_again(self, before: Greeting) -> Greeting:
        """Begin a new session. Another server in its place is looked at before it is asked anything."""
        async with self._meeting:
            if self._greeting is before:
                self._greeting = await self._meet()
            greeting = self._greeting or before
        if before.identity != greeting.identity:
            self._doubted.set()
            raise NoAnswerError("its identity changed")
        return greeting

    async def _meet(self) -> Greeting:
        self._wire.session = None
        greeting = await meet(self._ask_first, self._ask_modern)
        if not greeting.is_modern:
            initialized = notification("notifications/initialized")
            headers = {"mcp-protocol-version": greeting.identity.protocol}
            await self._wire.tell(initialized, headers, DISCOVER_S)
        return greeting

    async def _ask_modern(self, method: str, params: JSON) -> Reply:
        self._number += 1
        headers = {"mcp-protocol-version": MODERN, "mcp-method": method}
        body = request(self._number, method, params, MODERN)
        return await self._wire.ask(self._number, body, headers, _DISCOVER)

    async def _ask_first(self, method: str, params: JSON) -> Reply:
        self._number += 1
        body = request(self._number, method, params, None)
        return await self._wire.ask(self._number, body, _NONE, _DISCOVER, first=True)

    # What else there is

    async def _told_of_change(self) -> None:
        """Return when the server says so; never where it has no stream for it, or the stream ends."""
        greeting = self._greeting
        wanted = listen_params(greeting.capabilities) if greeting is not None and greeting.is_modern else None
        if wanted is not None:
            self._number += 1
            method = "subscriptions/listen"
            headers = {"mcp-protocol-version": MODERN, "mcp-method": method}
            body = request(self._number, method, wanted, MODERN)
            with suppress(NotConnectedError, BrokenOffError, NoAnswerError):
                if await self._wire.listen(body, headers, LISTEN_S):
                    return
        await asyncio.Event().wait()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Say in the tree's errors what went wrong on the wire."""
        try:
            with in_words_of_the_port(self._name):
                yield
        except TooSlowError:
            raise unavailable(self._name, "did not answer in time") from None
        except (NotConnectedError, BrokenOffError) as error:
            raise unavailable(self._name, f"gave no answer: {error}") from None
        except SessionGoneError:
            raise unavailable(self._name, "forgot its new session at once") from None


async def _returned(event: asyncio.Event) -> None:
    await event.wait()
