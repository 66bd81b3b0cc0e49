"""One account with a provider of models, over its own HTTP API: bodies go out and come back as they are.

Headers are allow-listed both ways, and no key comes back: neither in a header nor in an error.

Source: OpenAI API reference; Anthropic API reference.
"""

import functools
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from copy import copy
from typing import Final, Self

from macroslow.adapters.model_api.dialects import CREDENTIALS, DIALECTS
from macroslow.adapters.model_api.errors import MAX_ERROR_BYTES, clean_error
from macroslow.adapters.model_api.sender import Sender
from macroslow.errors import ConfigurationError
from macroslow.inference.dialect import Dialect
from macroslow.inference.ports import NotReached, ProviderAnswer, ProviderStream
from macroslow.outbound.exchange import BrokenOffError, Exchange, Patience
from macroslow.secretstore.secret import Secret

MAX_ANSWER_BYTES: Final = 64 * 1024 * 1024
PATIENCE: Final = Patience()

_JSON: Final = "application/json"
_EVENT_STREAM: Final = "text/event-stream"


class ModelAPI:
    """Implements `inference.ports.Provider`. Make it anywhere; use and close it on one event loop."""

    def __init__(
        self,
        name: str,
        base_url: str,
        key: Secret | None,
        *,
        dialect: Dialect = Dialect.OPENAI,
        account: str = "",
        auth: str | None = None,
        emulator: bool = False,
        max_answer_bytes: int = MAX_ANSWER_BYTES,
        patience: Patience = PATIENCE,
        key_name: str = "",
    ) -> None:
        """`base_url` ends before the API's paths, e.g. https://api.openai.com/v1.

        `key` None: the provider asks for none, as models on one's own machine do. `auth` says how
        it is sent: "bearer", "api-key" (Azure) or "x-api-key"; by default as the dialect has it.
        `key_name` names the key in the log, as `env:OPENAI_API_KEY`.
        Raises ConfigurationError.
        """
        self._dialect = DIALECTS[dialect]
        self._passed_name = functools.lru_cache(maxsize=256)(self._dialect.passed_name)
        auth = auth or self._dialect.auth
        if auth not in CREDENTIALS:
            raise ConfigurationError(f"provider {name}: auth must be one of {', '.join(CREDENTIALS)}")
        self.name = name
        self.account = account or name
        self.dialect = dialect
        self.emulator = emulator
        self._max_answer_bytes = max_answer_bytes
        self._sender = Sender(
            name,
            base_url,
            key,
            self._dialect,
            auth=auth,
            max_answer_bytes=max_answer_bytes,
            patience=patience,
            key_name=key_name,
        )

    def with_key(self, key: Secret, account: str) -> "ModelAPI":
        """The same provider asked with a caller's own key, over the same connections: never close it."""
        other = copy(self)
        other.account = account
        other._sender = self._sender.with_key(key)
        return other

    async def complete(
        self, path: str, body: bytes, *, headers: Mapping[str, str] = {}, deadline_s: float
    ) -> ProviderAnswer | NotReached:
        """See `Provider.complete`."""
        exchange = await self._sender.post(path, body, headers, deadline_s)
        if isinstance(exchange, NotReached):
            return exchange
        try:
            # An event stream that nobody asked for is read as a body, and will not be understood.
            return await self._answer(exchange, self._passed(exchange))
        finally:
            exchange.end()

    @asynccontextmanager
    async def stream(
        self, path: str, body: bytes, *, headers: Mapping[str, str] = {}, deadline_s: float
    ) -> AsyncIterator[ProviderAnswer | ProviderStream | NotReached]:
        """See `Provider.stream`."""
        exchange = await self._sender.post(path, body, headers, deadline_s)
        del body  # it is sent; an open stream would hold it to its end
        if isinstance(exchange, NotReached):
            yield exchange
            return
        try:
            passed = self._passed(exchange)
            content_type = passed.get("content-type", "").partition(";")[0].strip().lower()
            if exchange.status == 200 and content_type == _EVENT_STREAM:
                yield ProviderStream(passed, _Chunks(exchange, self._sender, self._max_answer_bytes))
            else:
                yield await self._answer(exchange, passed)
        finally:
            exchange.end()  # closes the connection unless the answer came to its end

    async def close(self) -> None:
        """Close all connections."""
        await self._sender.close()

    async def _answer(self, exchange: Exchange, passed: Mapping[str, str]) -> ProviderAnswer:
        if exchange.status < 400:
            return ProviderAnswer(exchange.status, passed, await self._sender.read(exchange))
        cleaned = clean_error(
            self._dialect, exchange.status, await _error_body(exchange), self._sender.reveal()
        )
        return ProviderAnswer(exchange.status, {**passed, "content-type": _JSON}, cleaned)

    def _passed(self, exchange: Exchange) -> dict[str, str]:
        """The headers to pass on: printable, and without the key."""
        passed_name = self._passed_name
        passed = {}
        for raw_name, raw_value in exchange.headers.items():
            if name := passed_name(raw_name):
                passed[name] = raw_value.decode("latin-1")
        key = self._sender.reveal()
        if not _sound(" ".join(passed.values()), key):  # all at once, since they mostly are
            passed = {name: value for name, value in passed.items() if _sound(value, key)}
        return passed


class _Chunks:
    """A body as it comes, at most so many bytes of it. No generator: that would hold what it has given."""

    def __init__(self, exchange: Exchange, sender: Sender, left_bytes: int) -> None:
        exchange.read_in_pieces()
        self._exchange = exchange
        self._sender = sender
        self._left_bytes = left_bytes

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        exchange = self._exchange
        try:
            while not exchange.waiting:  # as in `Exchange.read`, without a coroutine for every piece
                if exchange.complete:
                    raise StopAsyncIteration
                await exchange.more()
        except BrokenOffError as error:
            raise self._sender.broke_off(error) from None
        chunk = exchange.take()
        self._left_bytes -= len(chunk)
        if self._left_bytes < 0:
            raise self._sender.too_long()
        return chunk


def _sound(value: str, key: str) -> bool:
    """Whether it is printable ASCII without the key."""
    return value.isascii() and value.isprintable() and not (key and key in value)


async def _error_body(exchange: Exchange) -> bytes:
    """The provider's error, or nothing if it is too long or broke off: the status is known."""
    try:
        return await exchange.body(MAX_ERROR_BYTES) or b""
    except BrokenOffError:
        return b""
