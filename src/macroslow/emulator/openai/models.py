"""`GET /v1/models`. Source: OpenAI API reference, "The model object"."""

from typing import Any, Final

# The catalogue knows no dates; the service's own for gpt-4o serves for every model.
_CREATED_S: Final = 1_715_367_049


def model_object(name: str) -> dict[str, Any]:
    """One entry of the list."""
    return {"id": name, "object": "model", "created": _CREATED_S, "owned_by": "system"}


def model_list(names: list[str]) -> dict[str, Any]:
    """The whole list."""
    return {"object": "list", "data": [model_object(name) for name in names]}
