"""One request to a proxy: which host it is for, and just as many bytes as are it.

A body has a length, or comes in chunks and is put into chunks of our own; what says both, or either in two
ways, is refused, since another server may read it as two requests.

Source: RFC 9110, sections 7.6.1 and 9.3.6 (CONNECT); RFC 9112, sections 3.2.2, 3.2.3, 6.3 and 7.1.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final

from macroslow.workflow.box import Host, read_host

_PIECE_BYTES: Final = 64 * 1024
_MAX_TRAILERS: Final = 100
_TUNNEL: Final = re.compile(rb"CONNECT ([!-~]{1,300}) HTTP/1\.[01]")
_PLAIN: Final = re.compile(rb"([A-Z]{1,20}) http://([^/?#@ ]{1,300})([/?][!-~]*)? HTTP/1\.[01]")
_FIELD: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n\0]*)")
_LENGTH: Final = re.compile(rb"[0-9]{1,15}")
_CHUNK: Final = re.compile(rb"([0-9A-Fa-f]{1,12})[ \t]*(?:;[^\r\n\0]*)?\r\n")
_HOP_BY_HOP: Final = frozenset(
    {b"connection", b"proxy-connection", b"keep-alive", b"proxy-authorization", b"te", b"upgrade", b"host"}
)


@dataclass(frozen=True, slots=True)
class Asked:
    """A host that the program wants to speak with, and what is to be sent to it first.

    `body_bytes` follow of a request that is no tunnel; None: they come in chunks.
    """

    host: Host
    first: bytes
    tunnel: bool
    body_bytes: int | None = 0


def read_head(head: bytes) -> Asked:
    """Read a proxy request up to its empty line. ValueError for what is none, or names no host."""
    line, *texts = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    if tunnel := _TUNNEL.fullmatch(line):
        return Asked(read_host(tunnel[1].decode()), b"", tunnel=True)
    plain = _PLAIN.fullmatch(line)
    if plain is None:
        raise ValueError("the proxy takes CONNECT, and http:// URLs")
    method, authority, path = plain.groups()
    has_port = re.search(rb":[0-9]+\Z", authority) is not None
    host = read_host((authority if has_port else authority + b":80").decode("ascii"))
    fields = [_field(text) for text in texts]
    target = path if path and path.startswith(b"/") else b"/" + (path or b"")
    lines = [
        b"%s %s HTTP/1.1" % (method, target),
        b"Host: " + authority,
        *(text for (name, _), text in zip(fields, texts, strict=True) if name not in _HOP_BY_HOP),
        b"Connection: close",
        b"",
        b"",
    ]
    return Asked(host, b"\r\n".join(lines), tunnel=False, body_bytes=_body_bytes(fields))


def _field(text: bytes) -> tuple[bytes, bytes]:
    found = _FIELD.fullmatch(text)
    if found is None:
        raise ValueError("a header field that is none")
    return found[1].lower(), found[2].strip(b" \t")


def _body_bytes(fields: Sequence[tuple[bytes, bytes]]) -> int | None:
    lengths = [value for name, value in fields if name == b"content-length"]
    codings = [value.lower() for name, value in fields if name == b"transfer-encoding"]
    if codings == [b"chunked"] and not lengths:
        return None
    if codings or len(lengths) > 1 or not all(map(_LENGTH.fullmatch, lengths)):
        raise ValueError("it does not say in one way how long its body is")
    return int(lengths[0]) if lengths else 0


async def body(reader: asyncio.StreamReader, body_bytes: int | None) -> AsyncIterator[bytes]:
    """The body as it is to be sent on, and not a byte behind it. EOFError or ValueError if it is cut off."""
    if body_bytes is not None:
        async for piece in _exactly(reader, body_bytes):
            yield piece
        return
    while size := await _chunk_bytes(reader):
        yield b"%x\r\n" % size
        async for piece in _exactly(reader, size):
            yield piece
        if await reader.readexactly(2) != b"\r\n":
            raise ValueError("a chunk that is longer than it says")
        yield b"\r\n"
    for _ in range(_MAX_TRAILERS):  # nobody needs them: read, and not sent on
        if await reader.readuntil(b"\r\n") == b"\r\n":
            yield b"0\r\n\r\n"
            return
    raise ValueError("too many trailers")


async def _chunk_bytes(reader: asyncio.StreamReader) -> int:
    found = _CHUNK.fullmatch(await reader.readuntil(b"\r\n"))
    if found is None:
        raise ValueError("a chunk that is none")
    return int(found[1], 16)


async def _exactly(reader: asyncio.StreamReader, count: int) -> AsyncIterator[bytes]:
    while count:
        piece = await reader.read(min(count, _PIECE_BYTES))
        if not piece:
            raise EOFError
        count -= len(piece)
        yield piece
