"""A process that is stopped over its second batch: everything is written, its COMMIT is not sent yet.

Says `INDEX LEAF` of each of its three entries, on a line of its own.
"""

import asyncio
import os
import signal
import sys
from typing import Any

from tests.adapters.postgres.support import open_books
from tests.contract.changes import append

from macroslow.adapters.postgres import _writer

write, written = _writer.write, 0


async def write_and_stop(connection: Any, *rest: Any) -> None:
    global written
    await write(connection, *rest)
    written += 1
    if written == 2:
        # Ten seconds in production. It does not matter how fast the machine is: the lock is held until then.
        try:
            await connection.execute("SET LOCAL idle_in_transaction_session_timeout = '100ms'")
        finally:
            os.kill(os.getpid(), signal.SIGSTOP)


async def main(url: str) -> None:
    books = await open_books(url, "stopped")
    for number in range(3):
        (entry,) = await books.commit(append(number, "of the stopped"))
        os.write(1, f"{entry.index} {entry.leaf.hex()}\n".encode())
    await books.close()


_writer.write = write_and_stop
asyncio.run(main(sys.argv[1]))
