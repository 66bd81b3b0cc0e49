"""Text to tokens: tiktoken's engine with vocabularies that come with this package.

No network and no files: the bytes of a vocabulary come in as an argument and are checked against the
digest that tiktoken itself expects. Counting is pure; text from an adversary is its input.
"""

import gzip
import hashlib
from binascii import a2b_base64
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from typing import Final, Protocol

# The engine alone: an Encoding keeps a second copy of the vocabulary in Python, some 25 MiB, and
# sorts it anew, which takes as long as all the rest of loading it.
from tiktoken._tiktoken import CoreBPE

from macroslow.errors import ConfigurationError
from macroslow.metering.prompts import Prompt

# Longer text is counted in parts. The expression engine gives up (a Rust panic) near a million
# characters of whitespace. A cut changes the count by a token or two, mostly upwards.
_PART_CHARACTERS: Final = 100_000


@dataclass(frozen=True, slots=True)
class Published:
    """What identifies an encoding: the digest of its vocabulary, and the expression that cuts words."""

    sha256: str
    pattern: str


PUBLISHED: Final[Mapping[str, Published]] = {
    "o200k_base": Published(
        "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
        "|".join(
            (
                r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
                r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
                r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
                r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
                r"\p{N}{1,3}",
                r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
                r"\s*[\r\n]+",
                r"\s+(?!\S)",
                r"\s+",
            )
        ),
    ),
    "cl100k_base": Published(
        "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+"
        r"|\s++$|\s*[\r\n]|\s+(?!\S)|\s",
    ),
}
"""The encodings that can be counted, by name."""


class Encoder(Protocol):
    """Splits text into tokens of one vocabulary; control sequences in it are ordinary text."""

    def encode_ordinary(self, text: str) -> list[int]: ...


@dataclass(frozen=True, slots=True)
class Counter:
    """Counts tokens of one vocabulary. Safe in several threads; releases the interpreter lock."""

    encoder: Encoder

    def text(self, text: str) -> int:
        """Tokens of `text`: exact up to 100,000 characters, within a few above."""
        if len(text) <= _PART_CHARACTERS:
            return self._part(text)
        cuts = range(0, len(text), _PART_CHARACTERS)
        return sum(self._part(text[at : at + _PART_CHARACTERS]) for at in cuts)

    def texts(self, texts: Iterable[str]) -> int:
        """Tokens of all `texts`, each counted by itself."""
        return sum(self.text(text) for text in texts)

    def prompt(self, prompt: Prompt) -> int:
        """Tokens of all texts of `prompt`, and of the framing around them. Images have no text."""
        return prompt.framing_tokens + self.texts(prompt.texts)

    def _part(self, text: str) -> int:
        try:
            return len(self.encoder.encode_ordinary(text))
        except BaseException as error:
            # A panic in Rust arrives as a class that cannot be imported and is no Exception.
            if type(error).__name__ != "PanicException":
                raise
            return upper_bound_tokens(text)


@dataclass(frozen=True, slots=True)
class Counters:
    """Counters by the name of their encoding, each loaded when it is first asked for, once.

    `read` gives the bytes of NAME's file in `vocabularies/`. A loaded vocabulary holds 25 to 45 MiB, and
    loading it takes a third of a second: who serves looks whether it is there, and if not asks off the
    loop. Two threads that ask at once may both load; either result is good.
    """

    read: Callable[[str], bytes]
    _loaded: dict[str, Counter] = field(default_factory=dict, init=False, repr=False)

    def __contains__(self, encoding: str) -> bool:
        """Whether `encoding` is loaded."""
        return encoding in self._loaded

    def __getitem__(self, encoding: str) -> Counter:
        """The counter for `encoding`. Raises ConfigurationError (see `load`)."""
        counter = self._loaded.get(encoding)
        if counter is None:
            counter = self._loaded[encoding] = load(self.read(encoding), encoding)
        return counter

    def texts(self, encoding: str, texts: Iterable[str]) -> int:
        """Tokens of all `texts`, each counted by itself. Raises ConfigurationError (see `load`)."""
        return self[encoding].texts(texts)


def vocabulary_file(encoding: str) -> str:
    """The name of an encoding's file in `vocabularies/`."""
    return f"{encoding}.tiktoken.gz"


def load(vocabulary_gz: bytes, encoding: str = "o200k_base") -> Counter:
    """A counter for a member of PUBLISHED, from its gzipped file. Takes about a third of a second.

    Raises ConfigurationError unless the bytes are the published vocabulary.
    """
    published = PUBLISHED[encoding]
    try:
        vocabulary = gzip.decompress(vocabulary_gz)
    except (OSError, EOFError) as error:
        raise ConfigurationError(f"the vocabulary {encoding} cannot be decompressed") from error
    if hashlib.sha256(vocabulary).hexdigest() != published.sha256:
        raise ConfigurationError(f"the vocabulary {encoding} is not the published one")
    # Lines of a token in Base64 and its rank. They stand in order of their ranks, from 0; a test holds it.
    # One at a time: 400,000 words at once would be the highest that memory ever stands.
    ranks = {a2b_base64(line.partition(b" ")[0]): rank for rank, line in enumerate(BytesIO(vocabulary))}
    return Counter(CoreBPE(ranks, {}, published.pattern))


def upper_bound_tokens(text: str) -> int:
    """No byte-pair vocabulary makes more tokens of a text than it has bytes of UTF-8."""
    return len(text) if text.isascii() else len(text.encode())
