"""Prices: exact, rounded up once, by kind of token and length of prompt."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st
from tests.metering.vocabulary import ENTRY, catalogue, model

from macroslow.metering.prices import TokenCounts

GPT_4O = catalogue().find("gpt-4o")
KINDS = (
    "input_usd_micros",
    "cached_input_usd_micros",
    "cache_write_5m_usd_micros",
    "cache_write_1h_usd_micros",
    "output_usd_micros",
)
LONG_FROM = 10**6
counts = st.integers(0, 10**7)
usages = st.lists(counts, min_size=5, max_size=5).map(
    lambda parts: TokenCounts(sum(parts[1:]), parts[0], *parts[2:])  # fresh, and three kinds within
)
prices = st.fixed_dictionaries(dict.fromkeys(KINDS, st.integers(0, 10**9)))


@st.composite
def models(draw):
    """Models with and without other prices for long prompts."""
    short = draw(prices)
    if draw(st.booleans()):
        more = draw(prices)
        return model(**short)
    more = draw(prices)
    long = {kind: short[kind] + more[kind] for kind in KINDS}
    return model(**short, context_tokens=10**9, long_prompts={"above_tokens": LONG_FROM, **long})


def exact_cost(priced, used) -> Fraction:
    long = priced.long_prompts
    of = long.prices if long is not None and used.input_tokens > long.above_tokens else priced.prices
    written = used.cache_write_5m_input_tokens + used.cache_write_1h_input_tokens
    fresh = used.input_tokens - used.cached_input_tokens - written
    return (
        fresh * Fraction(of.input_usd_micros, 10**6)
        + used.cached_input_tokens * Fraction(of.cached_input_usd_micros, 10**6)
        + used.cache_write_5m_input_tokens * Fraction(of.cache_write_5m_usd_micros, 10**6)
        + used.cache_write_1h_input_tokens * Fraction(of.cache_write_1h_usd_micros, 10**6)
        + used.output_tokens * Fraction(of.output_usd_micros, 10**6)
    )


@given(models(), usages)
def test_a_price_is_the_exact_one_rounded_up(priced, used):
    assert exact_cost(priced, used) <= priced.price(used) < exact_cost(priced, used) + 1


@given(models(), usages, usages)
def test_more_of_any_kind_never_costs_less(priced, used, more):
    both = TokenCounts(
        used.input_tokens + more.input_tokens,
        used.output_tokens + more.output_tokens,
        used.cached_input_tokens + more.cached_input_tokens,
        used.cache_write_5m_input_tokens + more.cache_write_5m_input_tokens,
        used.cache_write_1h_input_tokens + more.cache_write_1h_input_tokens,
    )
    assert priced.price(used) <= priced.price(both)


@given(models(), usages, counts, counts)
def test_no_usage_costs_more_than_an_estimate_of_as_much(priced, used, more_input, more_output):
    most = priced.estimate(used.input_tokens + more_input, used.output_tokens + more_output)
    assert priced.price(used) <= most


@given(models(), counts, st.integers(-(10**6), 10**10))
def test_affordable_tokens_fit_and_one_more_would_not(priced, input_tokens, room):
    if not priced.prices_at(input_tokens).output_usd_micros:
        return
    tokens = priced.affordable_output_tokens(input_tokens, room)
    if tokens >= 0:
        assert priced.estimate(input_tokens, tokens) <= room
    if tokens >= -1:
        assert priced.estimate(input_tokens, tokens + 1) > room


def test_a_free_model_is_always_affordable():
    assert model().affordable_output_tokens(100, 0) == 2048


def test_a_cache_costs_as_input_where_no_price_is_given():
    given = {name: value for name, value in ENTRY.items() if name != "cached_input_usd_micros"}
    of = catalogue().with_models({"m": {**given, "input_usd_micros": 7}}).find("m").prices
    assert of.cached_input_usd_micros == of.cache_write_5m_usd_micros == of.cache_write_1h_usd_micros == 7


def test_published_examples_of_a_price():
    """A thousand tokens in and five hundred out; and of Claude, half a million each written and read."""
    assert GPT_4O.price(TokenCounts(1000, 500)) == 7_500
    claude = catalogue().find("claude-opus-4-5")
    assert claude.price(TokenCounts(10**6, 0, 500_000, 500_000)) == 250_000 + 3_125_000
    assert claude.price(TokenCounts(500_000, 0, 0, 0, 500_000)) == 5_000_000


def test_a_long_prompt_makes_the_whole_call_dearer():
    gemini = catalogue().find("gemini-2.5-pro")
    assert gemini.price(TokenCounts(200_000, 1000)) == 250_000 + 10_000
    assert gemini.price(TokenCounts(200_001, 1000)) == 500_003 + 15_000
