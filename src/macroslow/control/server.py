"""Serving verbs on a Unix socket."""

import asyncio
import logging
import os
import socket
import struct
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Final, Protocol

import orjson

from macroslow.control._telling import HungUpError, Telling
from macroslow.errors import BadRequestError, MacroslowError, ProblemsError, TooLargeError
from macroslow.ports import Progress

MAX_LINE_BYTES: Final = 16 * 1024 * 1024  # a document of 1 MiB, escaped, with its inputs
SUN_PATH_BYTES: Final = 108  # of a Unix socket's name, its final zero included (unix(7))
CONVERSATION: Final = b'{"converse":'  # how the line begins that is no verb's
log: Final = logging.getLogger("macroslow.control")


class Converse(Protocol):
    """Holds a conversation on a connection that begins one, until it is over. Its first line is the result.

    A MacroslowError before that is told as that of a verb.
    """

    async def __call__(
        self, arguments: Mapping[str, object], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None: ...


class Perform(Protocol):
    """Performs one verb; a long one tells `progress` how far it is, and ends with what that raises."""

    async def __call__(self, verb: str, arguments: Mapping[str, object], *, progress: Progress) -> object: ...


@asynccontextmanager
async def serve_control(
    path: Path, perform: Perform, converse: Converse | None = None
) -> AsyncIterator[None]:
    """Serve `perform(verb, arguments)` on the socket at `path` until the context is left.

    With `converse` a connection may instead begin a conversation, and then has no verbs.

    What is under way then is cancelled and waited for. A verb whose asker hung up is ended where it tells
    its progress, and nowhere else: what changes something is not left by halves.
    """
    with suppress(FileNotFoundError):
        path.unlink()  # the state folder's lock says that nobody else serves here
    listener = socket.socket(socket.AF_UNIX)
    with _short_name(path) as name:
        listener.bind(name)
    path.chmod(0o600)  # nobody can connect before it listens
    conversations: set[asyncio.Task[None]] = set()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A task of our own: asyncio's would outlive the server and what its verbs work on.
        task = asyncio.create_task(_serve(reader, writer, perform, converse))
        conversations.add(task)
        task.add_done_callback(conversations.discard)

    server = await asyncio.start_unix_server(begin, sock=listener, limit=MAX_LINE_BYTES)
    try:
        yield
    finally:
        server.close()
        path.unlink(missing_ok=True)
        await asyncio.sleep(0)  # whoever was accepted just now has begun
        for task in conversations:
            task.cancel()
        if conversations:
            await asyncio.wait(conversations)


@contextmanager
def _short_name(path: Path) -> Iterator[str]:
    """A name for `path` that fits into SUN_PATH_BYTES, whatever the folder is called."""
    if len(os.fsencode(path)) < SUN_PATH_BYTES:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def connect(path: Path) -> socket.socket:
    """Return a connected socket; OSError if nobody listens."""
    connection = socket.socket(socket.AF_UNIX)
    try:
        with _short_name(path) as name:
            connection.connect(name)
    except OSError:
        connection.close()
        raise
    return connection


def _peer_uid(writer: asyncio.StreamWriter) -> int:
    peer = writer.get_extra_info("socket")
    _, uid, _ = struct.unpack(
        "3i", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    )
    return int(uid)


async def _serve(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    perform: Perform,
    converse: Converse | None,
) -> None:
    """One connection, from its owner or root alone."""
    try:
        if _peer_uid(writer) in {0, os.geteuid()}:
            await _attend(reader, writer, perform, converse)
        writer.close()
        await writer.wait_closed()
    except (ConnectionError, HungUpError):
        pass  # it went away
    finally:
        writer.transport.abort()  # where we were cancelled: nobody waits for what is not sent yet


async def _attend(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    perform: Perform,
    converse: Converse | None,
) -> None:
    while True:
        try:
            line = await reader.readuntil()
        except asyncio.IncompleteReadError:
            return
        except asyncio.LimitOverrunError:
            error = TooLargeError(
                f"a request has at most {MAX_LINE_BYTES} bytes", limit_bytes=MAX_LINE_BYTES, step="size"
            )
            writer.write(orjson.dumps({"error": _told(error)}) + b"\n")
            await writer.drain()
            return
        if converse is not None and (arguments := _conversation(line)) is not None:
            await _hold(arguments, reader, writer, converse)
            return
        writer.write(await _answer(line, perform, Telling(writer)) + b"\n")
        await writer.drain()


def _conversation(line: bytes) -> Mapping[str, object] | None:
    """What a line that begins a conversation says of it; None of a verb's line."""
    if not line.startswith(CONVERSATION):
        return None
    try:
        match orjson.loads(line):
            case {"converse": dict(arguments)}:
                return arguments
    except orjson.JSONDecodeError:
        pass
    return None


async def _hold(
    arguments: Mapping[str, object],
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    converse: Converse,
) -> None:
    try:
        await converse(arguments, reader, writer)
    except MacroslowError as error:
        writer.write(orjson.dumps({"error": _told(error)}) + b"\n")
        await writer.drain()
    except Exception:  # the outermost handler: its defect ends this conversation alone
        log.exception("a conversation failed")


async def _answer(line: bytes, perform: Perform, progress: Progress) -> bytes:
    try:
        match orjson.loads(line):
            case {"verb": str(verb), "arguments": dict(arguments)}:
                return orjson.dumps({"result": await perform(verb, arguments, progress=progress)})
            case _:
                raise BadRequestError("a line is {verb, arguments}")
    except orjson.JSONDecodeError as error:
        told = _told(BadRequestError(f"not JSON: {error}"))
    except MacroslowError as error:
        told = _told(error)
    except HungUpError:
        raise
    except Exception:  # the outermost handler: one verb's defect ends neither server nor conversation
        log.exception("a verb failed")
        told = {"code": "internal", "detail": "the running server failed at this; its log says where"}
    return orjson.dumps({"error": told})


def _told(error: MacroslowError) -> dict[str, object]:
    problems = error.problems if isinstance(error, ProblemsError) else ()
    return {
        "code": error.code,
        "title": error.title,
        "detail": error.detail,
        "fix": error.fix,
        "step": error.step,
        "problems": [asdict(problem) for problem in problems],
    }
