"""One key with one destination. They come from the operator and belong together.

Redirects are not followed, proxies of the environment are not used, cookies are not kept. Answers
come uncompressed, or not at all, and have a largest size. Cancelling closes the connection, which
stops the provider.
"""

from collections.abc import Awaitable, Mapping
from copy import copy
from typing import Final

from macroslow.adapters.model_api.dialects import CREDENTIALS, Rules
from macroslow.adapters.model_api.request import checked_base, checked_key, target
from macroslow.errors import UpstreamRefusedError, UpstreamUnavailableError
from macroslow.inference.ports import NotReached
from macroslow.outbound.client import Client
from macroslow.outbound.dialling import NotConnectedError
from macroslow.outbound.exchange import BrokenOffError, Exchange, Patience, TooSlowError
from macroslow.outbound.head import header_lines
from macroslow.secretstore.secret import Secret

_OURS: Final = frozenset({
    "host", "user-agent", "accept", "accept-encoding", "content-type", "content-length", "connection",
    "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "expect", "cookie",
    *(credential.header.lower() for credential in CREDENTIALS.values()),
})  # fmt: skip


class Sender:
    """Sends requests and reads their answers. Make it anywhere; use and close it on one event loop."""

    def __init__(
        self,
        name: str,
        base_url: str,
        key: Secret | None,
        dialect: Rules,
        *,
        auth: str,
        max_answer_bytes: int,
        patience: Patience,
        key_name: str = "",
        setting: str = "base_url",
    ) -> None:
        """`key` None: the provider asks for none. Raises ConfigurationError.

        `key_name` and `setting`, which of the provider's gave `base_url`, are for the log.
        """
        base = checked_base(name, base_url)
        self.name = name
        self._key = None if key is None else checked_key(name, key)
        self._whose_key = "this gateway's key"
        self._key_name = key_name
        credential = CREDENTIALS[auth]
        self._key_line = f"{credential.header}: {credential.scheme}".encode("ascii")  # up to the key
        self._dialect = dialect
        self._max_answer_bytes = max_answer_bytes
        self._where = f"{base.scheme}://{base.netloc}"
        self._setting = setting
        tls = base.scheme == "https"
        port = base.port or (443 if tls else 80)
        self._client = Client(base.hostname or "", port, tls=tls, patience=patience)
        self._base_path = base.path.rstrip("/").encode("ascii")
        self._fixed = header_lines(
            {"Host": base.netloc, "User-Agent": "macroslow", "Accept": "*/*", "Accept-Encoding": "identity"}
        )
        self._sent = header_lines(dialect.sent)

    def with_key(self, key: Secret) -> "Sender":
        """The same destination and connections with another key. ConfigurationError if it cannot be sent."""
        other = copy(self)
        other._key = checked_key(self.name, key)
        other._whose_key = other._key_name = "the key that came with the request"
        return other

    def post(
        self, path: str, body: bytes, headers: Mapping[str, str], deadline_s: float
    ) -> Awaitable[Exchange | NotReached]:
        """Send JSON; whoever gets an exchange must `end` it. Raises ValueError and UpstreamError."""
        head = b"POST %b%b HTTP/1.1\r\n%bContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (
            self._base_path,
            target(path),
            self._lines(headers),
            len(body),
        )
        return self._send(head, body, deadline_s)

    def get(self, path: str, query: str, deadline_s: float) -> Awaitable[Exchange | NotReached]:
        """As `post`, without a body."""
        head = b"GET %b%b HTTP/1.1\r\n%b\r\n" % (self._base_path, target(path, query), self._lines({}))
        return self._send(head, b"", deadline_s)

    async def read(self, exchange: Exchange) -> bytes:
        """A whole body. Raises UpstreamUnavailableError."""
        try:
            body = await exchange.body(self._max_answer_bytes)
        except BrokenOffError as error:
            raise self.broke_off(error) from None
        if body is None:
            raise self.too_long()
        return body

    async def close(self) -> None:
        """Close all connections."""
        self._client.close()

    def reveal(self) -> str:
        """The key's text, or nothing."""
        return self._key.reveal() if self._key else ""

    def broke_off(self, error: BrokenOffError) -> UpstreamUnavailableError:
        """An exchange that ended early."""
        what = "was too slow" if isinstance(error, TooSlowError) else "broke off"
        return UpstreamUnavailableError(
            f"the provider {self.name} {what}",
            upstream=self.name,
            reason=f"{type(error).__name__}: {error}",
        )

    def too_long(self) -> UpstreamUnavailableError:
        """An answer above the bound."""
        return UpstreamUnavailableError(
            f"the provider {self.name} sent more than {self._max_answer_bytes} bytes", upstream=self.name
        )

    def _lines(self, headers: Mapping[str, str]) -> bytes:
        """The headers of every request, and these, and the key."""
        if headers:
            lowered = {name.lower(): value for name, value in headers.items()}
            if not _OURS.isdisjoint(lowered):
                raise ValueError("a header that is not the caller's to set")
            lines = self._fixed + header_lines({**self._dialect.sent, **lowered})
        else:
            lines = self._fixed + self._sent
        if self._key is None:
            return lines
        return b"%b%b%b\r\n" % (lines, self._key_line, self._key.reveal().encode("ascii"))

    async def _send(self, head: bytes, body: bytes, deadline_s: float) -> Exchange | NotReached:
        try:
            exchange = await self._client.send(head, body, deadline_s)
        except NotConnectedError as error:
            return NotReached(f"{self._where}: {error}; see {self._setting} of providers.{self.name}")
        except BrokenOffError as error:
            raise self.broke_off(error) from None
        # A 200 without a coding is what _refuse never refuses.
        if exchange.status != 200 or b"content-encoding" in exchange.headers:
            try:
                self._refuse(exchange)
            except BaseException:
                exchange.end()
                raise
        return exchange

    def _refuse(self, exchange: Exchange) -> None:
        """Raise for an answer whose body must not be read or passed on.

        Not asked about a 200 without a content-encoding.
        """
        if exchange.status in (401, 403):
            raise UpstreamRefusedError(
                f"the provider {self.name} did not accept {self._whose_key}",
                upstream=self.name,
                status=exchange.status,
                fix="whoever owns the key must check it and its rights with the provider",
                reason=f"status {exchange.status} to {self._key_name or self._whose_key}",
            )
        if 300 <= exchange.status < 400:
            raise UpstreamRefusedError(
                f"the provider {self.name} answered with a redirect; none is followed",
                upstream=self.name,
                status=exchange.status,
                fix="the operator must set base_url to the provider's final address",
            )
        compressed = exchange.headers.get(b"content-encoding", b"identity").lower() != b"identity"
        if compressed and exchange.status < 400:  # of errors, what cannot be read is replaced
            raise UpstreamUnavailableError(
                f"the provider {self.name} sent a compressed answer, which was not asked for",
                upstream=self.name,
            )
