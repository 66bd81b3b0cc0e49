"""The list of models is what can be asked for, in the shape that the client reads."""

import openai
import pytest
from tests.metering.vocabulary import ENTRY, catalogue

from macroslow.errors import NotFoundError
from macroslow.inference.dialect import Dialect
from macroslow.services.calls.list_models import ListModels

BOTH = ListModels({"openai": object(), "anthropic": object()}, catalogue())


def ids(listed) -> list[str]:
    return [model["id"] for model in listed["data"]]


def test_every_name_that_is_served_is_listed_in_openais_shape():
    listed = ListModels({"openai": object()}, catalogue())()
    assert listed["object"] == "list"
    assert ids(listed) == sorted(ids(listed))
    assert {"gpt-4o", "gpt-4o-2025-10-15", "gpt-4o-2024-08-06", "gpt-4o-mini", "o3"} <= set(ids(listed))
    assert not any(name.startswith(("claude", "gemini")) for name in ids(listed))
    listed_first = next(model for model in listed["data"] if model["id"] == "gpt-5.4")
    assert listed_first == {"id": "gpt-5.4", "object": "model", "created": 0, "owned_by": "openai"}


def test_a_model_without_a_provider_is_not_listed():
    none = ListModels({}, catalogue())
    assert none()["data"] == none.for_dialect(Dialect.ANTHROPIC)["data"] == []
    assert none.for_dialect(Dialect.ANTHROPIC)["first_id"] is None


def test_the_day_on_which_a_provider_stops_serving_a_model_is_said():
    listed = {model["id"]: model for model in BOTH()["data"]}
    assert listed["gpt-5"]["shutdown_date"] == "2026-12-11"


def test_a_price_that_stands_in_one_place_alone_is_said_to_be_unverified():
    listed = {model["id"]: model for model in BOTH()["data"]}
    assert listed["claude-fable-5-2"]["verified"] is False
    assert "verified" not in listed["gpt-4o"]
    ours = ListModels({"vllm": object()}, catalogue().with_models({"local": ENTRY}))
    assert ours()["data"] == [{"id": "local", "object": "model", "created": 0, "owned_by": "vllm"}]


def test_clients_of_anthropics_api_see_what_answers_there_in_its_shape():
    listed = BOTH.for_dialect(Dialect.ANTHROPIC)
    assert all(name.startswith("claude") for name in ids(listed))
    assert {"claude-sonnet-4-5", "claude-sonnet-4-5-20250929"} <= set(ids(listed))
    assert (listed["first_id"], listed["last_id"]) == (ids(listed)[0], ids(listed)[-1])
    assert listed["has_more"] is False
    assert all(set(model) == {"type", "id", "display_name", "created_at"} for model in listed["data"])


def test_the_official_clients_type_takes_the_list():
    for model in BOTH.for_dialect(Dialect.OPENAI)["data"]:
        openai.types.Model.model_validate(model, strict=True)


def test_one_model_is_told_as_the_list_tells_it_and_another_is_not_there() -> None:
    for dialect in Dialect:
        for listed in BOTH.for_dialect(dialect)["data"]:
            assert BOTH.one(listed["id"], dialect) == listed
    for name, dialect in (("gpt-9", Dialect.OPENAI), ("gpt-4o", Dialect.ANTHROPIC)):
        with pytest.raises(NotFoundError):
            BOTH.one(name, dialect)
