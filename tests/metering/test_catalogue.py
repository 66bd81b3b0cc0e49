"""Prices: exact, rounded up, and complete."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.metering.vocabulary import catalogue

from macroslow.errors import ConfigurationError
from macroslow.metering.bounds import Bounds
from macroslow.metering.catalogue import TokenCounts, parse_catalogue

MODEL = catalogue().find("gpt-4o")
ENTRY = {
    "provider": "vllm",
    "upstream": "org/model",
    "encoding": "o200k_base",
    "context_tokens": 8192,
    "max_output_tokens": 2048,
    "input_usd_micros": 0,
    "cached_input_usd_micros": 0,
    "output_usd_micros": 0,
    "top_output_tokens_per_s": 50,
}
counts = st.integers(0, 10**7)
usages = st.lists(counts, min_size=5, max_size=5).map(
    lambda parts: TokenCounts(sum(parts[1:]), parts[0], *parts[2:])  # fresh, and three kinds within
)
cached_models = st.fixed_dictionaries(
    dict.fromkeys(
        (
            "input_usd_micros",
            "cached_input_usd_micros",
            "cache_write_5m_usd_micros",
            "cache_write_1h_usd_micros",
            "output_usd_micros",
        ),
        st.integers(0, 10**9),
    )
)


@given(counts, counts, st.data())
def test_a_price_is_the_exact_one_rounded_up(input_tokens, output_tokens, data):
    cached = data.draw(st.integers(0, input_tokens))
    price = MODEL.price(TokenCounts(input_tokens, output_tokens, cached))
    dollars_per_million = (
        (input_tokens - cached, Fraction(5, 2)),
        (cached, Fraction(5, 4)),
        (output_tokens, 10),
    )
    exact = sum(tokens * each for tokens, each in dollars_per_million)  # in micro-dollars
    assert exact <= price < exact + 1


@given(usages, cached_models)
def test_each_kind_of_input_has_its_own_price(used, prices):
    model = catalogue().with_models({"m": {**ENTRY, **prices}}).find("m")
    exact = sum(
        Fraction(tokens * prices[kind], 10**6)
        for kind, tokens in {
            "input_usd_micros": used.fresh_input_tokens,
            "cached_input_usd_micros": used.cached_input_tokens,
            "cache_write_5m_usd_micros": used.cache_write_5m_input_tokens,
            "cache_write_1h_usd_micros": used.cache_write_1h_input_tokens,
            "output_usd_micros": used.output_tokens,
        }.items()
    )
    assert exact <= model.price(used) < exact + 1
    assert model.price(used) <= model.estimate(used.input_tokens, used.output_tokens)


def test_writing_into_a_cache_costs_as_input_where_no_price_is_given():
    model = catalogue().with_models({"m": {**ENTRY, "input_usd_micros": 7}}).find("m")
    assert model.cache_write_5m_usd_micros == model.cache_write_1h_usd_micros == 7


@given(counts, counts, st.data())
def test_no_use_within_the_bounds_costs_more_than_the_reservation(input_tokens, output_tokens, data):
    bounds = Bounds(MODEL, input_tokens, output_tokens)
    used = TokenCounts(data.draw(st.integers(0, input_tokens)), data.draw(st.integers(0, output_tokens)))
    assert bounds.reported(used).usd_micros <= bounds.usd_micros
    assert bounds.counted(data.draw(counts)).usd_micros <= bounds.usd_micros
    elapsed_ns = data.draw(st.integers(0, 10**13))
    assert bounds.aborted(data.draw(counts), elapsed_ns).usd_micros <= bounds.usd_micros


@given(st.integers(0, 10**6), st.integers(-(10**6), 10**9))
def test_affordable_tokens_fit_and_one_more_would_not(input_tokens, room):
    tokens = MODEL.affordable_output_tokens(input_tokens, room)
    if tokens >= 0:
        assert MODEL.estimate(input_tokens, tokens) <= room
    if tokens >= -1:
        assert MODEL.estimate(input_tokens, tokens + 1) > room


def test_a_hang_up_is_charged_by_the_larger_of_text_and_time():
    bounds = Bounds(MODEL, 100, 1000, choices=2)
    assert bounds.aborted(0, 0) == bounds.counted(0)
    assert bounds.aborted(70, 10**8).output_tokens == 70  # 0.1 s at 200 tokens/s, twice: 40
    assert bounds.aborted(7, 10**8).output_tokens == 40
    assert bounds.aborted(7, 10**12).output_tokens == 1000


def test_a_reasoning_model_owes_the_reservation_after_a_hang_up():
    thinking = catalogue().with_models({"o": {**ENTRY, "output_usd_micros": 8, "reasoning": True}}).find("o")
    assert Bounds(thinking, 10, 1000).aborted(1, 1) == Bounds(thinking, 10, 1000).in_full


def test_aliases_are_models_too():
    assert catalogue().find("gpt-4o-2025-10-15") is MODEL
    assert catalogue().find("gpt-5") is None
    assert [name for name, _ in catalogue().names()] == ["gpt-4o", "gpt-4o-2025-10-15", "gpt-4o-mini"]


def test_an_operators_entry_is_added_and_replaces():
    ours = catalogue().with_models({"local": ENTRY, "gpt-4o": {**ENTRY, "aliases": ["big"]}})
    assert ours.find("local").price(TokenCounts(10**6, 10**6)) == 0
    assert ours.find("gpt-4o").provider == ours.find("big").provider == "vllm"
    assert ours.find("gpt-4o-mini").provider == "openai"
    assert ours.find("gpt-4o-2025-10-15") is None


def test_a_free_model_is_always_affordable():
    free = catalogue().with_models({"local": ENTRY}).find("local")
    assert free.affordable_output_tokens(100, 0) == 2048


@pytest.mark.parametrize(
    ("change", "at"),
    [
        ({"provider": ""}, "provider"),
        ({"provider": 5}, "provider"),
        ({"encoding": "cl100k_base"}, "encoding"),
        ({"encoding": []}, "encoding"),
        ({"context_tokens": 0}, "context_tokens"),
        ({"context_tokens": True}, "context_tokens"),
        ({"output_usd_micros": -1}, "output_usd_micros"),
        ({"output_usd_micros": 2.5}, "output_usd_micros"),
        ({"output_usd_micros": 10**13}, "output_usd_micros"),
        ({"aliases": "x"}, "aliases"),
        ({"aliases": [1]}, "aliases"),
        ({"reasoning": "yes"}, "reasoning"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_wrong_member_is_named(change, at):
    with pytest.raises(ConfigurationError) as caught:
        catalogue().with_models({"m": {**ENTRY, **change}})
    assert [problem.field for problem in caught.value.problems] == [f"models.m.{at}"]


def test_every_mistake_is_listed():
    with pytest.raises(ConfigurationError) as caught:
        catalogue().with_models({"a": {}, "b": 5})
    assert len(caught.value.problems) == 10


@pytest.mark.parametrize("toml", [b"\xff", b"x", b"", b"models = 1", b"[models]\n[other]\n"])
def test_a_file_that_is_no_catalogue_is_refused(toml):
    with pytest.raises(ConfigurationError):
        parse_catalogue(toml)
