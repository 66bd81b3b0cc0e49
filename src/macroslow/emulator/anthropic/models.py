"""`GET /v1/models` in Anthropic's shape. Source: Anthropic API reference, "List Models", "Get a Model"."""

from collections.abc import Mapping
from typing import Any, Final

from macroslow.metering.models import Model

# The catalogue knows no dates: the documented "epoch value if the release date is unknown".
_CREATED: Final = "1970-01-01T00:00:00Z"


def model_object(name: str, model: Model) -> dict[str, Any]:
    """One entry of the list."""
    return {
        "type": "model",
        "id": name,
        "display_name": name,
        "created_at": _CREATED,
        "lifecycle": "active",
        "max_input_tokens": model.context_tokens,
        "max_tokens": model.max_output_tokens,
    }


def model_list(models: Mapping[str, Model]) -> dict[str, Any]:
    """The whole list on one page."""
    data = [model_object(name, model) for name, model in models.items()]
    ends = (data[0]["id"], data[-1]["id"]) if data else (None, None)
    return {"data": data, "has_more": False, "first_id": ends[0], "last_id": ends[1]}
