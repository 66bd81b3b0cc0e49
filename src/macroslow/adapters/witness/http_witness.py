"""One witness over HTTP: POSTs add-checkpoint once. No redirects, cookies, or proxies of the environment.

Source: C2SP tlog-witness, "add-checkpoint". What the answer is worth is for `tlog.witness` to say.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import aiohttp
from yarl import URL

from macroslow.errors import UpstreamUnavailableError, VerificationError
from macroslow.tlog.witness import (
    MAX_ANSWER_BYTES,
    MAX_SIZE_BYTES,
    PATH,
    SIZE_TYPE,
    Answer,
    Cosigned,
    Inconsistent,
    OtherSize,
    parse_size,
    request_body,
)

TIMEOUT: Final = aiohttp.ClientTimeout(total=10, sock_connect=5)
_HEADERS: Final = {"content-type": "text/plain; charset=utf-8", "accept-encoding": "identity"}
_SAID: Final = {
    400: "it does not understand the checkpoint (status 400)",
    403: "it does not know the log's key (status 403): give it the key that `macroslow audit key` prints",
    404: "it does not know the log's origin (status 404), or nothing is at this URL",
    429: "it is asked too often (status 429)",
}


@dataclass(frozen=True, slots=True)
class HTTPWitness:
    """Implements `tlog.witness.Witness`. `url` is its submission prefix."""

    name: str
    url: str
    session: aiohttp.ClientSession = field(repr=False)
    timeout: aiohttp.ClientTimeout = TIMEOUT

    async def add_checkpoint(self, old_size: int, proof: Sequence[bytes], checkpoint: bytes) -> Answer:
        """Ask once. UpstreamUnavailableError for every end but an answer of the protocol."""
        try:
            async with self.session.post(
                URL(f"{self.url}/{PATH}", encoded=True),
                data=request_body(old_size, proof, checkpoint),
                headers=_HEADERS,
                allow_redirects=False,
                timeout=self.timeout,
            ) as response:
                return await self._answer(response)
        except TimeoutError:
            raise self._unavailable("it does not answer in time") from None
        except VerificationError as error:
            raise self._unavailable(error.detail) from None
        except (aiohttp.ClientError, OSError) as error:
            raise self._unavailable(f"it cannot be reached ({type(error).__name__})") from None

    async def _answer(self, response: aiohttp.ClientResponse) -> Answer:
        if response.headers.get("content-encoding", "identity") != "identity":
            raise self._unavailable("its answer is compressed, which nobody asked for")
        match response.status:
            case 200:
                return Cosigned(await self._body(response, MAX_ANSWER_BYTES))
            case 409 if response.content_type == SIZE_TYPE:
                return OtherSize(parse_size(await self._body(response, MAX_SIZE_BYTES)))
            case 422:
                return Inconsistent()
            case status:
                raise self._unavailable(_SAID.get(status, f"it answered with status {status}"))

    async def _body(self, response: aiohttp.ClientResponse, limit_bytes: int) -> bytes:
        raw = b""
        while len(raw) <= limit_bytes and (more := await response.content.read(limit_bytes + 1)):
            raw += more
        if len(raw) > limit_bytes:
            raise self._unavailable("its answer is larger than any of the protocol")
        return raw

    def _unavailable(self, reason: str) -> UpstreamUnavailableError:
        return UpstreamUnavailableError(
            f"the witness {self.name} did not cosign: {reason}", upstream=self.name, reason=reason
        )
