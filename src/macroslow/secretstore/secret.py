"""A secret text as a value that is hard to leak by accident.

Its text comes out through `reveal` alone, so that a search for that word finds every place that
touches one.
"""

import hmac
from typing import Final

from macroslow.crypto.guarded import Guarded


class Secret(Guarded):
    """One secret text. Call `reveal` at the last moment and keep the result in no attribute."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text: Final = text

    def reveal(self) -> str:
        """Return the text itself."""
        return self._text

    def matches(self, other: str) -> bool:
        """Whether `other` is this secret, in time that depends on the length of `other` alone."""
        return hmac.compare_digest(_octets(self._text), _octets(other))


def _octets(text: str) -> bytes:
    """Bytes of any text, including what the environment holds that is not UTF-8."""
    return text.encode("utf-8", "surrogatepass")
