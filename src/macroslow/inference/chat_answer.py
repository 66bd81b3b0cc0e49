"""Reading a provider's chat answer: what it says it used, and the text that can be counted.

Answers pass to the client byte for byte; here they are only read. A provider may be wrong or hostile:
a usage that this request could not have had (negative, fractions, more output than was allowed,
more input than the model takes) is treated as missing. Zero is a value.

Source: OpenAI API reference, "The chat completion object" and "The chat completion chunk object".
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from macroslow.inference.sse import EventSplitter, data_of
from macroslow.metering.catalogue import TokenCounts
from macroslow.metering.count import Counter

_DONE: Final = b"[DONE]"
_UNREAD_BYTES: Final = 64 * 1024
_SPOKEN: Final = ("content", "refusal", "reasoning_content")


class AnswerUnreadableError(ValueError):
    """The provider's answer is not a chat completion, or it reports a failure in the middle."""


@dataclass(frozen=True, slots=True)
class Possible:
    """The most input and output tokens that a request can use; a report above is not believed."""

    input_tokens: int
    output_tokens: int


@dataclass(frozen=True, slots=True)
class WholeAnswer:
    """A plain answer, parsed: the usage that it reports, if one can be believed."""

    usage: TokenCounts | None
    parsed: Mapping[str, Any]

    @property
    def texts(self) -> tuple[str, ...]:
        """Every text that the model wrote."""
        return tuple(_texts(self.parsed))


def read_answer(body: bytes, possible: Possible) -> WholeAnswer:
    """Read a plain answer. Raises AnswerUnreadableError unless it is a JSON object."""
    parsed = _object(body)
    return WholeAnswer(_usage(parsed.get("usage"), possible), parsed)


class StreamReader:
    """Reads a stream as it passes: `feed` takes its bytes and returns those to send on now.

    The chunk with the usage is kept from a client that did not ask for it. The closing event stays
    in `closing` for the caller to send when the call is settled; nothing is read after it.
    """

    def __init__(self, counter: Counter, possible: Possible, *, wants_usage: bool) -> None:
        self.usage: TokenCounts | None = None
        self.closing = b""
        self._counter = counter
        self._possible = possible
        self._wants_usage = wants_usage
        self._splitter = EventSplitter()
        self._unread: list[bytes] = []
        self._unread_bytes = 0
        self._counted_tokens = 0

    def feed(self, chunk: bytes) -> bytes:
        """Bytes to send on. Raises EventTooLongError or AnswerUnreadableError."""
        passed = []
        for event in self._splitter.feed(chunk):
            data = data_of(event)
            if data == _DONE:
                self.closing = event
                break
            if not data or self._read(data):
                passed.append(event)
        return b"".join(passed)

    @property
    def complete(self) -> bool:
        """Whether the answer came to its end: closed, or broken off after its usage."""
        return bool(self.closing) or (self.usage is not None and not self._splitter.rest)

    def output_tokens(self) -> int:
        """Tokens of the text that has come so far, by our own count."""
        texts = [text for data in self._unread for text in _texts(_object(data))]
        self._counted_tokens += self._counter.text("".join(texts))
        self._unread.clear()
        self._unread_bytes = 0
        return self._counted_tokens

    def _read(self, data: bytes) -> bool:
        """Take note of one chunk; whether the client is to see it."""
        # Most chunks need no parsing: their text is counted only if the usage never comes.
        self._unread.append(data)
        self._unread_bytes += len(data)
        if self._unread_bytes > _UNREAD_BYTES:
            self.output_tokens()
        if b'"usage"' not in data and b'"error"' not in data:
            return True
        parsed = _object(data)
        if parsed.get("error") is not None:
            raise AnswerUnreadableError("the provider reports a failure within the stream")
        self.usage = _usage(parsed.get("usage"), self._possible) or self.usage
        return self._wants_usage or parsed.get("choices") != [] or not isinstance(parsed.get("usage"), dict)


def _object(data: bytes) -> dict[str, Any]:
    try:
        parsed = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise AnswerUnreadableError("the provider's answer is not JSON") from error
    if not isinstance(parsed, dict):
        raise AnswerUnreadableError("the provider's answer is not an object")
    return parsed


def _usage(reported: object, possible: Possible) -> TokenCounts | None:
    """The usage in `reported`, or None if there is none that can be believed."""
    if not isinstance(reported, dict):
        return None
    input_tokens = _count(reported.get("prompt_tokens"), possible.input_tokens)
    output_tokens = _count(reported.get("completion_tokens"), possible.output_tokens)
    if input_tokens is None or output_tokens is None:
        return None
    details = reported.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else 0
    return TokenCounts(input_tokens, output_tokens, _count(cached, input_tokens) or 0)


def _count(value: object, most: int) -> int | None:
    return value if type(value) is int and 0 <= value <= most else None


def _texts(parsed: Mapping[str, Any]) -> Iterator[str]:
    """Every text that the model wrote, in an answer or a chunk of one, of whatever shape it is."""
    for choice in _list(parsed.get("choices")):
        message = _dict(_dict(choice).get("message") or _dict(choice).get("delta"))
        written = [message.get(member) for member in _SPOKEN]
        for call in _list(message.get("tool_calls")):
            function = _dict(_dict(call).get("function"))
            written += [function.get("name"), function.get("arguments")]
        yield from (text for text in written if isinstance(text, str))


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
