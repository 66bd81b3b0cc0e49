"""What a server says of itself when it starts."""

import asyncio
import logging
from pathlib import Path

import pytest

from macroslow.bootstrap.edges.serving import Started, serve
from macroslow.bootstrap.notes import PLAIN_HTTP
from macroslow.settings import load


async def started(file: Path) -> Started:
    """Serve until it is told where, then end in order."""
    told: asyncio.Queue[Started] = asyncio.Queue()
    serving = asyncio.create_task(serve(load(file, {}), told.put_nowait))
    try:
        async with asyncio.timeout(60):
            return await told.get()
    finally:
        serving.cancel()
        await asyncio.wait({serving})


@pytest.mark.parametrize(
    ("listen", "warned"), [("0.0.0.0:0", True), ("127.0.0.1:0", False)], ids=["every address", "this machine"]
)
async def test_plain_http_beyond_this_machine_is_a_warning_in_the_log_too(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, listen: str, warned: bool
) -> None:
    file = tmp_path / "macroslow.toml"
    file.write_text(f'[server]\nlisten = "{listen}"\n[sandbox]\nbackend = "none"\n')
    told = await started(file)
    assert (PLAIN_HTTP in told.notes) == warned
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert (PLAIN_HTTP in warnings) == warned


async def test_a_start_tells_where_it_listens_and_with_which_sandbox(tmp_path: Path) -> None:
    file = tmp_path / "macroslow.toml"
    file.write_text('[server]\nlisten = "[::1]:0"\n[sandbox]\nbackend = "none"\n')
    told = await started(file)
    assert told.url.startswith("http://[::1]:")
    assert told.sandbox == "none"
    assert [note for note in told.notes if "code blocks are refused" in note]
    assert not [note for note in told.notes if "after a crash" in note or "new work" in note]


async def test_a_start_that_takes_no_work_says_so_first(tmp_path: Path) -> None:
    file = tmp_path / "macroslow.toml"
    listen = '[server]\nlisten = "127.0.0.1:0"\n'
    file.write_text(f'{listen}[sandbox]\nbackend = "none"\n[log]\ndisk_reserve_mib = 1048576\n')
    first, *_ = (await started(file)).notes
    assert first.startswith("no new work is taken: ")
    assert "[log] disk_reserve_mib" in first
