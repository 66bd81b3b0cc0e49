"""The log as a folder of files, so that any web server is a mirror of it (C2SP tlog-tiles).

Nothing is believed on the way, neither what the gateway sends nor what the folder has: each file must lie
under the root of the checkpoint, which is looked at from the top down, and the tree must extend the one that
the folder has a checkpoint of. So a history that was rewritten is found here. What fits is kept, what is
missing is written, and what differs is named and stays. The checkpoint comes last: at every moment the
folder holds all that its checkpoint covers.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, Protocol

from macroslow.errors import VerificationError
from macroslow.ports import Progress, unheard
from macroslow.tlog import note as notes
from macroslow.tlog.leaf import leaf_hash
from macroslow.tlog.note import Body
from macroslow.tlog.tiles import CHECKPOINT, TileFile, files_of, levels_of, partial_of, unbundle
from macroslow.tlog.tree import (
    HASH_BYTES,
    TILE_WIDTH,
    Edge,
    consistency_proof,
    tile_root,
    verify_consistency,
)

FILES_AT_ONCE: Final = 128  # 2.5 MiB of entries: what one piece of an export may cost a gateway that serves
_KEEP: Final = "keep it as evidence, and export into another folder"

Fetch = Callable[[Sequence[str]], Sequence[bytes]]
"""The content of some of the log's files, up to FILES_AT_ONCE, by their paths."""


class Folder(Protocol):
    """Where the files go. OSError where that does not work."""

    def read(self, path: str) -> bytes | None:
        """What a file holds; None if there is none."""
        ...

    def write(self, path: str, content: bytes) -> None:
        """Make the file, or put this in its place: in one step, so that there is never half of it."""
        ...

    def settle(self) -> None:
        """Return when all that was written will outlast a loss of power."""
        ...


@dataclass(frozen=True, slots=True)
class Exported:
    """What the folder holds now: a log of `size` entries in `wrote` + `kept` files, and its checkpoint."""

    origin: str
    size: int
    root: bytes
    wrote: int
    kept: int


@dataclass(slots=True)
class ExportLog:
    """One export. VerificationError at the first thing that is not the log's, and it says which file."""

    fetch: Fetch
    folder: Folder
    progress: Progress = unheard
    _size: int = 0
    _edge: dict[int, bytes] = field(default_factory=dict)  # the partial tile of each level
    _above: tuple[TileFile | None, bytes] = (None, b"")  # the full tile that others were checked by last
    _wrote: int = 0
    _kept: int = 0

    def __call__(self, note: bytes) -> Exported:
        """Bring the folder up to the checkpoint `note`."""
        head = notes.parse_body(notes.parse(note).text)
        self._check_that_it_extends(head)
        self._take_edge(head)
        levels: list[int | None] = [*reversed(levels_of(head.size)), None]
        whole = sum(-(-(head.size >> 8 * (level or 0)) // TILE_WIDTH) for level in levels)
        for level in levels:  # each is checked by the one before it
            for files in _pieces(files_of(level, head.size)):
                self._bring(files)
                self.progress(self._wrote + self._kept, whole)
        self.folder.settle()
        if self.folder.read(CHECKPOINT) != note:
            self.folder.write(CHECKPOINT, note)
            self.folder.settle()
        return Exported(head.origin, head.size, head.root, self._wrote, self._kept)

    def _check_that_it_extends(self, head: Body) -> None:
        """Whether the tree is a later one of what the folder is a mirror of."""
        kept = self.folder.read(CHECKPOINT)
        if kept is None:
            return
        try:
            before = notes.parse_body(notes.parse(kept).text)
            if before.origin != head.origin:
                raise VerificationError(f"it is of the log {before.origin!r}, not {head.origin!r}")
            if before.size > head.size:
                raise VerificationError(f"it has {before.size} entries, the log has {head.size} left")
            proof = consistency_proof(before.size, head.size, self._fetch_tile)
            verify_consistency(before.size, before.root, head.size, head.root, proof)
        except VerificationError as error:
            told = f"{CHECKPOINT} of the folder is not the log's: {error.detail}"
            raise VerificationError(told, fix=_KEEP) from None

    def _fetch_tile(self, level: int, index: int, width: int) -> bytes:
        return self.fetch([TileFile(level, index, width).path])[0]

    def _take_edge(self, head: Body) -> None:
        """Fetch the partial tiles, which make the root: VerificationError unless it is the checkpoint's."""
        partial = {level: partial_of(level, head.size) for level in levels_of(head.size)}
        files = {level: file.path for level, file in partial.items() if file is not None}
        self._size = head.size
        self._edge = dict(zip(files, self.fetch([*files.values()]), strict=True))
        edge = Edge.rebuild(head.size, lambda level, _index, _width: self._edge[level])
        if edge.head().root != head.root:
            raise VerificationError("the gateway's own tiles do not make the root of its checkpoint")

    def _bring(self, files: Sequence[TileFile]) -> None:
        missing = []
        for file in files:
            content = self.folder.read(file.path)
            if content is None:
                missing.append(file)
            elif self._fits(file, content):
                self._kept += 1
            else:
                raise VerificationError(f"{file.path} of the folder is not the log's: it differs", fix=_KEEP)
        if not missing:
            return
        fetched = self.fetch([file.path for file in missing])
        for file, content in zip(missing, fetched, strict=True):
            if not self._fits(file, content):
                raise VerificationError(f"{file.path} of the gateway does not lie under its checkpoint")
            self.folder.write(file.path, content)
            self._wrote += 1

    def _fits(self, file: TileFile, content: bytes) -> bool:
        """Whether the tree of the checkpoint has this content at this place."""
        if file.level is None:
            try:
                entries = unbundle(content)
            except VerificationError:
                return False
            return b"".join(map(leaf_hash, entries)) == self._tile(0, file.index)
        if file.is_partial:
            return content == self._edge[file.level]
        place = file.index % TILE_WIDTH * HASH_BYTES
        above = self._tile(file.level + 1, file.index // TILE_WIDTH)[place : place + HASH_BYTES]
        return len(content) == TILE_WIDTH * HASH_BYTES and tile_root(content) == above

    def _tile(self, level: int, index: int) -> bytes:
        """A tile that is known to be the tree's: a full one was checked before, another is of the edge."""
        file = TileFile(level, index)
        if not file.is_of(self._size):
            return self._edge[level]
        if self._above[0] != file:
            self._above = (file, self.folder.read(file.path) or b"")
        return self._above[1]


def _pieces(files: Iterator[TileFile]) -> Iterator[list[TileFile]]:
    while piece := list(islice(files, FILES_AT_ONCE)):
        yield piece
