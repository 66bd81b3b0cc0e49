"""What can never fit is refused with the number, by the model or by the provider's limits."""

import pytest
from tests.metering.vocabulary import catalogue, model

from macroslow.errors import ConfigurationError, ContextLengthError, InvalidModelRequestError
from macroslow.metering import fit
from macroslow.metering.count import Counted
from macroslow.metering.limit_sets import CLASSES, LimitSet

GPT_4O = catalogue().find("gpt-4o")
SEED = catalogue().limit_set("seed-2025-10").of("gpt-4o", "chat.completions")
NONE = LimitSet()


def test_the_set_of_the_guide_is_as_it_was_written():
    sets = catalogue().limit_set("seed-2025-10")
    assert sets.of("gpt-4o", "responses") == LimitSet(
        requests_per_minute=200,
        tokens_per_minute=10_000,
        context_tokens=128_000,
        max_output_tokens=4_096,
        max_request_bytes=128_000_000,
    )
    assert sets.of("gpt-4o", "batches").tokens_per_minute == 50_000
    assert sets.of("gpt-4o", "batches").requests_per_minute == 1_000
    assert sets.of("gpt-4o", "batches").max_request_bytes == 256_000_000
    assert sets.of("gpt-4o", "files").requests_per_day == 100
    assert sets.of("gpt-4o", "files").max_request_bytes == 500_000_000
    assert not sets.verified
    assert sets.source


def test_a_set_bounds_nothing_that_it_does_not_name():
    sets = catalogue().limit_set("seed-2025-10")
    assert sets.of("gpt-4o-mini", "chat.completions") == sets.of("gpt-4o", "embeddings") == NONE


def test_an_unknown_set_is_refused_and_the_known_ones_are_listed():
    with pytest.raises(ConfigurationError) as caught:
        catalogue().limit_set("tier-9")
    assert "seed-2025-10" in caught.value.fix


def test_every_set_bounds_models_that_there_are():
    for sets in catalogue().limits.values():
        for family in sets.by_model:
            assert family in catalogue().models
            assert all(isinstance(sets.of(family, operation), LimitSet) for operation in CLASSES)


@pytest.mark.parametrize(("size", "fits"), [(128_000_000, True), (128_000_001, False)])
def test_a_body_is_bounded_by_the_smaller_of_model_and_limits(size, fits):
    large = model(max_request_bytes=200_000_000)
    fit.require_size(large, NONE, size)
    if fits:
        fit.require_size(large, SEED, size)
    else:
        with pytest.raises(InvalidModelRequestError, match=r"128000001 bytes; m takes 128000000 at most"):
            fit.require_size(large, SEED, size)


def test_a_body_for_a_model_without_a_known_bound_is_not_refused():
    fit.require_size(GPT_4O, NONE, 10**12)


@pytest.mark.parametrize(("limits", "tokens", "most"), [(NONE, 128_001, 128_000), (SEED, 10_001, 10_000)])
def test_input_above_the_window_or_a_minutes_rate_is_refused_with_both_numbers(limits, tokens, most):
    fit.require_input(GPT_4O, limits, Counted(most, most + 5), "messages")
    with pytest.raises(
        ContextLengthError, match=f"prompt is too long: {tokens} tokens > {most} maximum of gpt-4o"
    ) as caught:
        fit.require_input(GPT_4O, limits, Counted(tokens, tokens), "input")
    assert caught.value.param == "input"


def test_an_estimate_is_refused_only_when_it_is_twice_what_fits():
    guessed = model(counting="estimate")
    fit.require_input(guessed, NONE, Counted(2 * 8192, 10**6), "messages")
    with pytest.raises(ContextLengthError, match="16385 tokens > 8192 maximum of m, by an estimate"):
        fit.require_input(guessed, NONE, Counted(2 * 8192 + 1, 10**6), "messages")


@pytest.mark.parametrize(
    ("limits", "tokens", "choices", "most"),
    [
        (NONE, 100, 1, 16_384),
        (NONE, 127_000, 1, 1_000),  # what the window has left
        (SEED, 100, 1, 4_096),
        (SEED, 9_000, 2, 500),  # what the minute has left, for each of two
        (LimitSet(output_tokens_per_minute=77), 100, 1, 77),
    ],
)
def test_output_left_open_is_filled_with_what_there_is_room_for(limits, tokens, choices, most):
    counted = Counted(tokens, tokens)
    assert fit.output_tokens(GPT_4O, limits, counted, choices=choices) == most


def test_output_that_was_asked_for_is_kept_or_refused_with_the_number():
    counted = Counted(100, 116)
    assert fit.output_tokens(GPT_4O, SEED, counted, asked=4_096) == 4_096
    with pytest.raises(InvalidModelRequestError, match="allow 4096 output tokens") as caught:
        fit.output_tokens(GPT_4O, SEED, counted, asked=4_097, param="max_tokens")
    assert caught.value.param == "max_tokens"


def test_no_room_for_any_output_is_refused():
    with pytest.raises(ContextLengthError, match="allow 0 output tokens"):
        fit.output_tokens(GPT_4O, SEED, Counted(10_000, 10_000))
