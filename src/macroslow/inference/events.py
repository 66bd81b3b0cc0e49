"""Reading a streamed answer as it passes: what every API's stream has in common.

Bytes go on as they came. Most events are not even parsed: their text is looked at only if the usage
never comes. The few that say something (an id, the usage, a failure, the end) are found by a look at
their bytes; what they say is each API's own matter.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum, auto
from typing import Any, Final

import orjson

from macroslow.inference.operation import AnswerUnreadableError, Possible
from macroslow.inference.sse import EventSplitter, data_of, split
from macroslow.metering.encodings import Counter, upper_bound_tokens
from macroslow.metering.prices import TokenCounts

_UNREAD_BYTES: Final = 32 * 1024  # of every stream, also of those whose readers stand still
_COUNTED_CHARACTERS: Final = 64 * 1024  # at once: events of text are small, but one may be 4 MiB
_MAX_ID_CHARACTERS: Final = 256


class Passing(Enum):
    """What becomes of an event: it goes on, it is kept from the client, or it is the last."""

    ON = auto()
    HIDDEN = auto()
    LAST = auto()


class EventReader(ABC):
    """Reads a stream as it passes: `feed` takes its bytes and returns those to send on now.

    The closing event stays in `closing` for the caller to send when the call is settled; nothing is
    read after it. `usage` is the last one that could be believed; `reported_input` as in StreamReader.
    """

    def __init__(self, counter: Counter, possible: Possible) -> None:
        self.usage: TokenCounts | None = None
        self.reported_input: TokenCounts | None = None
        self.closing = b""
        self.id = ""
        self._counter = counter
        self._possible = possible
        self._splitter = EventSplitter()
        self._unread: list[bytes] = []
        self._unread_bytes = 0
        self._counted_tokens = 0

    def feed(self, chunk: bytes) -> bytes:
        """Bytes to send on. Raises EventTooLongError or AnswerUnreadableError."""
        if self.closing:
            return b""
        events = self._splitter.feed(chunk)
        if not events:
            return b""
        passed = b"".join(self._passing(split(events))) if self._speaks(events) else events
        if passed:
            self._unread.append(passed)
            self._unread_bytes += len(passed)
            if self._unread_bytes > _UNREAD_BYTES:
                self.output_tokens()
        return passed

    def _passing(self, events: Iterable[bytes]) -> Iterator[bytes]:
        """Those to send on now, up to the closing one."""
        for event in events:
            passing = self._take(event) if self._speaks(event) else Passing.ON
            if passing is Passing.LAST:
                self.closing = event
                break
            if passing is Passing.ON:
                yield event

    @property
    def complete(self) -> bool:
        """Whether the answer came to its end: closed, or broken off after its usage."""
        return bool(self.closing) or (self.usage is not None and not self._splitter.rest)

    def output_tokens(self) -> int:
        """Tokens of the text that has come so far, by our own count. Raises AnswerUnreadableError.

        It runs between other calls, so of much text at once only the beginning is counted; the rest
        has at most as many tokens as bytes.
        """
        events = split(b"".join(self._unread))  # they are kept as they went on, which holds them once
        data = filter(None, map(data_of, events))
        text = "".join([text for event in data for text in self._texts(parsed_object(event))])
        self._counted_tokens += self._counter.text(text[:_COUNTED_CHARACTERS])
        self._counted_tokens += upper_bound_tokens(text[_COUNTED_CHARACTERS:])
        self._unread.clear()
        self._unread_bytes = 0
        return self._counted_tokens

    @abstractmethod
    def _speaks(self, events: bytes) -> bool:
        """Whether any of these may say something, by their bytes. Called for all, so it must be quick."""

    @abstractmethod
    def _hear(self, said: Mapping[str, Any]) -> Passing:
        """Take note of what an event says. Raises AnswerUnreadableError if it is a failure."""

    @abstractmethod
    def _texts(self, said: Mapping[str, Any]) -> Iterator[str]:
        """What the model wrote in an event, of whatever shape that is."""

    def _take(self, event: bytes) -> Passing:
        data = data_of(event)
        return self._hear(parsed_object(data)) if data else Passing.ON

    def _believe(self, usage: TokenCounts | None) -> None:
        self.usage = usage or self.usage


def parsed_object(data: bytes) -> dict[str, Any]:
    """The JSON object in a provider's answer or event. Raises AnswerUnreadableError."""
    try:
        parsed = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise AnswerUnreadableError("the provider's answer is not JSON") from error
    if not isinstance(parsed, dict):
        raise AnswerUnreadableError("the provider's answer is not an object")
    return parsed


def id_in(said: Mapping[str, Any]) -> str:
    """The answer's own id, as far as it is one."""
    given = said.get("id")
    return given if isinstance(given, str) and len(given) <= _MAX_ID_CHARACTERS else ""


def list_in(said: Mapping[str, Any], name: str) -> list[Any]:
    """The list under `name`; empty if there is none."""
    value = said.get(name)
    return value if isinstance(value, list) else []


def dict_in(said: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The object under `name`; empty if there is none."""
    return as_dict(said.get(name))


def as_dict(value: object) -> dict[str, Any]:
    """`value` if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def texts_in(said: Mapping[str, Any], *names: str) -> Iterator[str]:
    """Those of the members `names` that are texts."""
    for name in names:
        value = said.get(name)
        if isinstance(value, str):
            yield value
