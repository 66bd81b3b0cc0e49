"""Work that goes on beside the requests for ever, whatever fails in it.

A watch that ended silently would be a check that nobody makes any more: who looks for ended credentials or
lost reservations must not stop because of one defect, and the operator has to hear of it.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Final, NoReturn

from macroslow.web.visit import what_failed

AGAIN_S: Final = 1.0

log: Final = logging.getLogger("macroslow")


@asynccontextmanager
async def kept_running(
    works: Mapping[str, Callable[[], Awaitable[object]]], again_s: float = AGAIN_S
) -> AsyncIterator[None]:
    """Have all `works` run while the context lasts; one that ends is told of by its name, and begins anew."""
    tasks = [asyncio.create_task(_again_and_again(name, work, again_s)) for name, work in works.items()]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


async def _again_and_again(name: str, work: Callable[[], Awaitable[object]], again_s: float) -> NoReturn:
    while True:
        try:
            await work()
        except Exception as error:  # noqa: BLE001 - the outermost handler of what runs beside the requests
            log.error("%s failed and begins anew: %s", name, what_failed(error))
        await asyncio.sleep(again_s)
