"""A secret as a value that is hard to leak by accident.

It does not print, format, pickle, copy, hash or compare with `==`; its text comes out through
`reveal` alone, so that a search for that word finds every place that touches one. This guards
against accidents, not against code in the same process.
"""

import hmac
from typing import ClassVar, Final, NoReturn


class Secret:
    """One secret text. Call `reveal` at the last moment and keep the result in no attribute."""

    __slots__ = ("_text",)

    __hash__: ClassVar[None]  # type: ignore[assignment]

    def __init__(self, text: str) -> None:
        self._text: Final = text

    def reveal(self) -> str:
        """Return the text itself."""
        return self._text

    def matches(self, other: str) -> bool:
        """Whether `other` is this secret, in time that depends on the length of `other` alone."""
        return hmac.compare_digest(_octets(self._text), _octets(other))

    def __repr__(self) -> str:
        return "Secret(…)"

    def __eq__(self, other: object) -> NoReturn:
        # Not `==`: the time of the comparison would leak the text.
        raise TypeError("secrets are compared with Secret.matches")

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a secret is neither pickled nor copied")


def _octets(text: str) -> bytes:
    """Bytes of any text, including what the environment holds that is not UTF-8."""
    return text.encode("utf-8", "surrogatepass")
