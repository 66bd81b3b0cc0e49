"""A gateway at work, to be killed: concurrent calls, each acknowledged on stdout once it is durable.

Lines: `reserved ID`, `refused BUDGET`, `settled ID COST INDEX LEAF`, `head SIZE ROOT`. One line is one
write, so none is torn. Every call is held in two budgets; the day's of its tag is spent soon.
"""

import asyncio
import os
import sys
from pathlib import Path

from tests.adapters.sqlite.support import open_books
from tests.contract.changes import append, reserve, settle

from macroslow.adapters.sqlite import COMMIT_WINDOW_NS
from macroslow.errors import BudgetExhaustedError
from macroslow.metering.ledger import Budget, OpenAccount

CALLERS = 24
RESERVED = 100
ALL = Budget("all/total", 10**9)
TAGS = 4
DAY_LIMIT = 12_345


def say(line: str) -> None:
    os.write(1, f"{line}\n".encode())


async def main(path: Path, round_name: str) -> None:
    books = await open_books(path, commit_window_ns=COMMIT_WINDOW_NS // 5)
    await books.commit(OpenAccount("key/k1", None))

    async def calls(caller: int) -> None:
        for n in range(1_000_000):
            name = f"{round_name}-{caller}-{n}"
            day = Budget(f"tag/{caller % TAGS}/day/1970-01-0{1 + n // 50}", DAY_LIMIT)
            try:
                await books.commit(reserve(name, "key/k1", RESERVED, budgets=(ALL, day), owner=round_name))
            except BudgetExhaustedError as error:
                say(f"refused {error.budget}")
                continue
            say(f"reserved {name}")
            cost = (caller * 7 + n) % RESERVED
            (entry,) = await books.commit(settle(name, cost), append(n, f"subject {caller}"))
            say(f"settled {name} {cost} {entry.index} {entry.leaf.hex()}")

    async def heads() -> None:
        while True:
            head = await books.head()
            say(f"head {head.size} {head.root.hex()}")
            await books.commit(append(0, "server"))

    await asyncio.gather(heads(), *(calls(caller) for caller in range(CALLERS)))


asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
