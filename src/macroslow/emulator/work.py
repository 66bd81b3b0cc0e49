"""A request on its way through the emulator: understood and answered by an API, then admitted, then sent.

Each API (chat completions, responses, embeddings, messages) turns bytes into a `Work`; what follows is
the same for all of them. What differs between providers is the `ServedAPI`: keys, headers, errors.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, NoReturn, Protocol

from macroslow.emulator.ask import Ask
from macroslow.emulator.limits import Exceeded, Kind, View
from macroslow.metering.models import Model

Headers = Sequence[tuple[bytes, bytes]]
Header = Callable[[bytes], str]
"""Reads the header of a request by its name in lower case; empty if there is none."""


class Refusal(Protocol):
    """One error answer."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Headers: ...

    def body(self, request_id: str) -> bytes: ...


class RefusedError(Exception):
    """Carries a refusal up to the application; it never leaves the emulator."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal)
        self.refusal = refusal


def refuse(refusal: Refusal) -> NoReturn:
    """Raise `refusal`."""
    raise RefusedError(refusal)


class ServedAPI(Protocol):
    """How a provider speaks around its answers."""

    def signature(self, request_id: str) -> Headers:
        """The headers of every answer."""
        ...

    def taken(self, time_ms: int) -> Headers:
        """The header that tells how long the answer took, if there is one."""
        ...

    def key(self, header: Header) -> str:
        """The API key in a request's headers. Raises RefusedError if there is none."""
        ...

    def limit_headers(self, views: Mapping[Kind, View]) -> Headers: ...

    def wrong_key(self, key: str) -> Refusal: ...

    def unknown_url(self, method: str, path: str) -> Refusal: ...

    def wrong_method(self, method: str, path: str) -> Refusal: ...

    def too_large(self, limit_bytes: int) -> Refusal: ...

    def rate_limited(self, model: str, exceeded: Exceeded) -> Refusal: ...

    def fault(self, status: int, headers: Headers) -> Refusal:
        """An error that was asked for, with these headers."""
        ...

    def broken_stream(self) -> bytes:
        """The event by which a stream says that it failed in the middle."""
        ...


@dataclass(frozen=True, slots=True)
class Envelope:
    """What the bodies of one answer repeat: `digest` makes its ids. `usage` is what they say was used."""

    digest: str
    created_s: int
    usage: Callable[[dict[str, Any]], dict[str, Any] | None] = lambda usage: usage

    def with_usage(self, usage: dict[str, Any]) -> dict[str, Any]:
        """The member `usage`, if there is to be one."""
        told = self.usage(usage)
        return {} if told is None else {"usage": told}


class Event(NamedTuple):
    """One event of a stream: its bytes, and the tokens that it brings (of a text, or unseen ones)."""

    raw: bytes
    text: str = ""
    unseen_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Counts:
    """Tokens: of the input, of the answer, and the most that the request allows, if it says so."""

    input_tokens: int
    output_tokens: int
    most_output_tokens: int | None = None


class Work(Protocol):
    """One request with its answer."""

    @property
    def api(self) -> str:
        """As the provider's bill has it: "completions", "embeddings" or "messages"."""
        ...

    @property
    def model(self) -> Model: ...

    @property
    def name(self) -> str:
        """The model's name as given."""
        ...

    @property
    def counts(self) -> Counts: ...

    @property
    def stream(self) -> bool: ...

    def whole(self, envelope: Envelope) -> bytes:
        """The plain answer."""
        ...

    def events(self, envelope: Envelope) -> Iterator[Event]:
        """The streamed answer."""
        ...


class OfAsk:
    """What a Work says of the request that it answers: a base for those that have it as `ask`."""

    __slots__ = ()
    ask: Ask

    @property
    def model(self) -> Model:
        return self.ask.model

    @property
    def name(self) -> str:
        return self.ask.name

    @property
    def stream(self) -> bool:
        return self.ask.stream


class Api(Protocol):
    """One route that a model answers."""

    @property
    def dialect(self) -> ServedAPI: ...

    def prepare(self, raw: bytes, header: Header) -> Work:
        """Understand a body from anyone, and answer it. Raises RefusedError."""
        ...


@dataclass(frozen=True, slots=True)
class Served:
    """The models of one provider, by every name it knows them by: ours, aliases, its own."""

    models: Mapping[str, Model]

    @classmethod
    def among(cls, named: Sequence[tuple[str, Model]]) -> "Served":
        upstream = {model.upstream: model for _, model in named}
        return cls(dict(sorted({**upstream, **dict(named)}.items())))

    def find(self, name: str) -> Model | None:
        return self.models.get(name)
