"""Tools for language models. A provider's answer goes on as it came; its errors in one shape."""

from collections.abc import Iterator, Mapping
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import orjson

from macroslow.errors import ModelNotFoundError, UpstreamRefusedError
from macroslow.inference import CHAT_COMPLETIONS
from macroslow.inference.whole_chat import WholeChat
from macroslow.mcp.ask import Ask, Handler
from macroslow.mcp.tools.models import COMPLETE_CHAT, COUNT_TOKENS, LIST_MODELS
from macroslow.metering.models import Model
from macroslow.services.agents.octets import octets
from macroslow.services.agents.telling import Note, telling
from macroslow.services.calls.call_model import CallModel
from macroslow.services.calls.count_tokens import CountTokens
from macroslow.services.calls.list_models import ListModels
from macroslow.services.calls.settle_call import ModelAnswer, ModelStream
from macroslow.services.calls.unserved import LISTED_AT

MAX_DETAIL_CHARACTERS: Final = 1000
PIECES_A_STEP: Final = 16  # of an answer's text: of about a token each
_STREAMED: Final = {"stream": True, "stream_options": {"include_usage": True}}


@dataclass(frozen=True, slots=True)
class ModelTools:
    """One method a tool. Its fields are everything that they touch."""

    chat: CallModel
    count: CountTokens
    models: ListModels

    @property
    def handlers(self) -> Mapping[str, Handler]:
        return {
            COMPLETE_CHAT.name: self.complete_chat,
            COUNT_TOKENS.name: self.count_tokens,
            LIST_MODELS.name: self.list_models,
        }

    async def complete_chat(self, ask: Ask) -> Mapping[str, object]:
        """The provider's own answer; UpstreamRefusedError if it was an error.

        A caller who wants to know how far it is has it streamed and put together here.
        """
        if ask.tell is None:
            return _whole(await self._ask(ask, ask.arguments))
        return await telling(ask.tell, partial(self._streamed, ask))

    async def _streamed(self, ask: Ask, note: Note) -> Mapping[str, object]:
        answer = await self._ask(ask, {**ask.arguments, **_STREAMED})
        if isinstance(answer, ModelAnswer):
            return _whole(answer)
        most_tokens, whole, told = ask.arguments.get("max_tokens"), WholeChat(), 0
        async with aclosing(answer.chunks) as chunks:
            async for events in chunks:
                whole.feed(events)
                if whole.pieces >= told + PIECES_A_STEP:
                    told = whole.pieces
                    note((told, most_tokens, f"about {told} tokens so far"))
        usage = answer.end.usage
        assert usage is not None  # noqa: S101 (it was read to its end)
        return {**whole.answer(), "usd_micros": usage.usd_micros, "log_index": answer.end.log_index}

    async def _ask(self, ask: Ask, members: Mapping[str, object]) -> ModelAnswer | ModelStream:
        with _by_tools():
            return await self.chat(
                ask.principal, CHAT_COMPLETIONS, octets(members), request_id=ask.request_id
            )

    async def count_tokens(self, ask: Ask) -> Mapping[str, object]:
        """Our own count, and the most that so much input can cost."""
        with _by_tools():
            model, counted = await self.count.of_chat(octets(ask.arguments), ask.principal)
        return {
            "model": model.name,
            "input_tokens": counted.tokens,
            "exact": model.counting == "exact",
            "most_usd_micros": model.estimate(counted.most_tokens, 0),
            "context_tokens": model.context_tokens,
            "max_output_tokens": model.max_output_tokens,
        }

    async def list_models(self, ask: Ask) -> Mapping[str, object]:
        """Every name that may be asked for."""
        return {"models": [model_told(name, model) for name, model in self.models.served()]}


@contextmanager
def _by_tools() -> Iterator[None]:
    """Have the repair of an unknown model name the tool that lists them: agents have no paths."""
    try:
        yield
    except ModelNotFoundError as error:
        error.fix = error.fix.replace(LISTED_AT, LIST_MODELS.name)
        raise


def model_told(name: str, model: Model) -> dict[str, object]:
    """What a caller wants to know of a model under one of its names."""
    return {
        "id": name,
        "provider": model.provider,
        "operations": [*model.operations],
        "context_tokens": model.context_tokens,
        "max_output_tokens": model.max_output_tokens,
        "input_usd_micros": model.prices.input_usd_micros,
        "output_usd_micros": model.prices.output_usd_micros,
        "reasoning": model.reasoning,
        "retires": model.retires or None,
        "verified": model.verified,
    }


def _whole(answer: ModelAnswer | ModelStream) -> Mapping[str, object]:
    assert isinstance(answer, ModelAnswer)  # noqa: S101 (no stream was asked for)
    if answer.status >= 400:
        raise UpstreamRefusedError(_refusal(answer), upstream="provider", status=answer.status)
    said: dict[str, Any] = orjson.loads(answer.body)
    return {**said, "usd_micros": answer.usd_micros, "log_index": answer.log_index}


def _refusal(answer: ModelAnswer) -> str:
    """What a provider's error says, whatever shape it has; at most a few lines of it."""
    try:
        said = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        said = None
    match said:
        case {"error": {"message": str(message)}} | {"error": str(message)} | {"message": str(message)}:
            return message[:MAX_DETAIL_CHARACTERS]
        case _:
            return f"the provider refused the request with status {answer.status}"
