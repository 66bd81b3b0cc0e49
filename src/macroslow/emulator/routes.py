"""The one table of routes: method, path, whose dialect, which key, handler."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

import orjson

from macroslow.emulator.anthropic import models as anthropic_models
from macroslow.emulator.anthropic.dialect import Anthropic
from macroslow.emulator.anthropic.messages import MessagesApi
from macroslow.emulator.anthropic.refusals import Refusal as AnthropicRefusal
from macroslow.emulator.anthropic.usage import Usage as AnthropicUsage
from macroslow.emulator.exchange import Exchange
from macroslow.emulator.generation import Generation
from macroslow.emulator.openai import models as openai_models
from macroslow.emulator.openai import refusals
from macroslow.emulator.openai.chat import ChatApi
from macroslow.emulator.openai.dialect import OpenAI
from macroslow.emulator.openai.embeddings import EmbeddingsApi
from macroslow.emulator.openai.responses import ResponsesApi
from macroslow.emulator.openai.usage import Usage as OpenAIUsage
from macroslow.emulator.work import Served, ServedAPI, refuse
from macroslow.metering.catalogue import Catalogue
from macroslow.ports import NS_PER_S

Handler = Callable[[Exchange], Awaitable[None]]
Reporter = Callable[[list[tuple[str, str]], int], bytes]

_ANTHROPIC: Final = "anthropic"
_ANTHROPIC_PATHS: Final = ("/v1/messages", "/v1/organizations/")
_MODELS: Final = "/v1/models"
_RESPONSES: Final = "/v1/responses"


@dataclass(frozen=True, slots=True)
class Route:
    """What serves a method and path. `admin`: it takes the key of an administrator."""

    handler: Handler
    admin: bool = False


@dataclass(frozen=True, slots=True)
class Routes:
    """By method and path; a path that ends in a slash stands for all that go on with one name."""

    table: Mapping[tuple[str, str], Route]
    openai: OpenAI
    anthropic: Anthropic

    @classmethod
    def of(cls, catalogue: Catalogue, generation: Generation) -> "Routes":
        """Anthropic's models answer messages, all others the routes of OpenAI."""
        openai, anthropic, scales = OpenAI(), Anthropic(), generation.scales
        named = catalogue.names()
        ours = Served.among([pair for pair in named if pair[1].provider != _ANTHROPIC])
        theirs = Served.among([pair for pair in named if pair[1].provider == _ANTHROPIC])
        responses = ResponsesApi(ours, scales, openai)
        messages = MessagesApi(theirs, scales, anthropic)
        openai_usage = OpenAIUsage(generation.statistics.book)
        anthropic_usage = AnthropicUsage(generation.statistics.book)
        models, stored = _Models(ours, theirs), _Stored(responses)
        report = partial(_reported, generation)
        table = {
            ("POST", "/v1/chat/completions"): Route(partial(generation, ChatApi(ours, scales, openai))),
            ("POST", _RESPONSES): Route(partial(generation, responses)),
            ("GET", f"{_RESPONSES}/"): Route(stored.get),
            ("DELETE", f"{_RESPONSES}/"): Route(stored.delete),
            ("POST", "/v1/embeddings"): Route(partial(generation, EmbeddingsApi(ours, scales, openai))),
            ("POST", "/v1/messages"): Route(partial(generation, messages)),
            ("POST", "/v1/messages/count_tokens"): Route(partial(_counted, messages)),
            ("GET", _MODELS): Route(models.list),
            ("GET", f"{_MODELS}/"): Route(models.get),
            ("GET", "/v1/organization/usage/completions"): report(openai_usage.completions),
            ("GET", "/v1/organization/usage/embeddings"): report(openai_usage.embeddings),
            ("GET", "/v1/organization/costs"): report(openai_usage.costs),
            ("GET", "/v1/organizations/usage_report/messages"): report(anthropic_usage.messages),
            ("GET", "/v1/organizations/cost_report"): report(anthropic_usage.costs),
        }
        return cls(table, openai, anthropic)

    def dialect(self, path: str, headers: Iterable[bytes]) -> ServedAPI:
        """Whose service a request means: by its path, and where both have it, by its version header."""
        theirs = path.startswith(_ANTHROPIC_PATHS)
        models = path == _MODELS or path.startswith(f"{_MODELS}/")
        return self.anthropic if theirs or (models and b"anthropic-version" in headers) else self.openai

    def find(self, exchange: Exchange) -> Route:
        """The route of a request. Raises RefusedError."""
        method, path = exchange.method, exchange.path
        folder, slash, name = path.rpartition("/")
        known = [path] + [folder + slash] * bool(name)
        for candidate in known:
            if route := self.table.get((method, candidate)):
                return route
        dialect = exchange.dialect
        elsewhere = any(candidate in known for _, candidate in self.table)
        return refuse((dialect.wrong_method if elsewhere else dialect.unknown_url)(method, path))


@dataclass(frozen=True, slots=True)
class _Models:
    """`GET /v1/models`, in the dialect that is asked in."""

    ours: Served
    theirs: Served

    async def list(self, exchange: Exchange) -> None:
        if isinstance(exchange.dialect, Anthropic):
            body = anthropic_models.model_list(self.theirs.models)
        else:
            body = openai_models.model_list(list(self.ours.models))
        await exchange.answer(200, orjson.dumps(body))

    async def get(self, exchange: Exchange) -> None:
        name = exchange.path.removeprefix(f"{_MODELS}/")
        if isinstance(exchange.dialect, Anthropic):
            model = self.theirs.find(name) or refuse(AnthropicRefusal(404, f"model: {name}"))
            body = anthropic_models.model_object(name, model)
        elif self.ours.find(name):
            body = openai_models.model_object(name)
        else:
            refuse(refusals.no_such_model(name))
        await exchange.answer(200, orjson.dumps(body))


@dataclass(frozen=True, slots=True)
class _Stored:
    """`/v1/responses/{id}`: what was stored before."""

    responses: ResponsesApi

    async def get(self, exchange: Exchange) -> None:
        name = exchange.path.removeprefix(f"{_RESPONSES}/")
        kept = self.responses.store.find(name) or refuse(refusals.no_such_response(name))
        await exchange.answer(200, orjson.dumps(kept.body))

    async def delete(self, exchange: Exchange) -> None:
        name = exchange.path.removeprefix(f"{_RESPONSES}/")
        if not self.responses.store.forget(name):
            refuse(refusals.no_such_response(name))
        await exchange.answer(200, orjson.dumps({"id": name, "object": "response", "deleted": True}))


async def _counted(messages: MessagesApi, exchange: Exchange) -> None:
    await exchange.answer(200, messages.count(await exchange.body()))


def _reported(generation: Generation, report: Reporter) -> Route:
    async def handler(exchange: Exchange) -> None:
        await exchange.answer(200, report(exchange.query(), generation.clock.now_ns() // NS_PER_S))

    return Route(handler, admin=True)
