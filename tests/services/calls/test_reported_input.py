"""A client that hangs up before the usage is known pays at least for the input that the provider reported."""

import asyncio

import orjson
import pytest
from tests.inference.streams import named
from tests.metering.vocabulary import catalogue, counters
from tests.services.model_fakes import Counting, ScriptedProvider, World, call_on

from macroslow.inference import MESSAGES
from macroslow.inference.dialect import Dialect
from macroslow.limits.admission import AccountQuota, Quota
from macroslow.metering.bounds import Bounds
from macroslow.metering.count import count_prompt
from macroslow.metering.prices import TokenCounts
from macroslow.services.calls.admission import Admission
from macroslow.services.calls.call_model import CallModel

MODEL = catalogue().find("claude-haiku-4-5")
BODY = orjson.dumps(
    {
        "model": MODEL.name,
        "messages": [{"role": "user", "content": "word " * 400}],
        "max_tokens": 1000,
        "stream": True,
    }
)
BOUNDS = Bounds(MODEL, count_prompt(MESSAGES.parse(BODY).prompt, MODEL, counters()), 1000)
HOUR = {"ephemeral_1h_input_tokens": 1500}


class Claude(World):
    """The same world with Anthropic's models in it."""

    def __init__(self) -> None:
        super().__init__()
        self.provider = ScriptedProvider(
            self.books, name="anthropic", dialect=Dialect.ANTHROPIC, label="anthropic"
        )
        self.accounts = {"anthropic": self.provider}
        lines = {("anthropic", MODEL.name): [AccountQuota("anthropic", Quota())]}
        entropy = Counting()
        self.admission = Admission(lines, self.call.clock, entropy)
        providers = {"anthropic": self.accounts}
        self.call: CallModel = call_on(self.books, providers, self.admission, entropy)


async def hung_up_after(usage: object):
    """What is booked when the client leaves after the start of a message that reports `usage`."""
    world = Claude()
    start = named({"type": "message_start", "message": {"usage": usage}})
    world.provider.script = lambda _: [start, asyncio.Event()]
    stream = await world.ask(BODY, operation=MESSAGES)
    assert await anext(stream.chunks) == start
    await stream.chunks.aclose()
    await world.assert_idle()
    assert world.books.last.outcome == "aborted"
    return world.books.last.usage


async def test_input_that_was_reported_is_charged_where_it_costs_more_than_our_count():
    assert BOUNDS.input_tokens < 1500 < BOUNDS.input.most_tokens
    owed = await hung_up_after(
        {"input_tokens": 0, "cache_creation_input_tokens": 1500, "cache_creation": HOUR, "output_tokens": 1}
    )
    assert owed.input_tokens == 1500
    assert owed.usd_micros == MODEL.price(TokenCounts(1500, owed.output_tokens, 0, 0, 1500))
    assert BOUNDS.counted(owed.output_tokens).usd_micros < owed.usd_micros <= BOUNDS.usd_micros


@pytest.mark.parametrize(
    "usage",
    [
        {"input_tokens": 0, "cache_read_input_tokens": 1500, "output_tokens": 1},
        {"input_tokens": 1, "output_tokens": 1},
        {"input_tokens": 10**6, "output_tokens": 1},
        {"input_tokens": -1},
        None,
    ],
    ids=["cheaper", "less", "impossible", "negative", "none"],
)
async def test_else_our_own_count_is_charged(usage):
    owed = await hung_up_after(usage)
    assert owed == BOUNDS.counted(owed.output_tokens)
