"""Calling a running server's verbs."""

import socket
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import orjson

from macroslow.control.server import MAX_LINE_BYTES, connect
from macroslow.errors import MacroslowError, Problem, ProblemsError, TooLargeError
from macroslow.ports import Progress, unheard


class RemoteError(ProblemsError):
    """What the running server refused, told as it told it; `remote_code` is its own error's code."""

    def __init__(self, code: str, detail: str, fix: str, step: str, problems: tuple[Problem, ...]) -> None:
        super().__init__(detail, problems, fix=fix, step=step)
        self.remote_code = code


def is_alive(path: Path) -> bool:
    """Tell whether a server listens at `path`."""
    try:
        connect(path).close()
    except OSError:
        return False
    return True


def call(
    path: Path,
    verb: str,
    arguments: Mapping[str, object],
    progress: Progress = unheard,
    wait_s: float | None = None,
) -> object:
    """Perform one verb and return its result; RemoteError if it was refused.

    A long one tells `progress` how far it is. Whoever stops waiting ends it, if it changes nothing.
    TimeoutError where `wait_s` is given, and nothing was heard for so long.
    """
    request = orjson.dumps({"verb": verb, "arguments": arguments}) + b"\n"
    if len(request) > MAX_LINE_BYTES:
        raise TooLargeError(
            f"{verb} takes at most {MAX_LINE_BYTES} bytes", limit_bytes=MAX_LINE_BYTES, step="size"
        )
    with closing(connect(path)) as connection, connection.makefile("rwb") as stream:
        connection.settimeout(wait_s)
        stream.write(request)
        stream.flush()
        for line in stream:
            match orjson.loads(line):
                case {"progress": {"done": int(done), "of": int(of)}}:
                    progress(done, of)
                case {"result": result}:
                    return result
                case {"error": {"code": str(code), "detail": str(detail), **rest}}:
                    raise _remote(code, detail, rest)
                case _:
                    break
    raise MacroslowError("the running server broke off", fix="look at its log, then try again")


def begin_conversation(path: Path, arguments: Mapping[str, object]) -> socket.socket:
    """Return a connection on which a conversation has begun.

    OSError if nobody listens, or hangs up; RemoteError if it was refused.
    """
    connection = connect(path)
    try:
        connection.sendall(orjson.dumps({"converse": arguments}) + b"\n")
        match orjson.loads(_first_line(connection)):
            case {"error": {"code": str(code), "detail": str(detail), **rest}}:
                raise _remote(code, detail, rest)
    except BaseException:
        connection.close()
        raise
    return connection


def _first_line(connection: socket.socket) -> bytes:
    """Read no further than its end: what follows is the conversation's."""
    line = bytearray()
    while not line.endswith(b"\n"):
        byte = connection.recv(1)
        if not byte:
            raise ConnectionResetError("the running server hung up")
        line += byte
    return bytes(line)


def _remote(code: str, detail: str, rest: Mapping[object, object]) -> RemoteError:
    listed = rest.get("problems")
    problems = tuple(Problem(**problem) for problem in listed) if isinstance(listed, list) else ()
    return RemoteError(code, detail, str(rest.get("fix", "")), str(rest.get("step", "")), problems)
