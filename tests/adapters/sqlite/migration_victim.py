"""A start with older books, which is killed after so many statements of their migration."""

import asyncio
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.adapters.sqlite.support import open_books

from macroslow.adapters.sqlite import _migrations


def until_killed(statements: tuple[str, ...], count: int) -> Iterator[str]:
    yield from statements[:count]
    os.kill(os.getpid(), signal.SIGKILL)


path, version, count = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
changed: Any = {**_migrations.MIGRATIONS, version: until_killed(_migrations.MIGRATIONS[version], count)}
_migrations.MIGRATIONS = changed  # type: ignore[misc]
asyncio.run(open_books(path))
