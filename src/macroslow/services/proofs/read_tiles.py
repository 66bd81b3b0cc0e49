"""The log's files as strangers read them: checkpoint, tiles and entries (C2SP tlog-tiles), and no payload.

Served is what the newest published checkpoint covers, and nothing beyond: nobody could check more. A tile
never changes; narrower ones stay for those who keep an older checkpoint.
"""

from dataclasses import dataclass

from macroslow.errors import LogUnavailableError, NotFoundError
from macroslow.services.signing.checkpoint_log import CheckpointLog
from macroslow.tlog.tiles import CHECKPOINT, TileFile, bundle
from macroslow.workflow.books import Books


@dataclass(frozen=True, slots=True)
class ReadTiles:
    """Reads one file by its path. A path costs nothing before it was held against the tree's size."""

    books: Books
    checkpoints: CheckpointLog

    async def __call__(self, path: str) -> bytes:
        """Return the content of `checkpoint` or `tile/…`. NotFoundError for what is not covered by it."""
        if path == CHECKPOINT:
            return (await self.checkpoints.published()).note
        wanted = TileFile.parse(path)
        if wanted is None or not wanted.is_of((await self.checkpoints.published()).size):
            raise NotFoundError("the log has no such file", fix="read GET /log/checkpoint: it says how far")
        if wanted.level is None:
            return bundle(await self.books.leaves(wanted.start, wanted.end))
        tile = await self.books.tile(wanted.level, wanted.index, wanted.width)
        if tile is None:
            raise LogUnavailableError(f"the stored tree lacks {path}, which its checkpoint covers")
        return tile
