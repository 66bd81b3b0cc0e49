"""Ids of images as agents have them: what was found, for whom, under our seal.

    PROVIDER:ID:TRACE:TAG        TAG: 16 characters of base64url, HMAC-SHA256 under a key of the gateway's own

So that a use can be told of what a search of the same principal found, and of nothing else, no memory is
needed, and any process of the gateway can read what another gave out.

Source: RFC 2104 (HMAC).
"""

import hmac
from dataclasses import dataclass, field
from typing import Final

from macroslow.crypto import base64url
from macroslow.errors import NotFoundError
from macroslow.images.search import Image

MAX_ID_CHARACTERS: Final = 700
_PURPOSE: Final = b"macroslow image ids v1"  # with its spaces it is no key's id and secret
_TAG_BYTES: Final = 12
_NO_REPORT: Final = "~"  # in place of a trace, where a provider wants no report


@dataclass(frozen=True, slots=True)
class Known:
    """What an id says. `trace` None: the provider wants no report of a use."""

    provider: str
    image_id: str
    trace: str | None


@dataclass(frozen=True, slots=True)
class ImageIds:
    """Gives ids out and reads them again."""

    key: bytes = field(repr=False)

    @classmethod
    def of(cls, pepper: bytes) -> "ImageIds":
        """Under a key of its own, made of the gateway's pepper."""
        return cls(hmac.digest(pepper, _PURPOSE, "sha256"))

    def give(self, principal: str, provider: str, image: Image) -> str:
        """The id of `image` for `principal`."""
        trace = _NO_REPORT if image.trace is None else image.trace
        text = f"{provider}:{image.id}:{trace}"
        return f"{text}:{self._tag(principal, text)}"

    def read(self, principal: str, text: str) -> Known:
        """What was given out; NotFoundError for what was not, and for another principal's."""
        said, _, tag = text[: MAX_ID_CHARACTERS + 1].rpartition(":")
        parts = said.split(":")
        if (
            len(text) > MAX_ID_CHARACTERS
            or len(parts) != 3
            or not hmac.compare_digest(
                tag.encode("utf-8", "surrogatepass"), self._tag(principal, said).encode()
            )
        ):
            raise NotFoundError(
                "no such image", fix="search_images first, and pass the id of one of its images as it is"
            )
        provider, image_id, trace = parts
        return Known(provider, image_id, None if trace == _NO_REPORT else trace)

    def _tag(self, principal: str, text: str) -> str:
        name = principal.encode("utf-8", "surrogatepass")
        message = len(name).to_bytes(4, "big") + name + text.encode("utf-8", "surrogatepass")
        return base64url.encode(hmac.digest(self.key, message, "sha256")[:_TAG_BYTES])
