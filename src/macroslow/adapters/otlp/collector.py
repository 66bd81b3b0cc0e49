"""One collector: POSTs a batch once and says what became of it.

No redirects, no cookies, no proxies from the environment: the batch and the secrets in its headers go to
the operator's host alone, and of the answer at most MAX_ANSWER_BYTES are read.

Source: OTLP specification 1.9, "OTLP/HTTP Request" and "OTLP/HTTP Response".
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

import aiohttp
import orjson
from yarl import URL

PATH: Final = "/v1/traces"
TIMEOUT: Final = aiohttp.ClientTimeout(total=10, sock_connect=5)
RETRYABLE: Final = frozenset({429, 502, 503, 504})
MAX_ANSWER_BYTES: Final = 16 * 1024
MAX_RETRY_AFTER_S: Final = 60


@dataclass(frozen=True, slots=True)
class Taken:
    """It has the batch, all but `rejected` spans, which it never wants."""

    rejected: int = 0


@dataclass(frozen=True, slots=True)
class Later:
    """It did not take the batch now, or nobody knows. `after_s` is what it asked for."""

    reason: str
    after_s: int | None = None


@dataclass(frozen=True, slots=True)
class Never:
    """It does not want this batch."""

    reason: str


@dataclass(frozen=True, slots=True)
class Collector:
    """`headers` hold secrets; only the host is ever told."""

    endpoint: str
    headers: Mapping[str, str] = field(repr=False)
    session: aiohttp.ClientSession = field(repr=False)

    @property
    def name(self) -> str:
        """The collector's host."""
        return urlsplit(self.endpoint).hostname or ""

    async def post(self, body: bytes) -> Taken | Later | Never:
        """Send one batch, an ExportTraceServiceRequest in JSON."""
        headers = {**self.headers, "content-type": "application/json", "accept-encoding": "identity"}
        try:
            async with self.session.post(
                URL(self.endpoint + PATH, encoded=True),
                data=body,
                headers=headers,
                allow_redirects=False,
                timeout=TIMEOUT,
            ) as answer:
                return await _outcome(answer)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return Later(type(error).__name__)  # not its text, which holds the URL


async def _outcome(answer: aiohttp.ClientResponse) -> Taken | Later | Never:
    if 200 <= answer.status < 300:
        return Taken(_rejected(await _read(answer)))
    reason = f"status {answer.status}"
    if answer.status not in RETRYABLE:
        return Never(reason)
    asked = answer.headers.get("retry-after", "")
    if not (asked.isascii() and asked.isdigit() and len(asked) < 10):
        return Later(reason)
    return Later(reason, min(MAX_RETRY_AFTER_S, int(asked)))


async def _read(answer: aiohttp.ClientResponse) -> bytes:
    """The body; nothing of one that is compressed or too long, which says nothing that we need."""
    if answer.headers.get("content-encoding", "identity").lower() != "identity":
        return b""
    found = b""
    async for chunk in answer.content.iter_chunked(MAX_ANSWER_BYTES):
        found += chunk
        if len(found) > MAX_ANSWER_BYTES:
            return b""
    return found


def _rejected(body: bytes) -> int:
    """How many spans a partial success left out; 0 for every answer that is not one."""
    try:
        said = orjson.loads(body)["partialSuccess"]["rejectedSpans"]
        return max(0, int(str(said)[:18]))  # an int64 is a string in this encoding, a number in some
    except (ValueError, KeyError, TypeError):
        return 0
