"""The edge is tested on the loop that it is served on: uvloop's transports differ in what they do late."""

import asyncio
from collections.abc import Callable, Mapping

import pytest
import uvloop


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """All tests of this folder."""
    return {"uvloop": uvloop.new_event_loop}
