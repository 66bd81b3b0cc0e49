"""Keys and entropy for the tests of the recipes."""

import hashlib

import pytest

from macroslow.crypto.hybrid import HybridPrivateKey, KeyUse


class CountedEntropy:
    """Entropy that repeats from run to run, and never within one."""

    def __init__(self, name: str = "tests") -> None:
        self._name = name
        self._calls = 0

    def random(self, size_bytes: int) -> bytes:
        self._calls += 1
        return hashlib.shake_256(f"{self._name}/{self._calls}".encode()).digest(size_bytes)


@pytest.fixture(scope="session")
def entropy() -> CountedEntropy:
    return CountedEntropy()


@pytest.fixture(scope="session")
def document_key(entropy: CountedEntropy) -> HybridPrivateKey:
    return HybridPrivateKey.generate(KeyUse.DOCUMENT, entropy)


@pytest.fixture(scope="session")
def other_document_key(entropy: CountedEntropy) -> HybridPrivateKey:
    return HybridPrivateKey.generate(KeyUse.DOCUMENT, entropy)


@pytest.fixture(scope="session")
def answer_key(entropy: CountedEntropy) -> HybridPrivateKey:
    return HybridPrivateKey.generate(KeyUse.ANSWER, entropy)


@pytest.fixture(scope="session")
def history_key(entropy: CountedEntropy) -> HybridPrivateKey:
    return HybridPrivateKey.generate(KeyUse.HISTORY, entropy)
