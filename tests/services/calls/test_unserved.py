"""A model that is not served: the cause, and the name or path that was meant."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.metering.vocabulary import catalogue

from macroslow.inference import CHAT_COMPLETIONS, MESSAGES
from macroslow.inference.operation import Operation
from macroslow.metering.models import Model
from macroslow.services.calls.unserved import unserved


def serves(model: Model, operation: Operation) -> bool:
    return model.provider in {"openai", "anthropic"} and operation.name in model.operations


def told(name: str, operation: Operation = CHAT_COMPLETIONS):
    return unserved(name, operation, catalogue(), serves, ["mine", "own-*"])


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("gpt-4omini", "gpt-4o-mini"),
        ("openai/gpt-4o-mini", "gpt-4o-mini"),
        ("azure/openai/gpt-4o", "gpt-4o"),
        ("GPT-4o", "gpt-4o"),
    ],
)
def test_a_name_that_was_nearly_right_is_told_the_right_one(name, meant):
    error = told(name)
    assert error.detail == f"there is no model '{name}' here"
    assert error.fix.startswith(f'did you mean "{meant}"?')


@pytest.mark.parametrize("name", ["mine", "own-7"])
def test_one_that_the_operator_lists_without_a_price_says_so(name):
    assert told(name).detail == f"the model '{name}' has no price here, so it is not served"
    assert "input_usd and output_usd" in told(name).fix


def test_one_that_no_provider_serves_says_so():
    assert "no provider of this gateway serves it" in told("gemini-2.5-pro").detail
    assert "[providers]" in told("gemini-2.5-pro").fix


@pytest.mark.parametrize(
    ("name", "operation", "path"),
    [
        ("gpt-4o", MESSAGES, "/v1/chat/completions or /v1/responses"),
        ("claude-sonnet-4-5", CHAT_COMPLETIONS, "/v1/messages"),
    ],
)
def test_one_that_is_served_in_another_api_is_told_where(name, operation, path):
    error = told(name, operation)
    assert f"is not served at /v1{operation.path}" in error.detail
    assert error.fix == f"ask for it at {path}"


def test_one_that_nobody_knows_is_told_how_to_see_the_list():
    assert told("zzz").detail == "there is no model 'zzz' here"
    assert "GET /v1/models" in told("zzz").fix


@given(st.text(max_size=300))
def test_whatever_the_name_the_error_is_short_printable_and_about_the_model(name):
    error = told(name)
    assert (error.param, error.step, error.code) == ("model", "price", "model-not-found")
    assert len(error.detail) < 1000
    assert error.detail.isprintable()
