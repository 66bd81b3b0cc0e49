"""The models that this gateway serves, in the shape of OpenAI's list or of Anthropic's.

Both shapes want to know when a model was made, which the catalogue does not: it is given as the epoch,
as Anthropic's reference allows. `shutdown_date` is OpenAI's own member; `verified` is ours, and says of
a model that its prices were found in one place only.

Sources: OpenAI API reference, "List models"; Anthropic API reference, "List Models".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from macroslow.errors import ModelNotFoundError
from macroslow.inference.dialect import Dialect
from macroslow.metering.catalogue import Catalogue
from macroslow.metering.models import Model

MESSAGES: Final = "messages"
EPOCH: Final = "1970-01-01T00:00:00Z"


@dataclass(frozen=True, slots=True)
class ListModels:
    """Every name and alias that has both a price and a provider. `providers` by the catalogue's names."""

    providers: Mapping[str, object]
    catalogue: Catalogue

    def __call__(self) -> dict[str, object]:
        """`{"object": "list", "data": [{"id", "object", "created", "owned_by", …}, …]}`, sorted by id."""
        return {"object": "list", "data": self._entries(Dialect.OPENAI)}

    def for_dialect(self, dialect: Dialect) -> dict[str, object]:
        """The list as a client of that API expects it.

        Clients of Anthropic's API offer what they list to be picked, so they see what answers there:
        `{"data": [{"type", "id", "display_name", "created_at"}, …], "has_more", "first_id", "last_id"}`.
        """
        if dialect is not Dialect.ANTHROPIC:
            return self()
        listed = self._entries(dialect)
        return {
            "data": listed,
            "has_more": False,
            "first_id": listed[0]["id"] if listed else None,
            "last_id": listed[-1]["id"] if listed else None,
        }

    def one(self, name: str, dialect: Dialect) -> dict[str, object]:
        """One entry of the list. ModelNotFoundError if there is none of this name in it."""
        for listed in self._entries(dialect):
            if listed["id"] == name:
                return listed
        raise ModelNotFoundError(
            "there is no such model here", fix="GET /v1/models lists the models that are served"
        )

    def served(self) -> list[tuple[str, Model]]:
        """Every name that a request may have, sorted, each with its model."""
        return [(name, model) for name, model in self.catalogue.names() if model.provider in self.providers]

    def _entries(self, dialect: Dialect) -> list[dict[str, object]]:
        if dialect is not Dialect.ANTHROPIC:
            return [_of_openai(name, model) for name, model in self.served()]
        return [_of_anthropic(name) for name, model in self.served() if MESSAGES in model.operations]


def _of_openai(name: str, model: Model) -> dict[str, object]:
    listed: dict[str, object] = {"id": name, "object": "model", "created": 0, "owned_by": model.provider}
    if model.retires:
        listed["shutdown_date"] = model.retires
    if not model.verified:
        listed["verified"] = False
    return listed


def _of_anthropic(name: str) -> dict[str, object]:
    return {"type": "model", "id": name, "display_name": name, "created_at": EPOCH}
