"""A request to a model: bytes from a client become a checked value, and that value what is forwarded.

The body is parsed once. What is sent on is made from the parsed value again, so a key given twice
cannot mean one thing to us and another to the provider. Sizes of the body are the edge's business;
shapes are checked here. Input comes from an adversary.
"""

from collections.abc import Mapping
from dataclasses import field
from typing import Any, Final

import orjson

from macroslow.errors import InvalidModelRequestError
from macroslow.inference.shapes import Check, UnfitError
from macroslow.metering.prompts import Prompt
from macroslow.values import value

MAX_TEXTS: Final = 32_768
"""Most texts of one prompt: each is counted by itself, and takes time however short it is."""

SIMPLE_BYTES: Final = 256 * 1024
MOST_SIGNS: Final[Mapping[bytes, int]] = {b"[": 200_000, b"{": 200_000, b'"': 1_000_000, b",": 2_000_000}
"""How often a body above SIMPLE_BYTES may have each sign of JSON's structure."""

_FLAT_BRACKETS: Final = 200  # what has no more of them is not nested deeper than the serialiser goes (254)


@value
class ParsedRequest:
    """A request that can be priced. `members` is what the client gave, `added` what is set over it.

    The output is bounded under the name that the client used, the `bound_member`, else under the first of
    `bound_members`, or for a reasoning model under the last of them; with none, nothing is written.
    """

    members: Mapping[str, Any]
    prompt: Prompt
    prompt_member: str
    bound_members: tuple[str, ...] = ()
    added: Mapping[str, Any] | None = None
    choices: int = 1
    wants_usage: bool = True
    continues: str = ""
    stores: bool = False
    model: str = field(init=False)
    bound_member: str | None = field(init=False)

    def __post_init__(self) -> None:
        found = None
        for name in self.bound_members:
            if name in self.members:
                found = name
                break
        object.__setattr__(self, "model", self.members["model"])
        object.__setattr__(self, "bound_member", found)

    @property
    def stream(self) -> bool:
        """Whether the answer is to come as events."""
        return self.members.get("stream") is True

    @property
    def writes(self) -> bool:
        """Whether the model writes tokens at all."""
        return bool(self.bound_members)

    @property
    def max_output_tokens(self) -> int | None:
        """For each choice; None if the client left it open."""
        return self.members.get(self.bound_member or "")

    def forwarded(self, upstream_model: str, max_output_tokens: int, *, reasoning: bool = False) -> bytes:
        """The body to send: the provider's name for the model, a bound on the output, usage in streams."""
        changed = {**self.members, "model": upstream_model}
        if self.added is not None:
            changed |= self.added
        if self.bound_members:
            open_member = self.bound_members[-1 if reasoning else 0]
            changed[self.bound_member or open_member] = max_output_tokens
        return orjson.dumps(changed)


def members_of(body: bytes, shape: Check) -> dict[str, Any]:
    """The members of the request in `body`, of the given `shape`.

    Raises InvalidModelRequestError that names the first member at fault.
    """
    try:
        members: dict[str, Any] = shape.take(_object(body))
    except UnfitError as unfit:
        param = unfit.path.removeprefix(".")
        raise InvalidModelRequestError(f"{param} {unfit.problem}", param=param, fix=unfit.fix) from unfit
    if body.count(b"{") + body.count(b"[") > _FLAT_BRACKETS:
        _require_flat(members)
    return members


def require_few(prompt: Prompt, prompt_member: str) -> Prompt:
    """`prompt`, unless it is in more pieces than are counted."""
    if len(prompt.texts) > MAX_TEXTS:
        raise InvalidModelRequestError(
            f"{prompt_member} has more than {MAX_TEXTS} pieces of text", param=prompt_member
        )
    return prompt


def _object(body: bytes) -> dict[str, Any]:
    if len(body) > SIMPLE_BYTES:
        _require_simple(body)
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        at = f"line {error.lineno}, column {error.colno}"
        raise InvalidModelRequestError(f"the body is not JSON at {at}: {error.msg}") from error
    if not isinstance(parsed, dict):
        raise InvalidModelRequestError("the body must be a JSON object")
    return parsed


def _require_simple(body: bytes) -> None:
    """A parser makes an object of every value and holds the interpreter meanwhile: seconds, for millions.

    Signs within texts are counted too; a prompt of so many is longer than what models take.
    """
    for sign, most in MOST_SIGNS.items():
        if body.count(sign) > most:
            raise InvalidModelRequestError(
                f"the body has more than {most} of the sign {sign.decode()}", fix="send less in one request"
            )


def _require_flat(members: Mapping[str, Any]) -> None:
    """What is nested deeper than the serialiser goes cannot be forwarded."""
    for name, member in members.items():
        try:
            orjson.dumps({name: member})
        except TypeError as error:
            raise InvalidModelRequestError(f"{name} is nested too deeply", param=name) from error
