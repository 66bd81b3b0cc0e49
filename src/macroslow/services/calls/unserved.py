"""Why a model that a request names is not served: told apart, each cause with its repair.

Whoever may call models may list them too, so nothing is told that was hidden.
"""

from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from typing import Final

from macroslow.errors import ModelNotFoundError
from macroslow.inference import ALL_OPERATIONS
from macroslow.inference.operation import Operation
from macroslow.metering.catalogue import Catalogue
from macroslow.metering.models import Model

MAX_SHOWN: Final = 80  # of a name that is none
LISTED_AT: Final = "GET /v1/models"
_LIST: Final = f"{LISTED_AT} lists the models that are served"
_PRICE: Final = "the operator gives it input_usd and output_usd in [models]"

Serves = Callable[[Model, Operation], bool]


def unserved(
    name: str, operation: Operation, catalogue: Catalogue, serves: Serves, listed: Iterable[str]
) -> ModelNotFoundError:
    """The error for a model that `serves` denies; `listed` are names and patterns of the operator's."""
    shown = repr(name if len(name) <= MAX_SHOWN else f"{name[:MAX_SHOWN]}…")
    model = catalogue.find(name)
    if model is not None:
        return _of_known(shown, model, operation, serves)
    if meant := nearest(name, [n for n, one in catalogue.names() if serves(one, operation)]):
        return ModelNotFoundError(f"there is no model {shown} here", fix=f'did you mean "{meant}"? {_LIST}')
    if any(_covers(pattern, name) for pattern in listed):
        return ModelNotFoundError(f"the model {shown} has no price here, so it is not served", fix=_PRICE)
    return ModelNotFoundError(f"there is no model {shown} here", fix=f"{_LIST}; if it is new, {_PRICE}")


def _of_known(shown: str, model: Model, operation: Operation, serves: Serves) -> ModelNotFoundError:
    paths = [f"/v1{one.path}" for one in ALL_OPERATIONS if serves(model, one)]
    if paths:
        return ModelNotFoundError(
            f"the model {shown} is not served at /v1{operation.path}, and nothing is translated",
            fix=f"ask for it at {' or '.join(paths)}",
        )
    return ModelNotFoundError(
        f"the model {shown} is known here, but no provider of this gateway serves it",
        fix="the operator names it in `models` of one of [providers]",
    )


def nearest(name: str, names: Sequence[str]) -> str:
    """The one of `names` that is nearest: without a prefix such as `openai/`, else one alike, or none."""
    bare = name.rpartition("/")[2]
    if bare in names:
        return bare
    return next(iter(get_close_matches(bare[:MAX_SHOWN].lower(), names, n=1, cutoff=0.8)), "")


def _covers(pattern: str, name: str) -> bool:
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern
