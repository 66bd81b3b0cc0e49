"""Counting tokens offline: tiktoken with a vocabulary that comes with this package.

Text is counted exactly. What providers wrap around it (message and tool framing) follows the rules
of OpenAI's cookbook, "How to count tokens with tiktoken", sections 6 and 7: 3 tokens a message, 1
more with a name, 3 to prime the reply. A tool is counted as its compact JSON, which is more than
the rendering that the cookbook describes and covers the nested schemas that it does not. So a count
of tools errs on the high side; the provider's own figure settles the call.

No network and no files: the bytes of the vocabulary come in as an argument and are checked against
the digest that tiktoken itself expects. Counting is pure; text from an adversary is its input.
"""

import base64
import gzip
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import orjson
import tiktoken

from macroslow.errors import ConfigurationError
from macroslow.metering.images import Image

OFF_LOOP_BYTES: Final = 32 * 1024
"""A body above this is parsed and counted in a thread: it may take milliseconds."""

O200K_BASE_SHA256: Final = "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d"

# Longer text is counted in parts. The expression engine gives up (a Rust panic) near a million
# characters of whitespace. A cut changes the count by a token or two, mostly upwards.
_PART_CHARACTERS: Final = 100_000

_REPLY_TOKENS: Final = 3
_MESSAGE_TOKENS: Final = 3
_NAME_TOKENS: Final = 1
_ROLE_TOKENS: Final = 1  # each role's name is one token of o200k_base; a test holds it
_TOOL_CALL_TOKENS: Final = 8
_TOOL_TOKENS: Final = 7
_TOOLS_END_TOKENS: Final = 12

_O200K_BASE_PATTERN: Final = "|".join(
    (
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
        r"\p{N}{1,3}",
        r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    )
)


@dataclass(frozen=True, slots=True)
class Prompt:
    """What goes into a model: texts to count, the tokens of the framing around them, and images."""

    texts: tuple[str, ...]
    framing_tokens: int
    images: tuple[Image, ...] = ()


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
        """Tokens that a provider will count as input for `prompt`."""
        return prompt.framing_tokens + self.texts(prompt.texts)

    def _part(self, text: str) -> int:
        try:
            return len(self.encoder.encode_ordinary(text))
        except BaseException as error:
            # A panic in Rust arrives as a class that cannot be imported and is no Exception.
            if type(error).__name__ != "PanicException":
                raise
            return upper_bound_tokens(text)


def load(vocabulary_gz: bytes) -> Counter:
    """A counter for o200k_base, from the gzipped file in `vocabularies/`. Takes about half a second.

    Raises ConfigurationError unless the bytes are the published vocabulary.
    """
    try:
        vocabulary = gzip.decompress(vocabulary_gz)
    except (OSError, EOFError) as error:
        raise ConfigurationError("the vocabulary o200k_base cannot be decompressed") from error
    if hashlib.sha256(vocabulary).hexdigest() != O200K_BASE_SHA256:
        raise ConfigurationError("the vocabulary o200k_base is not the published one")
    lines = (line.split() for line in vocabulary.splitlines())
    ranks = {base64.b64decode(token): int(rank) for token, rank in lines}
    encoding = tiktoken.Encoding(
        "o200k_base", pat_str=_O200K_BASE_PATTERN, mergeable_ranks=ranks, special_tokens={}
    )
    # Its core alone: the Encoding keeps a second copy of the vocabulary in Python, some 25 MiB.
    return Counter(encoding._core_bpe)


def upper_bound_tokens(text: str) -> int:
    """No byte-pair vocabulary makes more tokens of a text than it has bytes of UTF-8."""
    return len(text.encode())


def prompt_of(
    messages: Sequence[Mapping[str, Any]],
    tools: Sequence[Mapping[str, Any]] = (),
    response_format: Mapping[str, Any] | None = None,
) -> Prompt:
    """The countable form of a chat request in OpenAI's shape that has been checked before."""
    texts: list[str] = []
    framing_tokens = _REPLY_TOKENS
    for message in messages:
        framing_tokens += _message(message, texts)
    if tools:
        framing_tokens += _TOOLS_END_TOKENS + _TOOL_TOKENS * len(tools)
        texts += [orjson.dumps(tool["function"]).decode() for tool in tools]
    if response_format is not None and "json_schema" in response_format:
        framing_tokens += _TOOL_TOKENS
        texts.append(orjson.dumps(response_format["json_schema"]).decode())
    return Prompt(tuple(texts), framing_tokens)


def _message(message: Mapping[str, Any], texts: list[str]) -> int:
    """Add the texts of one message to `texts`; return the tokens of its framing."""
    framing_tokens = _MESSAGE_TOKENS + _ROLE_TOKENS
    for member, value in message.items():
        if member == "content" and isinstance(value, list):
            texts += [part[part["type"]] for part in value]
        elif member == "tool_calls":
            for call in value:
                framing_tokens += _TOOL_CALL_TOKENS
                texts += (call["function"]["name"], call["function"]["arguments"], call["id"])
        elif member == "name":
            framing_tokens += _NAME_TOKENS
            texts.append(value)
        elif member != "role":
            texts.append(value)
    return framing_tokens
