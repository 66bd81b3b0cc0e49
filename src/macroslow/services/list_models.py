"""The models that this gateway serves, in the shape of OpenAI's list.

Source: OpenAI API reference, "List models".
"""

from collections.abc import Mapping
from dataclasses import dataclass

from macroslow.inference.ports import Provider
from macroslow.metering.catalogue import Catalogue


@dataclass(frozen=True, slots=True)
class ListModels:
    """Every name and alias that has both a price and a provider."""

    providers: Mapping[str, Provider]
    catalogue: Catalogue

    def __call__(self) -> dict[str, object]:
        """`{"object": "list", "data": [{"id", "object", "created", "owned_by"}, …]}`, sorted by id."""
        served = [(name, model) for name, model in self.catalogue.names() if model.provider in self.providers]
        return {
            "object": "list",
            "data": [
                # The catalogue does not know when a model was made; clients want a number.
                {
                    "id": name,
                    "object": "model",
                    "created": 0,
                    "owned_by": self.providers[model.provider].name,
                }
                for name, model in served
            ],
        }
