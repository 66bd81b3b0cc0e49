"""Paying for imports once: what the zygote loads, every run finds loaded.

A throw-away call that fails at once (there is no network) makes the SDK build its models too.
"""

import contextlib
import gc
import importlib
import random
import sys
from collections.abc import Sequence
from typing import Any, Final

_NOWHERE: Final = "http://127.0.0.1:9/v1"


def warm(modules: Sequence[str]) -> None:
    """Import what can be imported of `modules`, and freeze the heap."""
    for name in modules:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    if "openai" in sys.modules:
        _use_openai(sys.modules["openai"])
    gc.collect()
    gc.freeze()


def _use_openai(openai: Any) -> None:
    with (
        contextlib.suppress(openai.OpenAIError),
        openai.OpenAI(api_key="none", base_url=_NOWHERE, max_retries=0) as client,
    ):
        client.chat.completions.create(model="none", messages=[{"role": "user", "content": "none"}])


def reseed() -> None:
    """Give a new run its own random numbers: all forks of one zygote would share them."""
    random.seed()
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()
