"""What a provider accepts, as it is published: named sets of limits by model and class of operation.

A set is data of the catalogue, one for each tier of a provider's account. Every limit is a bound from
above; a set lowers what a model can do (say its largest output) and never raises it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

OperationClass = Literal["chat", "embeddings", "batch", "files"]

CLASSES: Final[Mapping[str, OperationClass]] = {
    "chat.completions": "chat",
    "responses": "chat",
    "messages": "chat",
    "embeddings": "embeddings",
    "batches": "batch",
    "files": "files",
}
"""The class of each operation: those of one class share their limits."""

EVERY_MODEL: Final = "*"


@dataclass(frozen=True, slots=True)
class LimitSet:
    """Limits of one model for one class of operations; None: none is known.

    Rates are for a minute or a day. Where a provider limits input and output apart, `tokens_per_minute`
    is None.
    """

    requests_per_minute: int | None = None
    requests_per_day: int | None = None
    tokens_per_minute: int | None = None
    input_tokens_per_minute: int | None = None
    output_tokens_per_minute: int | None = None
    context_tokens: int | None = None
    max_output_tokens: int | None = None
    max_request_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class LimitSets:
    """One named set. `by_model` has the limits of each class of operations by family of models.

    `source` says where its figures are from, `verified` whether two places or the provider state them.
    """

    name: str
    source: str
    verified: bool
    by_model: Mapping[str, Mapping[OperationClass, LimitSet]]

    def of(self, family: str, operation: str) -> LimitSet:
        """The limits of `operation` (as the log names it) with a model of `family`; no limits if unknown."""
        found = self.by_model.get(family) or self.by_model.get(EVERY_MODEL) or {}
        return found.get(CLASSES[operation], LimitSet())
