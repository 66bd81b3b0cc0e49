"""Bounds: what is owed is never above what was reserved, whatever a provider says."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.metering.test_prices import models
from tests.metering.vocabulary import catalogue, model

from macroslow.metering.bounds import Bounds
from macroslow.metering.count import Counted
from macroslow.metering.ledger import Usage
from macroslow.metering.prices import TokenCounts

counts = st.integers(0, 10**7)
anything = st.integers(-(10**8), 10**8)
EXACT = Counted(100, 116)


@st.composite
def bounds(draw):
    tokens = draw(counts)
    return Bounds(
        draw(models()), Counted(tokens, tokens + draw(counts)), draw(counts), draw(st.integers(1, 4))
    )


@settings(max_examples=200)
@given(bounds(), st.builds(TokenCounts, anything, anything, anything, anything, anything))
def test_a_lying_report_owes_nothing_below_zero_and_nothing_above_the_reservation(of, used):
    owed = of.reported(used)
    assert 0 <= owed.usd_micros <= of.usd_micros
    assert min(owed.input_tokens, owed.output_tokens) >= 0
    assert owed.output_tokens <= of.output_tokens


@given(bounds(), counts, st.integers(0, 10**13))
def test_no_way_to_end_owes_more_than_the_reservation(of, written, elapsed_ns):
    assert of.in_full.usd_micros == of.usd_micros
    assert of.counted(written).usd_micros <= of.usd_micros
    assert of.aborted(written, elapsed_ns).usd_micros <= of.usd_micros


@settings(max_examples=200)
@given(bounds(), st.builds(TokenCounts, anything, anything, anything, anything, anything), counts)
def test_what_was_reported_before_the_answer_owes_nothing_above_the_reservation(of, reported, written):
    owed = of.started(reported, written)
    assert 0 <= owed.usd_micros <= of.usd_micros
    assert min(owed.input_tokens, owed.output_tokens) >= 0
    assert owed.output_tokens <= min(written, of.output_tokens)


@given(bounds(), st.data())
def test_input_that_was_reported_before_the_answer_owes_its_price(of, data):
    given_tokens = data.draw(st.integers(0, of.input.most_tokens))
    read = data.draw(st.integers(0, given_tokens))
    reported = TokenCounts(given_tokens, 0, read, 0, data.draw(st.integers(0, given_tokens - read)))
    assert of.started(reported, 0) == Usage(given_tokens, 0, of.model.price(reported))
    written = data.draw(st.integers(0, of.output_tokens))
    assert of.started(reported, written).usd_micros >= of.model.price(reported)
    assert of.started(reported, written).output_tokens == written


@given(bounds(), st.data())
def test_a_report_within_the_bounds_is_believed_as_it_stands(of, data):
    given_tokens = data.draw(st.integers(0, of.input.most_tokens))
    cached = data.draw(st.integers(0, given_tokens))
    used = TokenCounts(given_tokens, data.draw(st.integers(0, of.output_tokens)), cached)
    assert of.reported(used) == Usage(used.input_tokens, used.output_tokens, of.model.price(used))


@pytest.mark.parametrize(
    "used",
    [
        TokenCounts(117, 0),
        TokenCounts(0, 1001),
        TokenCounts(100, 10, 101),
        TokenCounts(100, 10, 0, 60, 60),
        TokenCounts(-1, 0),
        TokenCounts(10, 10, -5),
    ],
)
def test_what_a_call_cannot_have_used_is_not_believed(used):
    of = Bounds(catalogue().find("claude-opus-4-5"), EXACT, 1000)
    assert not of.believes(used)
    assert of.reported(used) == of.counted(max(used.output_tokens, 0))


def test_money_is_held_for_the_bound_and_a_rate_limit_sees_the_likely_number():
    of = Bounds(catalogue().find("claude-opus-4-5"), EXACT, 1000)
    assert of.usd_micros == 116 * 10 + 1000 * 25  # as if all were written into the cache of an hour
    assert of.likely_tokens == 1100


def test_a_hang_up_is_charged_by_the_larger_of_text_and_time():
    of = Bounds(catalogue().find("gpt-4o"), EXACT, 1000, choices=2)
    assert of.aborted(0, 0) == of.counted(0)
    assert of.aborted(70, 10**8).output_tokens == 70  # 0.1 s at 200 tokens/s, twice: 40
    assert of.aborted(7, 10**8).output_tokens == 40
    assert of.aborted(7, 10**12).output_tokens == 1000


def test_a_reasoning_model_owes_the_reservation_after_a_hang_up():
    of = Bounds(model(output_usd_micros=8, reasoning=True), EXACT, 1000)
    assert of.aborted(1, 1) == of.in_full


def test_an_answer_without_a_usage_owes_what_was_counted_or_all_of_a_model_that_thinks():
    plain = Bounds(model(output_usd_micros=8), EXACT, 1000)
    assert plain.unreported(7) == plain.counted(7)
    thinks = Bounds(model(output_usd_micros=8, reasoning=True), EXACT, 1000)
    assert thinks.unreported(7) == thinks.in_full
