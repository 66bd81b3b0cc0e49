"""One account with a provider that speaks OpenAI's HTTP API, over aiohttp.

The destination and the key come from the operator and belong together: redirects are not followed,
proxies of the environment are not used, cookies are not kept. Headers are allow-listed both ways.
Answers come uncompressed, or not at all, and have a largest size. One session with kept-alive
connections serves all calls; cancelling a call closes its connection, which stops the provider.

Source: OpenAI API reference, "Create chat completion".
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import urlsplit

import aiohttp

from macroslow.adapters.openai.errors import MAX_ERROR_BYTES, clean_error
from macroslow.errors import ConfigurationError, UpstreamRefusedError, UpstreamUnavailableError
from macroslow.inference.ports import NotReached, ProviderAnswer, ProviderStream
from macroslow.secretstore.secret import Secret

MAX_ANSWER_BYTES: Final = 64 * 1024 * 1024
CONNECT_S: Final = 10.0
IDLE_S: Final = 120.0
KEPT_ALIVE_S: Final = 15.0

_PASSED_HEADERS: Final = frozenset(
    {
        "content-type",
        "retry-after",
        "retry-after-ms",
        "openai-processing-ms",
        "x-ratelimit-limit-requests",
        "x-ratelimit-limit-tokens",
        "x-ratelimit-remaining-requests",
        "x-ratelimit-remaining-tokens",
        "x-ratelimit-reset-requests",
        "x-ratelimit-reset-tokens",
    }
)
_JSON: Final = "application/json"
_EVENT_STREAM: Final = "text/event-stream"


class OpenAIProvider:
    """Implements `inference.ports.Provider`. Make it anywhere; use and close it on one event loop."""

    def __init__(
        self,
        name: str,
        base_url: str,
        key: Secret | None,
        *,
        emulator: bool = False,
        max_answer_bytes: int = MAX_ANSWER_BYTES,
        idle_s: float = IDLE_S,
        connect_s: float = CONNECT_S,
    ) -> None:
        """`base_url` as SDKs take it, e.g. https://api.openai.com/v1. Raises ConfigurationError.

        `key` None: the provider asks for none, as models on one's own machine do.
        """
        self.name = name
        self.account = name
        self.dialect = "openai"
        self.emulator = emulator
        self._url = _checked(name, base_url)
        self._key = None if key is None else _usable(name, key)
        self._max_answer_bytes = max_answer_bytes
        self._idle_s = idle_s
        self._connect_s = connect_s
        self._session: aiohttp.ClientSession | None = None

    async def complete(
        self, path: str, body: bytes, *, headers: Mapping[str, str] = {}, deadline_s: float
    ) -> ProviderAnswer | NotReached:
        """See `Provider.complete`."""
        async with self.stream(path, body, headers=headers, deadline_s=deadline_s) as reached:
            if not isinstance(reached, ProviderStream):
                return reached
            # An event stream that nobody asked for: read as a body, it will not be understood.
            chunks = [chunk async for chunk in reached.chunks]
            return ProviderAnswer(200, reached.headers, b"".join(chunks))

    @asynccontextmanager
    async def stream(
        self, path: str, body: bytes, *, headers: Mapping[str, str] = {}, deadline_s: float
    ) -> AsyncIterator[ProviderAnswer | ProviderStream | NotReached]:
        """See `Provider.stream`."""
        timeout = aiohttp.ClientTimeout(deadline_s, sock_connect=self._connect_s, sock_read=self._idle_s)
        try:
            response = await self._opened().post(
                self._url + path,
                data=body,
                headers={
                    **headers,
                    **({"Authorization": f"Bearer {self._key.reveal()}"} if self._key else {}),
                },
                timeout=timeout,
                allow_redirects=False,
            )
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            yield NotReached(type(error).__name__)
            return
        except (aiohttp.ClientError, TimeoutError) as error:
            raise self._broke_off(error) from None
        try:
            yield await self._received(response)
        finally:
            # Closes the connection unless the answer was read to its end; then it was kept alive.
            response.close()

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    async def _received(self, response: aiohttp.ClientResponse) -> ProviderAnswer | ProviderStream:
        status = response.status
        self._refuse(response)
        headers = _passed(response)
        if status >= 400:
            body = await self._error_body(response)
            return ProviderAnswer(status, {**headers, "content-type": _JSON}, body)
        chunks = self._chunks(response)
        if response.content_type == _EVENT_STREAM and status == 200:
            return ProviderStream(headers, chunks)
        return ProviderAnswer(status, headers, b"".join([chunk async for chunk in chunks]))

    def _refuse(self, response: aiohttp.ClientResponse) -> None:
        """Raise for an answer whose body must not be read or passed on."""
        if response.status in (401, 403):
            raise UpstreamRefusedError(
                f"the provider {self.name} did not accept this gateway's key",
                upstream=self.name,
                status=response.status,
                fix="the operator must check the provider's key and its rights",
            )
        if 300 <= response.status < 400:
            raise UpstreamRefusedError(
                f"the provider {self.name} answered with a redirect; none is followed",
                upstream=self.name,
                status=response.status,
                fix="the operator must set base_url to the provider's final address",
            )
        compressed = response.headers.get("Content-Encoding", "identity").lower() != "identity"
        if compressed and response.status < 400:  # of errors, what cannot be read is replaced
            raise UpstreamUnavailableError(
                f"the provider {self.name} sent a compressed answer, which was not asked for",
                upstream=self.name,
            )

    async def _chunks(self, response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
        """The body as it comes, at most `max_answer_bytes` of it."""
        received_bytes = 0
        try:
            async for chunk in response.content.iter_any():
                received_bytes += len(chunk)
                if received_bytes > self._max_answer_bytes:
                    raise UpstreamUnavailableError(
                        f"the provider {self.name} sent more than {self._max_answer_bytes} bytes",
                        upstream=self.name,
                    )
                yield chunk
        except (aiohttp.ClientError, TimeoutError) as error:
            raise self._broke_off(error) from None

    async def _error_body(self, response: aiohttp.ClientResponse) -> bytes:
        """The provider's error, cut off above the bound: what is longer is replaced."""
        body = bytearray()
        try:
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > MAX_ERROR_BYTES:
                    break
        except (aiohttp.ClientError, TimeoutError):
            body.clear()  # the status is known, and that is enough
        return clean_error(response.status, bytes(body), self._key.reveal() if self._key else "")

    def _broke_off(self, error: Exception) -> UpstreamUnavailableError:
        # The class alone: texts of aiohttp's errors may quote what was sent.
        return UpstreamUnavailableError(
            f"the provider {self.name} broke off or was too slow; the call's outcome is unknown",
            upstream=self.name,
            reason=type(error).__name__,
        )

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEPT_ALIVE_S),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
                headers={
                    "User-Agent": "macroslow",
                    "Accept-Encoding": "identity",
                    "Content-Type": _JSON,
                },
            )
        return self._session


def _passed(response: aiohttp.ClientResponse) -> Mapping[str, str]:
    lowered = ((name.lower(), value) for name, value in response.headers.items())
    return {name: value for name, value in lowered if name in _PASSED_HEADERS}


def _checked(name: str, base_url: str) -> str:
    """The base URL without a final slash; only scheme, host, port and path may be in it."""
    parts = urlsplit(base_url)
    plain = parts._replace(query="", fragment="").geturl() == base_url and parts.username is None
    if parts.scheme not in ("http", "https") or not parts.hostname or not plain:
        raise ConfigurationError(
            f"provider {name}: base_url must be http(s)://HOST[:PORT][/PATH] and nothing else"
        )
    return base_url.rstrip("/")


def _usable(name: str, key: Secret) -> Secret:
    text = key.reveal()
    if not text or not text.isascii() or not text.isprintable() or " " in text:
        raise ConfigurationError(f"provider {name}: the key cannot be sent in a header")
    return key
