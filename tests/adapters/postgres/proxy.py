"""A way to the server that breaks at a COMMIT: before it is passed on, or after it took effect."""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

COMMIT = b"COMMIT\0"
SOCKET = ".s.PGSQL.5432"


class BreakingProxy:
    """Passes everything on until `broken` is set to "before" or "after" a COMMIT; then works once more."""

    def __init__(self, server_folder: Path, folder: Path) -> None:
        self._server = server_folder / SOCKET
        self._folder = folder
        self.broken = ""
        self.breaks = 0

    @property
    def url(self) -> str:
        return f"postgresql://macroslow@/postgres?host={self._folder}"

    async def serve(self, from_client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_unix_connection(self._server)
        held = asyncio.Event()  # set: nothing more goes back to the client

        async def back() -> None:
            while data := await from_server.read(65_536):
                if held.is_set() and COMMIT in data:
                    return
                to_client.write(data)
            to_client.close()

        answers = asyncio.create_task(back())
        with contextlib.suppress(ConnectionError):
            while data := await from_client.read(65_536):
                broken = self.broken if COMMIT in data else ""
                if broken:
                    self.broken, self.breaks = "", self.breaks + 1
                if broken == "before":
                    break
                if broken == "after":
                    held.set()
                to_server.write(data)
                if broken:
                    await answers
                    break
        to_server.close()
        to_client.close()
        await asyncio.wait([answers])


@asynccontextmanager
async def breaking_proxy(server_folder: Path) -> AsyncIterator[BreakingProxy]:
    with tempfile.TemporaryDirectory(prefix="macroslow-proxy-") as name:
        proxy = BreakingProxy(server_folder, Path(name))
        listening = await asyncio.start_unix_server(proxy.serve, Path(name) / SOCKET)
        yield proxy
        listening.close()
