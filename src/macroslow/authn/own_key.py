"""A caller's own key with a provider, brought along for one request ("bring your own key").

It is held in memory for as long as the request lasts, is bound to the one provider that the operator
named, and never stands in for the operator's key or the other way round.
"""

import re
from typing import Final

from macroslow.crypto.guarded import Guarded

_FORM: Final = re.compile(rb"[!-~]{8,512}")


class OwnKey(Guarded):
    """The key's text, and the provider that alone may see it."""

    __slots__ = ("_text", "provider")

    def __init__(self, text: str, provider: str) -> None:
        self._text: Final = text
        self.provider: Final = provider

    @classmethod
    def read(cls, credential: bytes, provider: str) -> "OwnKey | None":
        """The key that a header holds; None if it cannot be one."""
        return cls(credential.decode("ascii"), provider) if _FORM.fullmatch(credential) else None

    def reveal(self) -> str:
        """Return the text itself."""
        return self._text
