"""The log's files as strangers read them: tiles and bundles of entries (C2SP tlog-tiles), and no payload.

Served is what a signed checkpoint covers, and nothing beyond: nobody could check more. Such a file never
changes; narrower ones stay for those who keep an older checkpoint.
"""

from dataclasses import dataclass

from macroslow.errors import LogUnavailableError, NotFoundError
from macroslow.services.audit.checkpoint_log import CheckpointLog
from macroslow.tlog.tiles import TileFile, bundle
from macroslow.workflow.books import Books


@dataclass(frozen=True, slots=True)
class ReadTiles:
    """Reads one file by its path. A path costs nothing before it was held against the tree's size."""

    books: Books
    checkpoints: CheckpointLog

    async def __call__(self, path: str) -> bytes:
        """Return the content of `tile/…`. NotFoundError for what no signed checkpoint covers."""
        wanted = TileFile.parse(path)
        if wanted is None or not await self._is_covered(wanted):
            raise NotFoundError("the log has no such file", fix="read GET /log/checkpoint: it says how far")
        if wanted.level is None:
            return bundle(await self.books.leaves(wanted.start, wanted.end))
        tile = await self.books.tile(wanted.level, wanted.index, wanted.width)
        if tile is None:
            raise LogUnavailableError(f"the stored tree lacks {path}, which its checkpoint covers")
        return tile

    async def _is_covered(self, wanted: TileFile) -> bool:
        size, _ = await self.checkpoints.covering(0)
        if wanted.is_of(size):
            return True
        stored = await self.books.checkpoint()  # another process on the same books may have signed more
        return stored is not None and wanted.is_of(stored[0])
