"""The reader alone: however its bytes are cut it finds the same requests, and what is wrong it says once."""

import gc
import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from macroslow.web.faults import Fault
from macroslow.web.reading import MAX_HEAD_BYTES, MAX_HEADERS, MAX_TARGET_BYTES, RequestReader

TALK = (
    b"POST /a%20b?x=%31 HTTP/1.1\r\nhost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello"
    b"POST /c HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n"
    b"3\r\nabc\r\n2;e=1\r\nde\r\n0\r\ntrailer: t\r\n\r\n"
    b"\r\nGET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n"
)


class Taker:
    """Who takes a body."""

    complete = False

    def __init__(self) -> None:
        self.body = b""
        self.ended = False

    def take(self, piece: bytes) -> None:
        self.body += piece

    def end_body(self) -> None:
        self.ended = True


def read(*pieces: bytes) -> tuple[list[tuple[object, ...]], Fault | None]:
    """What is found in the pieces, and what is wrong with them."""
    found: list[tuple[dict[str, object], bool, bool, Taker]] = []

    def begin(scope: dict[str, object], keep_alive: bool, expects_continue: bool) -> Taker:
        found.append((scope, keep_alive, expects_continue, Taker()))
        return found[-1][3]

    reader = RequestReader({"type": "http"}, begin)  # type: ignore[arg-type]
    fault = None
    for piece in pieces:
        fault = fault or reader.feed(piece)
    reader.close()
    return [
        (scope["method"], scope["path"], scope["raw_path"], scope["query_string"], scope["http_version"],
         tuple(scope["headers"]), keep_alive, expects, taker.body, taker.ended)  # type: ignore[arg-type]
        for scope, keep_alive, expects, taker in found
    ], fault  # fmt: skip


def test_requests_are_found_one_after_the_other() -> None:
    (first, second, third), fault = read(TALK)
    assert fault is None
    headers = ((b"host", b"x"), (b"content-length", b"5"), (b"expect", b"100-continue"))
    assert first == ("POST", "/a b", b"/a%20b", b"x=%31", "1.1", headers, True, True, b"hello", True)
    chunked = ((b"transfer-encoding", b"chunked"),)
    assert second == ("POST", "/c", b"/c", b"", "1.1", chunked, True, False, b"abcde", True)
    assert third[:5] == ("GET", "/", b"/", b"", "1.0")
    assert third[6:] == (False, False, b"", True)


def test_white_space_around_a_header_is_not_its_value() -> None:
    found, fault = read(b"GET / HTTP/1.1\r\nhost:x\r\nmcp-name: \t two words\t \r\nnothing: \t \r\n\r\n")
    assert fault is None
    assert found[0][5] == ((b"host", b"x"), (b"mcp-name", b"two words"), (b"nothing", b""))


def test_each_request_has_the_target_and_headers_of_its_own_head() -> None:
    targets = [b"/a?x", b"/a?x", b"/b%20", b"/a?x", b"/a"]
    found, fault = read(*(b"GET %b HTTP/1.1\r\nname: %b\r\n\r\n" % (each, each) for each in targets))
    assert fault is None
    assert [(raw_path, query) for _, _, raw_path, query, *_ in found] == [
        (b"/a", b"x"), (b"/a", b"x"), (b"/b%20", b""), (b"/a", b"x"), (b"/a", b""),
    ]  # fmt: skip
    assert [path for _, path, *_ in found] == ["/a", "/a", "/b ", "/a", "/a"]
    assert [headers for _, _, _, _, _, headers, *_ in found] == [((b"name", each),) for each in targets]


def test_what_is_changed_in_one_request_is_not_in_the_next() -> None:
    scopes: list[dict[str, object]] = []

    def begin(scope: dict[str, object], _keep_alive: bool, _expects_continue: bool) -> Taker:
        scopes.append({**scope, "state": dict(scope["state"])})  # type: ignore[call-overload]
        scope.update(client="another", path="/another", query_string=b"another")
        scope["state"]["principal"] = "alice"  # type: ignore[index]
        return Taker()

    reader = RequestReader({"client": "caller"}, begin)  # type: ignore[arg-type]
    for _ in range(2):
        assert reader.feed(b"GET /a?x HTTP/1.1\r\n\r\n") is None
    assert scopes[0] == scopes[1]
    assert (scopes[1]["client"], scopes[1]["state"]) == ("caller", {})


def test_a_target_that_is_no_path_is_refused_behind_one_that_is() -> None:
    found, fault = read(b"GET /a HTTP/1.1\r\n\r\n", b"GET a HTTP/1.1\r\n\r\n")
    assert (len(found), fault is not None) == (1, True)


@given(st.lists(st.integers(0, len(TALK)), max_size=20))
def test_however_bytes_are_cut_the_same_requests_are_found(cuts: list[int]) -> None:
    ends = sorted({*cuts, len(TALK)} - {0})
    pieces = [TALK[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    assert read(*pieces) == read(TALK)


@pytest.mark.parametrize(
    ("said", "status", "code"),
    [
        (b"HELLO\r\n\r\n", 400, "bad-request"),
        (b"GET http://x/ HTTP/1.1\r\n\r\n", 400, "bad-request"),
        (b"GET /\xc3\xa9 HTTP/1.1\r\n\r\n", 400, "bad-request"),
        (b"GET / HTTP/1.1\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n", 400, "bad-request"),
        (b"GET / HTTP/2.0\r\n\r\n", 505, "bad-request"),
        (b"GET /" + b"x" * MAX_TARGET_BYTES + b" HTTP/1.1\r\n", 414, "too-large"),
        (b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * (MAX_HEADERS + 2), 431, "too-large"),
        (b"GET / HTTP/1.1\r\nx: " + b"y" * MAX_HEAD_BYTES, 431, "too-large"),
        (b"\r\n" * MAX_HEAD_BYTES, 431, "too-large"),
    ],
)
def test_what_is_no_request_is_a_fault_and_begins_nothing(said: bytes, status: int, code: str) -> None:
    found, fault = read(said)
    assert found == []
    assert fault is not None
    assert (fault.status, fault.error.code) == (status, code)


def test_a_reader_that_is_closed_holds_nobody() -> None:
    class Owner:
        def begin(self, *_: object) -> Taker:
            return Taker()

    owner = Owner()
    reader = RequestReader({}, owner.begin)  # type: ignore[arg-type]
    owner.reader = reader  # type: ignore[attr-defined]
    reader.feed(TALK)
    seen = weakref.ref(owner)
    gc.disable()
    try:
        reader.close()
        del owner, reader
        assert seen() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("digits", [16, 5_000, 60_000])
def test_a_length_that_no_body_has_is_a_fault_and_no_error(digits: int) -> None:
    head = b"GET / HTTP/1.1\r\nhost: x\r\ncontent-length: %b9000\r\n\r\n" % (b"0" * digits)
    found, fault = read(head + b"x" * 4_000)
    assert not found
    assert isinstance(fault, Fault)
    assert fault.status == 400
