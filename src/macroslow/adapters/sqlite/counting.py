"""How many entries books hold, told without opening them for use: nothing is made, changed or locked."""

from contextlib import closing
from pathlib import Path

from macroslow.adapters.sqlite._errors import translated
from macroslow.adapters.sqlite._schema import open_still
from macroslow.errors import ConfigurationError


def entries_in(path: Path) -> int:
    """The number of log entries in the books at `path`, 0 where there are none.

    ConfigurationError for a file that is none of our books.
    """
    if not path.exists() or not path.stat().st_size:
        return 0
    with translated(path, ConfigurationError), closing(open_still(path)) as books:
        (last,) = books.execute("SELECT max(n) FROM entries").fetchone()
    return 0 if last is None else int(last) + 1
