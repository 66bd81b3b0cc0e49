"""The list of models is what can be asked for."""

from tests.metering.vocabulary import catalogue
from tests.services.model_fakes import World

from macroslow.services.list_models import ListModels


def test_every_name_that_is_served_is_listed_in_the_providers_shape():
    providers = World().complete.providers
    listed = ListModels(providers, catalogue())()
    assert listed["object"] == "list"
    assert [model["id"] for model in listed["data"]] == ["gpt-4o", "gpt-4o-2025-10-15", "gpt-4o-mini"]
    assert listed["data"][0] == {"id": "gpt-4o", "object": "model", "created": 0, "owned_by": "openai"}


def test_a_model_without_a_provider_is_not_listed():
    assert ListModels({}, catalogue())()["data"] == []
