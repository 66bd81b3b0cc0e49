"""Providers as the use case sees them: a request's bytes in, an answer, a stream or a refusal out."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from macroslow.inference.dialect import Dialect
from macroslow.secretstore.secret import Secret
from macroslow.values import value


@value
class ProviderAnswer:
    """A whole answer of any status but 401, 403 and redirects. Headers are lower-case and allow-listed.

    The body of an error (status 400 and above) has been capped and cleared of the operator's key.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


@value
class ProviderStream:
    """A streamed answer of status 200: `chunks` are its bytes as they come, cut anywhere."""

    headers: Mapping[str, str]
    chunks: AsyncIterator[bytes]


@dataclass(frozen=True, slots=True)
class NotReached:
    """No connection could be made, so nothing was sent. `reason` is for the log."""

    reason: str


class Provider(Protocol):
    """One account (a key) with one provider. Its destination and key come from the operator alone.

    `path` is appended to the provider's base URL, e.g. "/chat/completions"; it comes from our own
    table, never from a client. `headers` are further request headers that the caller has
    allow-listed; ValueError if one cannot be sent as it is. The headers of an answer include the
    provider's rate limits, `retry-after` and `x-should-retry` where it sent them.

    Both calls raise UpstreamRefusedError if the provider did not accept our key or sent us
    elsewhere (no work was done), and UpstreamUnavailableError if it broke off or was too slow after
    the request was sent (work may have been done). Cancelling closes the connection.
    """

    @property
    def name(self) -> str:
        """The configured provider."""
        ...

    @property
    def account(self) -> str:
        """This key's label, e.g. "openai" or "openai#2"."""
        ...

    @property
    def dialect(self) -> Dialect:
        """Whose API it speaks."""
        ...

    @property
    def emulator(self) -> bool:
        """Whether the operator declared this provider to be the emulator."""
        ...

    def with_key(self, key: Secret, account: str) -> "Provider":
        """The same destination asked with a caller's own key, labelled `account`.

        ConfigurationError if the key cannot be sent.
        """
        ...

    async def complete(
        self, path: str, body: bytes, *, headers: Mapping[str, str] = {}, deadline_s: float
    ) -> ProviderAnswer | NotReached:
        """Send one request and read its whole answer within `deadline_s`."""
        ...

    def stream(
        self, path: str, body: bytes, *, headers: Mapping[str, str] = {}, deadline_s: float
    ) -> AbstractAsyncContextManager[ProviderAnswer | ProviderStream | NotReached]:
        """Send one request; while the context is open its stream can be read, within `deadline_s`.

        An answer that is no event stream comes as a ProviderAnswer.
        """
        ...
