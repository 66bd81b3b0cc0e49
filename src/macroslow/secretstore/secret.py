"""A secret text as a value that is hard to leak by accident.

Its text comes out through `reveal` alone, so that a search for that word finds every place that
touches one.
"""

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
