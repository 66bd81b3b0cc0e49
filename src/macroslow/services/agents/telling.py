"""Progress that holds nothing up: steps are noted as they are done and told as fast as the caller listens."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from macroslow.mcp.ask import Tell

T = TypeVar("T")
Step = tuple[float, float | None, str]
"""So much is done, of so much if that is known, in a few words."""
Note = Callable[[Step], None]


async def telling(tell: Tell, work: Callable[[Note], Awaitable[T]]) -> T:
    """Do `work`, which notes its steps; all of them are told before its result is returned."""
    steps: asyncio.Queue[Step | None] = asyncio.Queue()
    teller = asyncio.create_task(_tell(steps, tell))
    try:
        result = await work(steps.put_nowait)
        steps.put_nowait(None)
        await teller
        return result
    finally:
        teller.cancel()


async def _tell(steps: asyncio.Queue[Step | None], tell: Tell) -> None:
    while (step := await steps.get()) is not None:
        await tell(*step)
