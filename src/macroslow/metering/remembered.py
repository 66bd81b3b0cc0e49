"""Counts of texts that were counted before: an agent sends all of its conversation again with every turn.

Of a text only a digest is kept, over whose it is, the vocabulary and the text. So no text outlives its
request here, and how soon a count is there tells nobody what somebody else has sent. The counts that
were not asked for lately are forgotten. Safe in several threads.
"""

import hashlib
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from macroslow.metering.encodings import Counter, Counters
from macroslow.values import value

MOST_COUNTS: Final = 16_384  # of each generation; some 3 MiB


class Remembered:
    """Two generations of counts: what the older one is asked for passes to the younger."""

    def __init__(self, most: int = MOST_COUNTS) -> None:
        """At most twice `most` counts are kept."""
        self._most = most
        self._young: dict[bytes, int] = {}
        self._old: dict[bytes, int] = {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def tokens(self, owner: bytes, texts: Iterable[str], counter: Counter) -> int:
        """Tokens of all `texts`, of each by `counter` if `owner` has not had it counted lately."""
        tokens = 0
        for text in texts:
            key = hashlib.sha256(owner + text.encode()).digest()
            known = self._young.get(key)
            if known is None:
                known = self._old.get(key)
                if known is None:
                    known = counter.text(text)
                if len(self._young) >= self._most:
                    self._old, self._young = self._young, {}
                self._young[key] = known
            tokens += known
        return tokens


@value
class RememberedCounters:
    """`counters` as one principal uses them."""

    counters: Counters
    remembered: Remembered
    principal: str

    def texts(self, encoding: str, texts: Iterable[str]) -> int:
        """As `Counters.texts`."""
        return self.remembered.tokens(_owner(encoding, self.principal), texts, self.counters[encoding])


@lru_cache(maxsize=4096)
def _owner(encoding: str, principal: str) -> bytes:
    """Of one length, so that no name goes on in a text; no vocabulary has a slash in its name."""
    return hashlib.sha256(f"{encoding}/{principal}".encode()).digest()
