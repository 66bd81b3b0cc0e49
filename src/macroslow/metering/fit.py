"""What can never fit a model or its provider's limits, refused before anything is held, with the number."""

from typing import Final

from macroslow.errors import ContextLengthError, InvalidModelRequestError
from macroslow.metering.count import Counted
from macroslow.metering.limit_sets import LimitSet
from macroslow.metering.models import Model

SHORTEN: Final = "shorten the conversation, or name a model with a larger window"


def require_size(model: Model, limits: LimitSet, body_bytes: int) -> None:
    """Raise InvalidModelRequestError unless the provider takes a body of `body_bytes`."""
    most = _least(body_bytes, model.max_request_bytes, limits.max_request_bytes)
    if body_bytes > most:
        raise InvalidModelRequestError(
            f"the request has {body_bytes} bytes; {model.name} takes {most} at most",
            fix="send less in one request",
        )


def most_input_tokens(model: Model, limits: LimitSet) -> int:
    """The most input that one request may bring."""
    return _least(
        model.max_input_tokens,
        limits.context_tokens,
        limits.tokens_per_minute,
        limits.input_tokens_per_minute,
    )


def require_input(model: Model, limits: LimitSet, counted: Counted, param: str) -> None:
    """Raise ContextLengthError, naming `param`, for input that cannot fit.

    An estimate may be off, so only one that is twice what fits is refused here; the provider counts
    the rest and refuses at no cost.
    """
    most = most_input_tokens(model, limits)
    exact = model.counting == "exact"
    if counted.tokens > (most if exact else 2 * most):
        whose = model.name if most == model.max_input_tokens else f"{model.name} within its provider's limits"
        raise ContextLengthError(
            f"prompt is too long: {counted.tokens} tokens > {most} maximum of {whose}"
            f"{'' if exact else ', by an estimate'}",
            param=param,
            fix=SHORTEN,
        )


def output_tokens(
    model: Model,
    limits: LimitSet,
    counted: Counted,
    *,
    asked: int | None = None,
    choices: int = 1,
    param: str = "messages",
) -> int:
    """Output tokens for each choice: those `asked` for, or the most that there is room for.

    Raises InvalidModelRequestError, naming `param`, if model and limits do not allow what was asked.
    """
    most = _least(model.max_output_tokens, limits.max_output_tokens, limits.output_tokens_per_minute)
    if limits.tokens_per_minute is not None:
        most = min(most, (limits.tokens_per_minute - counted.tokens) // choices)
    if asked is None:
        most = min(most, _least(model.context_tokens, limits.context_tokens) - counted.tokens)
    if most < (asked or 1):
        detail = (
            f"beside this input {model.name} and its provider's limits allow {max(most, 0)}"
            " output tokens a choice"
        )
        if most < 1:
            raise ContextLengthError(detail, param=param, fix=SHORTEN)
        raise InvalidModelRequestError(detail, param=param, fix=f"ask for at most {most} of output")
    return asked or most


def _least(bound: int, *others: int | None) -> int:
    for other in others:
        if other is not None and other < bound:
            bound = other
    return bound
