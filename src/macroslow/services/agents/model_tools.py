"""Tools for language models. A provider's answer goes on as it came; its errors in one shape."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from macroslow.errors import UpstreamRefusedError
from macroslow.inference import CHAT_COMPLETIONS
from macroslow.mcp.ask import Ask, Handler
from macroslow.mcp.tools.models import COMPLETE_CHAT, COUNT_TOKENS, LIST_MODELS
from macroslow.metering.models import Model
from macroslow.services.agents.octets import octets
from macroslow.services.calls.call_model import CallModel
from macroslow.services.calls.count_tokens import CountTokens
from macroslow.services.calls.list_models import ListModels
from macroslow.services.calls.settle_call import ModelAnswer

MAX_DETAIL_CHARACTERS: Final = 1000


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
        """The provider's own answer; UpstreamRefusedError if it was an error."""
        answer = await self.chat(
            ask.principal, CHAT_COMPLETIONS, octets(ask.arguments), request_id=ask.request_id
        )
        assert isinstance(answer, ModelAnswer)  # noqa: S101 (no stream was asked for)
        if answer.status >= 400:
            raise UpstreamRefusedError(_refusal(answer), upstream="provider", status=answer.status)
        said: dict[str, Any] = orjson.loads(answer.body)
        return {**said, "usd_micros": answer.usd_micros, "log_index": answer.log_index}

    async def count_tokens(self, ask: Ask) -> Mapping[str, object]:
        """Our own count, and the most that so much input can cost."""
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
