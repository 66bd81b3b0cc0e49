"""One of several gateway processes on one database: concurrent calls, each acknowledged on stdout.

Lines: `reserved ID`, `settled ID COST INDEX LEAF`, `refused ID`, `lost ID` (the database was away),
`head SIZE ROOT`, `done`. One line is one write, so none is torn.
"""

import asyncio
import os
import random
import sys
from contextlib import suppress

from tests.adapters.postgres.support import open_books
from tests.contract.changes import append, reserve, settle

from macroslow.adapters.postgres import COMMIT_WINDOW_NS
from macroslow.errors import BudgetExhaustedError, LogUnavailableError
from macroslow.metering.ledger import Budget, OpenAccount

CALLERS = 16
RESERVED = 2_500
DOLLAR = Budget("all/total", 1_000_000)


def say(line: str) -> None:
    os.write(1, f"{line}\n".encode())


async def main(url: str, owner: str, calls: int) -> None:
    books = await open_books(url, owner, commit_window_ns=COMMIT_WINDOW_NS)
    chance = random.Random(owner)
    waiting = [(f"{owner}-{n}", chance.randint(0, RESERVED)) for n in range(calls)]
    await books.commit(OpenAccount("key/k1", None))
    long_call = f"{owner}-long"  # under way all the time
    await books.commit(reserve(long_call, "key/k1", RESERVED, owner=owner, budgets=(DOLLAR,)))
    say(f"reserved {long_call}")

    async def caller() -> None:
        while waiting:
            name, cost = waiting.pop()
            try:
                await call(name, cost)
            except LogUnavailableError:
                say(f"lost {name}")
                await server_is_back()

    async def server_is_back() -> None:
        while True:
            with suppress(LogUnavailableError):
                await books.head()
                return
            await asyncio.sleep(0.05)

    async def call(name: str, cost: int) -> None:
        try:
            await books.commit(reserve(name, "key/k1", RESERVED, owner=owner, budgets=(DOLLAR,)))
        except BudgetExhaustedError:
            say(f"refused {name}")
            return
        say(f"reserved {name}")
        await end(name, cost)

    async def end(name: str, cost: int) -> None:
        (entry,) = await books.commit(settle(name, cost), append(cost, f"subject of {owner}"))
        say(f"settled {name} {cost} {entry.index} {entry.leaf.hex()}")
        if entry.index % 10 == 0:
            head = await books.head()
            say(f"head {head.size} {head.root.hex()}")

    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    await server_is_back()
    await end(long_call, 0)
    say("done")
    await books.close()


asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
