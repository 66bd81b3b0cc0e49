"""The control socket: one line in, one line out, whatever comes, and only for its owner."""

import asyncio
import contextlib
import itertools
import os
import socket
import stat
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import orjson
import pytest

from macroslow import control
from macroslow.control import _telling, server
from macroslow.errors import (
    BadRequestError,
    InvalidDocumentError,
    MacroslowError,
    MissingRightError,
    Problem,
    TooLargeError,
)
from macroslow.ports import Progress


class Verbs:
    """Verbs that echo, refuse, break or wait; they know what is under way."""

    def __init__(self) -> None:
        self.under_way = 0
        self.cancelled = 0
        self.hold = asyncio.Event()

    async def __call__(self, verb: str, arguments: Mapping[str, object], *, progress: Progress) -> object:
        match verb:
            case "long":
                return await self.long(arguments, progress)
            case "echo":
                return arguments
            case "refuse":
                problems = [Problem("a is wrong", "mend a", 3, "a.b", "f.toml"), Problem("b")]
                raise InvalidDocumentError("two problems", problems, fix="mend both", step="parse")
            case "right":
                raise MissingRightError("not yours", uri="api://x", fix="ask")
            case "defect":
                raise KeyError("sk-secret")
            case "not-json":
                return {"n": 2**70}
            case "wait":
                self.under_way += 1
                try:
                    await self.hold.wait()
                except asyncio.CancelledError:
                    self.cancelled += 1
                    raise
                finally:
                    self.under_way -= 1
                return {}
            case _:
                raise BadRequestError(f"no verb {verb!r}")

    async def long(self, arguments: Mapping[str, object], progress: Progress) -> object:
        """Work in pieces: so many, or without an end."""
        steps, done = arguments.get("steps"), 0
        self.under_way += 1
        try:
            for done in itertools.count(1) if steps is None else range(1, int(str(steps)) + 1):
                progress(done, 10)
                await asyncio.sleep(0)
        finally:
            self.under_way -= 1
        return {"done": done}


@pytest.fixture
def verbs() -> Verbs:
    return Verbs()


@pytest.fixture
async def path(tmp_path: Path, verbs: Verbs) -> AsyncIterator[Path]:
    path = tmp_path / "control.sock"
    async with control.serve_control(path, verbs):
        yield path


async def ask(path: Path, verb: str, **arguments: object) -> object:
    return await asyncio.to_thread(control.call, path, verb, arguments)


async def raw(path: Path, *sent: bytes, end: bool = True) -> list[bytes]:
    """Send bytes as they are; every line that comes back until the end."""
    reader, writer = await asyncio.open_unix_connection(path, limit=2**25)
    for piece in sent:
        writer.write(piece)
        await writer.drain()
    if end:
        writer.write_eof()
    lines = (await reader.read()).splitlines()
    await shut(writer)
    return lines


async def shut(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


async def test_a_verb_gets_its_arguments_and_returns_its_result(path: Path) -> None:
    given = {"text": "ä\n\u2028", "n": 2**53, "deep": [{"a": [None, True, 1.5]}]}
    assert await ask(path, "echo", **given) == given


async def test_an_error_is_told_whole(path: Path) -> None:
    with pytest.raises(control.RemoteError) as refused:
        await ask(path, "refuse")
    error = refused.value
    assert (error.remote_code, error.detail, error.fix, error.step) == (
        "invalid-document",
        "two problems",
        "mend both",
        "parse",
    )
    assert error.problems == (Problem("a is wrong", "mend a", 3, "a.b", "f.toml"), Problem("b"))
    with pytest.raises(control.RemoteError) as refused:
        await ask(path, "right")
    assert (refused.value.remote_code, refused.value.fix, refused.value.problems) == (
        "missing-right",
        "ask",
        (),
    )


@pytest.mark.parametrize("verb", ["defect", "not-json"])
async def test_a_defect_is_told_as_one_and_ends_nothing(path: Path, verb: str, caplog) -> None:
    line = orjson.dumps({"verb": verb, "arguments": {}}) + b"\n"
    first, second = await raw(path, line, orjson.dumps({"verb": "echo", "arguments": {"a": 1}}) + b"\n")
    assert orjson.loads(first)["error"]["code"] == "internal"
    assert b"sk-secret" not in first
    assert orjson.loads(second) == {"result": {"a": 1}}
    assert "a verb failed" in caplog.text


@pytest.mark.parametrize(
    "line",
    [b"", b"null", b"[]", b"{}", b"\xff\xfe", b"GET / HTTP/1.1", b'{"verb": 1, "arguments": {}}',
     b'{"verb": "echo"}', b'{"verb": "echo", "arguments": []}', b'"\\ud800"', b"[" * 200_000, b"\0" * 1000,
     b'{"verb": "unknown", "arguments": {"__class__": 1}}'],
)  # fmt: skip
async def test_a_line_that_is_no_request_is_refused_and_the_next_is_served(path: Path, line: bytes) -> None:
    first, second = await raw(path, line + b"\n" + orjson.dumps({"verb": "echo", "arguments": {}}) + b"\n")
    assert orjson.loads(first)["error"]["code"] == "bad-request"
    assert orjson.loads(second) == {"result": {}}


async def test_half_a_line_does_nothing(path: Path) -> None:
    assert await raw(path, b'{"verb": "echo", "arguments": {}}') == []
    assert await raw(path, b"") == []


async def test_a_line_in_pieces_is_one_line(path: Path) -> None:
    line = orjson.dumps({"verb": "echo", "arguments": {"a": "b" * 100}}) + b"\n"
    (answer,) = await raw(path, *(line[at : at + 1] for at in range(len(line))))
    assert orjson.loads(answer) == {"result": {"a": "b" * 100}}


async def test_a_line_over_the_limit_is_refused_and_the_connection_ends(path, monkeypatch) -> None:
    """Told before all of it has come; who goes on sending regardless is cut off."""
    answers = await raw(path, b"a" * (server.MAX_LINE_BYTES + 65536), end=False)
    assert orjson.loads(answers[0])["error"]["code"] == "too-large"
    assert await ask(path, "echo", a=1) == {"a": 1}


async def test_what_is_too_large_is_not_even_sent(path: Path) -> None:
    with pytest.raises(TooLargeError):
        await ask(path, "echo", a="b" * server.MAX_LINE_BYTES)


async def test_a_large_request_within_the_limit_passes(path: Path) -> None:
    text = "b" * (8 * 1024 * 1024)
    assert await ask(path, "echo", a=text) == {"a": text}


async def test_many_connections_are_served_beside_idle_ones(path: Path) -> None:
    idle = [await asyncio.open_unix_connection(path) for _ in range(100)]
    answers = await asyncio.gather(
        *(raw(path, orjson.dumps({"verb": "echo", "arguments": {"n": n}}) + b"\n") for n in range(100))
    )
    assert [orjson.loads(lines[0])["result"]["n"] for lines in answers] == [*range(100)]
    for _, writer in idle:
        await shut(writer)


async def test_a_client_that_goes_away_harms_nobody(path: Path, verbs: Verbs) -> None:
    _, writer = await asyncio.open_unix_connection(path)
    writer.write(orjson.dumps({"verb": "echo", "arguments": {"a": "b" * 1_000_000}}) + b"\n")
    writer.transport.abort()
    assert await ask(path, "echo") == {}


def told_always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_telling, "EVERY_S", 0)


async def test_a_long_verb_tells_how_far_it_is_before_its_result(path: Path, monkeypatch) -> None:
    told_always(monkeypatch)
    heard: list[tuple[int, int]] = []
    found = await asyncio.to_thread(
        control.call, path, "long", {"steps": 10}, lambda done, of: heard.append((done, of))
    )
    assert found == {"done": 10}
    assert heard[0] == (1, 10)
    assert heard == sorted(set(heard))
    request = orjson.dumps({"verb": "long", "arguments": {"steps": 1}}) + b"\n"
    lines = [orjson.loads(line) for line in await raw(path, request)]  # also to who will send no more
    assert lines == [{"progress": {"done": 1, "of": 10}}, {"result": {"done": 1}}]


async def test_progress_is_told_no_oftener_than_a_person_reads_it(path: Path, monkeypatch) -> None:
    monkeypatch.setattr(_telling, "EVERY_S", 3600)
    heard: list[int] = []
    await asyncio.to_thread(control.call, path, "long", {"steps": 1000}, lambda done, _: heard.append(done))
    assert heard == []


async def test_who_does_not_read_the_progress_is_told_no_more_of_it(path, verbs: Verbs, monkeypatch) -> None:
    """What waits to be sent does not grow with the work: a line is told where the one before was taken."""
    told_always(monkeypatch)
    sizes = []
    client = server.connect(path)
    client.sendall(b'{"verb": "long", "arguments": {}}\n')
    loop = asyncio.get_running_loop()
    real = asyncio.StreamWriter.write

    def write(self: asyncio.StreamWriter, data: bytes) -> None:
        real(self, data)
        sizes.append(self.transport.get_write_buffer_size())

    monkeypatch.setattr(asyncio.StreamWriter, "write", write)
    until_s = loop.time() + 30
    while not any(sizes) and loop.time() < until_s:  # the socket itself takes some first
        await asyncio.sleep(0)
    for _ in range(200):
        await asyncio.sleep(0)
    assert 0 < max(sizes) < 200
    client.close()
    while verbs.under_way:
        await asyncio.sleep(0)


async def test_a_long_verb_ends_when_its_asker_hangs_up(path: Path, verbs: Verbs, monkeypatch) -> None:
    told_always(monkeypatch)
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(b'{"verb": "long", "arguments": {}}\n')
    assert "progress" in orjson.loads(await reader.readline())
    assert verbs.under_way == 1
    await shut(writer)
    while verbs.under_way:
        await asyncio.sleep(0)
    assert await ask(path, "echo", a=1) == {"a": 1}


async def test_a_caller_that_is_interrupted_while_it_waits_ends_the_verb(path, verbs, monkeypatch) -> None:
    """As by Ctrl-C: whatever is raised in the caller closes the connection."""
    told_always(monkeypatch)

    def interrupted(_done: int, _of: int) -> None:
        raise KeyError("Ctrl-C")

    with pytest.raises(KeyError):
        await asyncio.to_thread(control.call, path, "long", {}, interrupted)
    while verbs.under_way:
        await asyncio.sleep(0)


async def test_a_verb_that_tells_nothing_is_not_left_by_halves(path: Path, verbs: Verbs) -> None:
    """It may be a revocation: whoever hangs up does not undo it."""
    _, writer = await asyncio.open_unix_connection(path)
    writer.write(b'{"verb": "wait", "arguments": {}}\n')
    while not verbs.under_way:
        await asyncio.sleep(0)
    await shut(writer)
    assert await ask(path, "echo") == {}
    assert (verbs.under_way, verbs.cancelled) == (1, 0)
    verbs.hold.set()
    while verbs.under_way:
        await asyncio.sleep(0)
    assert verbs.cancelled == 0


async def test_verbs_under_way_are_cancelled_and_waited_for_when_the_server_ends(tmp_path, verbs) -> None:
    path = tmp_path / "control.sock"
    async with control.serve_control(path, verbs):
        waiting = asyncio.create_task(ask(path, "wait"))
        while not verbs.under_way:
            await asyncio.sleep(0.001)
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b'{"verb": "echo", "arguments": {}}\n')
        assert await reader.readline() == b'{"result":{}}\n'  # and now it is idle
    assert (verbs.under_way, verbs.cancelled) == (0, 1)
    with pytest.raises((MacroslowError, ConnectionError)):
        await waiting
    assert await reader.read() == b""
    await shut(writer)
    assert not path.exists()


async def test_a_server_that_breaks_off_is_said_to_have_done_so(tmp_path: Path) -> None:
    async def close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.close()

    path = tmp_path / "control.sock"
    async with await asyncio.start_unix_server(close, path):
        with pytest.raises(MacroslowError, match="broke off"):
            await ask(path, "echo")


async def test_the_socket_is_its_owners_alone_and_goes_with_the_server(tmp_path: Path, verbs: Verbs) -> None:
    path = tmp_path / "control.sock"
    old = os.umask(0)
    try:
        async with control.serve_control(path, verbs):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert control.is_alive(path)
    finally:
        os.umask(old)
    assert not control.is_alive(path)
    with pytest.raises(OSError, match="No such file"):
        control.call(path, "echo", {})


async def test_a_socket_that_a_dead_server_left_is_taken_over(tmp_path: Path, verbs: Verbs) -> None:
    path = tmp_path / "control.sock"
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(path))
    left.close()
    assert path.exists()
    assert not control.is_alive(path)
    async with control.serve_control(path, verbs):
        assert await ask(path, "echo") == {}


def opened_in(folder: Path) -> list[Path]:
    """Where in `folder` this process's descriptors lead to."""
    found = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed since it was listed
            found.append(descriptor.readlink())
    return [path for path in found if path.is_relative_to(folder)]


@pytest.mark.parametrize("name", ["a" * 90, "ü" * 60, "a" * 250])
async def test_a_folder_whose_path_is_longer_than_a_socket_name_works(tmp_path, verbs, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    path = folder / "control.sock"
    assert not control.is_alive(path)
    async with control.serve_control(path, verbs):
        assert stat.S_ISSOCK(path.stat().st_mode)
        assert await ask(path, "echo", a=1) == {"a": 1}
        assert control.is_alive(path)
    assert not path.exists()
    assert not opened_in(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
async def test_another_user_is_not_heard_even_if_the_file_lets_him_in(tmp_path, verbs, monkeypatch) -> None:
    path = tmp_path / "control.sock"
    async with control.serve_control(path, verbs):
        path.chmod(0o666)
        tmp_path.chmod(0o711)
        connection = await asyncio.to_thread(_connect_as, 65534, path)
        reader, writer = await asyncio.open_unix_connection(sock=connection)
        assert await reader.read() == b""  # cut off without having been asked anything
        await shut(writer)
        assert await ask(path, "echo") == {}
    with monkeypatch.context() as patch:  # the operator is an ordinary user, and root asks
        patch.setattr(server.os, "geteuid", lambda: 1000)
        async with control.serve_control(path, verbs):
            assert await ask(path, "echo") == {}


def _connect_as(uid: int, path: Path) -> socket.socket:
    """A connection made by a process of another user: the peer that the kernel reports stays that one."""
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.chdir(path.parent)  # the folders above are closed to others
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            connection = socket.socket(socket.AF_UNIX)
            connection.connect(path.name)
            socket.send_fds(theirs, [b"x"], [connection.fileno()])
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0
    _, (descriptor,), _, _ = socket.recv_fds(ours, 1, 1)
    ours.close()
    theirs.close()
    return socket.socket(fileno=descriptor)
