"""A gateway's core at work, to be killed or to have its system calls fail: it says what it was promised.

Lines: `entry INDEX LEAF` once an entry is durable, `checkpoint SIZE ROOT` once a checkpoint was signed and
kept, `failed ERROR` for a commit or checkpoint that was refused. One line is one write, so none is torn.
"""

import asyncio
import base64
import os
import sys
from pathlib import Path

from macroslow.bootstrap.state.core import Core, open_core
from macroslow.errors import LogUnavailableError
from macroslow.settings.load import load
from macroslow.tlog import note
from macroslow.tlog.event import Event, EventType
from macroslow.tlog.ports import Append

CALLERS = 16


def say(line: str) -> None:
    os.write(1, f"{line}\n".encode())


async def append(core: Core, number: int) -> None:
    event = Event(EventType.CHAT_COMPLETED, number, f"person {number % 40}", {"number": number})
    try:
        (entry,) = await core.books.commit(Append(event))
    except LogUnavailableError as error:
        say(f"failed {error.reason or error.detail}")
        await asyncio.sleep(0.001)
    else:
        say(f"entry {entry.index} {base64.b64encode(entry.leaf).decode()}")


async def sign(core: Core) -> None:
    try:
        body = note.parse_body(note.parse(await core.checkpoints.newest()).text)
    except LogUnavailableError as error:
        say(f"failed {error.reason or error.detail}")
        await asyncio.sleep(0.001)
    else:
        say(f"checkpoint {body.size} {base64.b64encode(body.root).decode()}")


async def main(configuration: Path, entries: int) -> None:
    """Append until killed, or until so many were tried."""
    tried = iter(range(entries))
    async with open_core(load(configuration, {})) as core:

        async def caller() -> None:
            for number in tried:
                await append(core, number)

        async def signer() -> None:
            while True:
                if (await core.books.head()).size:
                    await sign(core)
                await asyncio.sleep(0.01)

        signing = asyncio.create_task(signer())
        await asyncio.gather(*(caller() for _ in range(CALLERS)))
        signing.cancel()
    say("ended")


asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
