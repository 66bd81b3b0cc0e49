"""Which API keys the emulator takes. It keeps no key: digests of the accepted ones, nothing of others."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

TEST_PREFIX: Final = "sk-emulator-"
ANY_PREFIX: Final = "sk-"
ADMIN_TEST_PREFIX: Final = "sk-emulator-admin-"
ADMIN_PREFIXES: Final = (ADMIN_TEST_PREFIX, "sk-admin-", "sk-ant-admin")


def digest_of(key: str) -> str:
    """The SHA-256 of a key in hex, by which the statistics name it."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


@dataclass(frozen=True, slots=True)
class AcceptedKeys:
    """Keys with one of these digests, or else all that begin with a prefix and go on after it."""

    digests: frozenset[str] = frozenset()
    prefixes: tuple[str, ...] = (TEST_PREFIX,)

    @classmethod
    def only(cls, keys: Iterable[str]) -> "AcceptedKeys":
        """Accept just these keys."""
        return cls(digests=frozenset(digest_of(key) for key in keys))

    def accept(self, key: str) -> bool:
        """Whether `key` is accepted. Digests are compared, so the time taken says nothing about a key."""
        if self.digests:
            return digest_of(key) in self.digests
        return key.startswith(self.prefixes) and key not in self.prefixes


def masked(key: str) -> str:
    """A key as OpenAI's refusal quotes it: its ends, the middle starred."""
    if len(key) < 16:
        return "*" * len(key)
    return f"{key[:8]}{'*' * min(len(key) - 12, 32)}{key[-4:]}"
