"""Embeddings: the request and the answer. The model writes nothing and there is no stream.

Source: OpenAI API reference, "Create embeddings".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from macroslow.inference.dialect import Dialect
from macroslow.inference.events import EventReader, parsed_object
from macroslow.inference.operation import AnswerUnreadableError, ModelRequest, Possible, WholeAnswer
from macroslow.inference.request import ParsedRequest, members_of, require_few
from macroslow.inference.shapes import COUNT, NAME, TEXT, Check, UnfitError, choice, fields
from macroslow.inference.usage import in_detail
from macroslow.metering.encodings import Counter
from macroslow.metering.prompts import Prompt

MAX_INPUTS: Final = 2048
MAX_TOKEN_IDS: Final = 8192  # of one input
_MAX_TOKEN_ID: Final = 2**31 - 1


def _is_token_ids(value: object) -> bool:
    return (
        type(value) is list
        and 0 < len(value) <= MAX_TOKEN_IDS
        and all(type(token) is int and 0 <= token <= _MAX_TOKEN_ID for token in value)
    )


def _input(value: Any) -> Any:
    """A text, several, one input as token ids, or several."""
    if type(value) is str or _is_token_ids(value):
        return value
    if type(value) is list and 0 < len(value) <= MAX_INPUTS:
        for fits in (lambda one: type(one) is str, _is_token_ids):
            if all(map(fits, value)):
                return value
    raise UnfitError(
        f"must be a text, a list of up to {MAX_TOKEN_IDS} token ids, or a list of up to {MAX_INPUTS} such"
    )


_SHAPE: Final = fields(
    {"model": NAME, "input": Check(_input)},
    {"dimensions": COUNT, "encoding_format": choice("float", "base64"), "user": TEXT},
)


@dataclass(frozen=True, slots=True)
class Embeddings:
    """POST /embeddings."""

    name: str = "embeddings"
    dialect: Dialect = Dialect.OPENAI
    path: str = "/embeddings"

    def parse(self, body: bytes) -> ParsedRequest:
        """The request in `body`. Raises InvalidModelRequestError that names the first member at fault."""
        members = members_of(body, _SHAPE)
        return ParsedRequest(members, require_few(_prompt(members["input"]), "input"), prompt_member="input")

    def read(self, body: bytes, possible: Possible) -> WholeAnswer:
        """Read an answer. Raises AnswerUnreadableError unless it is a JSON object."""
        reported = parsed_object(body).get("usage")
        usage: Mapping[str, Any] = reported if isinstance(reported, dict) else {}
        return WholeAnswer(in_detail(usage.get("prompt_tokens"), 0, 0, 0, 0, possible), ())

    def reader(self, request: ModelRequest, counter: Counter, possible: Possible) -> EventReader:
        """No request asks for a stream of embeddings; one that comes is no answer."""
        raise AnswerUnreadableError("embeddings do not come as a stream")


def _prompt(given: Any) -> Prompt:
    """Token ids count themselves."""
    if type(given) is str:
        return Prompt((given,), 0)
    if type(given[0]) is str:
        return Prompt(tuple(given), 0)
    return Prompt((), len(given) if type(given[0]) is int else sum(map(len, given)))
