"""What a client may ask of a model: one operation for each route of the providers' APIs.

An operation reads requests and answers of its own shape; to the use case they are all the same: a
request has a worst case and bytes to forward, an answer has a usage. Nothing is translated between
APIs: bytes of an answer go to the client as they came.
"""

from collections.abc import Iterable
from typing import Protocol

from macroslow.inference.dialect import Dialect
from macroslow.metering.encodings import Counter
from macroslow.metering.prices import TokenCounts
from macroslow.metering.prompts import Prompt
from macroslow.values import value


class AnswerUnreadableError(ValueError):
    """The provider's answer is not what was asked for, or it reports a failure in the middle."""


@value
class Possible:
    """The most input and output tokens that a request can use; a report above is not believed."""

    input_tokens: int
    output_tokens: int


@value
class WholeAnswer:
    """A plain answer: the usage it reports, if one can be believed, or else every text that the model wrote.

    The texts are looked for as they are read, once. With a usage nobody asks for them: they may be left out.
    `id` is the answer's own where the provider keeps it for later requests, else empty.
    """

    usage: TokenCounts | None
    texts: Iterable[str]
    id: str = ""


class ModelRequest(Protocol):
    """A request that has been checked and can be priced."""

    @property
    def model(self) -> str:
        """The name that the client gave."""
        ...

    @property
    def prompt(self) -> Prompt: ...

    @property
    def prompt_member(self) -> str:
        """The member that holds the prompt, to name it in a refusal."""
        ...

    @property
    def stream(self) -> bool: ...

    @property
    def writes(self) -> bool:
        """Whether the model writes tokens at all (embeddings: no)."""
        ...

    @property
    def choices(self) -> int: ...

    @property
    def max_output_tokens(self) -> int | None:
        """For each choice; None if the client left it open."""
        ...

    @property
    def bound_member(self) -> str | None:
        """The member that bounds the output, if the client gave one."""
        ...

    @property
    def wants_usage(self) -> bool:
        """Whether the client is to see a stream's usage where the API tells it only who asks."""
        ...

    @property
    def continues(self) -> str:
        """The provider's id of an answer that this request goes on from; empty: none."""
        ...

    @property
    def stores(self) -> bool:
        """Whether the provider keeps the answer under an id."""
        ...

    def forwarded(self, upstream_model: str, max_output_tokens: int, *, reasoning: bool) -> bytes:
        """The body to send: the provider's name for the model, a bound on the output, usage in streams."""
        ...


class StreamReader(Protocol):
    """Reads a stream as it passes: `feed` takes its bytes and returns those to send on now.

    The closing event stays in `closing` for the caller to send when the call is settled; nothing is
    read after it. `reported_input` is what the provider said of the input before the usage was known,
    with no output: it is owed even if the usage never comes. None: it said nothing that can be believed.
    """

    usage: TokenCounts | None
    reported_input: TokenCounts | None
    closing: bytes
    id: str

    def feed(self, chunk: bytes) -> bytes:
        """Bytes to send on. Raises EventTooLongError or AnswerUnreadableError."""
        ...

    @property
    def complete(self) -> bool:
        """Whether the answer came to its end."""
        ...

    def output_tokens(self) -> int:
        """Tokens of the text that has come so far, by our own count."""
        ...


class Operation(Protocol):
    """One route of a provider's API."""

    @property
    def name(self) -> str:
        """As the log has it: "chat.completions", "responses", "embeddings", "messages"."""
        ...

    @property
    def dialect(self) -> Dialect:
        """The API of the providers that serve it."""
        ...

    @property
    def path(self) -> str:
        """After the provider's base URL: "/chat/completions"."""
        ...

    def parse(self, body: bytes) -> ModelRequest:
        """The request in `body`. Raises InvalidModelRequestError that names the first member at fault."""
        ...

    def read(self, body: bytes, possible: Possible) -> WholeAnswer:
        """Read a plain answer. Raises AnswerUnreadableError."""
        ...

    def reader(self, request: ModelRequest, counter: Counter, possible: Possible) -> StreamReader:
        """Read a streamed answer to `request`."""
        ...
