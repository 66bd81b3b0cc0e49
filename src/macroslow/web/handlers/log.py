"""The log for those who check it: its newest checkpoint, its tiles and entries (C2SP tlog-tiles).

A tile never changes, so whoever has it need not ask again; a checkpoint is asked for again each time and is
told apart by its digest. Where the log is public nobody is asked who he is, and shared caches may keep tiles.
"""

import hashlib
from typing import Final

from macroslow.tlog.tiles import FOLDER
from macroslow.web.application import Application
from macroslow.web.media_types import BYTES, TEXT
from macroslow.web.messages import Headers, Request, Response

_TEXT: Final = (b"content-type", f"{TEXT}; charset=utf-8".encode("ascii"))
_BYTES: Final = (b"content-type", BYTES.encode("ascii"))
_FOR_EVER: Final = b"max-age=31536000, immutable"  # RFC 8246; a year is as long as it gets


async def checkpoint(application: Application, request: Request) -> Response:
    """The newest signed tree head (C2SP tlog-checkpoint); 304 to whoever has it already."""
    note = await application.checkpoint()
    tag = b'"%b"' % hashlib.sha256(note).hexdigest()[:32].encode("ascii")
    headers: Headers = ((b"etag", tag), _cached(request, b"no-cache"))
    if _has(request, tag):
        return Response(304, headers)
    return Response(200, (_TEXT, *headers), note)


async def tile(application: Application, request: Request) -> Response:
    """A tile of hashes, or a bundle of entries."""
    content = await application.tile(f"{FOLDER}/{request.params['path']}")
    return Response(200, (_BYTES, _cached(request, _FOR_EVER)), content)


def _cached(request: Request, how: bytes) -> tuple[bytes, bytes]:
    """Who may keep it, and how. Not left to the default: a cache knows `authorization`, not `x-api-key`."""
    whose = b"public" if request.principal is None else b"private"
    return (b"cache-control", b"%b, %b" % (whose, how))


def _has(request: Request, tag: bytes) -> bool:
    """Whether If-None-Match names the tag (RFC 9110 section 13.1.2: weak comparison)."""
    given = request.header(b"if-none-match") or b""
    return given.strip() == b"*" or tag in (each.strip().removeprefix(b"W/") for each in given.split(b","))
