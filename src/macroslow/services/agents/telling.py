"""Progress that holds nothing up: steps are noted as they are done and told as fast as the caller listens."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from macroslow.mcp.ask import Tell
from macroslow.services.documents.execute_document import Say, unheard

T = TypeVar("T")


async def telling(tell: Tell | None, total: int, work: Callable[[Say], Awaitable[T]]) -> T:
    """Do `work`, which says its steps, of `total`; all of them are told before its result is returned."""
    if tell is None:
        return await work(unheard)
    steps: asyncio.Queue[str | None] = asyncio.Queue()
    teller = asyncio.create_task(_tell(steps, tell, total))
    try:
        result = await work(steps.put_nowait)
        steps.put_nowait(None)
        await teller
        return result
    finally:
        teller.cancel()


async def _tell(steps: asyncio.Queue[str | None], tell: Tell, total: int) -> None:
    done = 0
    while (step := await steps.get()) is not None:
        done += 1
        await tell(done, max(done, total), step)
