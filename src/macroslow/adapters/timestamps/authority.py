"""One time-stamping authority: POSTs a request, believes nothing of the answer that does not verify.

No redirects, no cookies, no proxies from the environment.

Source: RFC 3161, section 3.4 (transport over HTTP).
"""

from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from macroslow.crypto.timestamps import MAX_RESPONSE_BYTES, Authorities, query
from macroslow.errors import UpstreamUnavailableError, VerificationError
from macroslow.ports import NS_PER_S, Clock

TIMEOUT: Final = aiohttp.ClientTimeout(total=20, sock_connect=5)
_HEADERS: Final = {
    "content-type": "application/timestamp-query",
    "accept": "application/timestamp-reply",
    "accept-encoding": "identity",
}


@dataclass(frozen=True, slots=True)
class TimestampAuthority:
    """`url` is the operator's; its path may be a secret, so only the host is ever told."""

    url: str = field(repr=False)
    believed: Authorities
    session: aiohttp.ClientSession = field(repr=False)
    clock: Clock = field(repr=False)
    timeout: aiohttp.ClientTimeout = TIMEOUT

    @property
    def name(self) -> str:
        """The authority's host."""
        return urlsplit(self.url).hostname or ""

    async def stamp(self, message: bytes) -> bytes:
        """Return the response with a time stamp over SHA-256 of `message`, verified.

        UpstreamUnavailableError, whose `reason` says why, if there is none that verifies.
        """
        asked = query(message)
        try:
            response = await self._post(asked.der)
            self.believed.verify(response, message, asked.nonce, now_s=self._now_s())
        except VerificationError as error:
            raise self._unavailable(error.detail) from None
        except TimeoutError:
            raise self._unavailable(f"no whole answer in {self.timeout.total:g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise self._unavailable(type(error).__name__) from None  # not its text, which holds the URL
        return response

    def dated(self, response: bytes, message: bytes) -> int:
        """Return the time of a kept stamp in seconds; VerificationError if it does not verify now."""
        return self.believed.verify(response, message, now_s=self._now_s())

    def _now_s(self) -> int:
        return self.clock.now_ns() // NS_PER_S

    async def _post(self, der: bytes) -> bytes:
        async with self.session.post(
            URL(self.url, encoded=True),
            data=der,
            headers=_HEADERS,
            allow_redirects=False,
            timeout=self.timeout,
        ) as answer:
            if answer.status != 200:
                raise self._unavailable(f"status {answer.status}")
            response = b""
            while len(response) <= MAX_RESPONSE_BYTES and (more := await answer.content.read(4096)):
                response += more
            return response

    def _unavailable(self, reason: str) -> UpstreamUnavailableError:
        return UpstreamUnavailableError(
            f"{self.name} gave no time stamp ({reason})", upstream=self.name, reason=reason, nothing_done=True
        )
