"""Targets of outside calls: none leaves the operator's base URL, none hides what it is."""

import contextlib
import string
import time
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from macroslow.errors import BadRequestError
from macroslow.workflow.outside import MAX_TARGET_CHARACTERS, check_target


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("", ""),
        ("/", ""),
        ("/data/2.5/weather", "q=Berlin&units=metric"),
        ("/v1/places/", ""),
        ("/a.b/..c/...", ""),
        ("/caf%C3%A9", "text=a%0Ab%2F..%2F"),  # what a query says is data
        ("/x;v=1/y", "at=2026-01-01T00:00:00Z/P1D?"),
        ("/" + "a" * (MAX_TARGET_CHARACTERS - 1), ""),
    ],
)
def test_plain_targets_pass(path: str, query: str) -> None:
    check_target(path, query)


PATHS = [
    *r"""
    .. ../ /.. /../ /../x /x/../y /./x /x/. /x/.. x //evil.example /x//y // /;/.. /..; /..;/admin /.;x/
    /%2e%2e/x /%2E./x /.%2e/ /x%2fy /x%2Fy /x%5c..%5cy /x%5Cy /x%00 /x%0a /x%0D%0AHost:evil /x%7f /x%1b
    /x?y /x#y /x\y /x\..\y /x%y /x% /x%2 /x%zz /%u002e /x[y] /x{y} /x|y /x^y /x`y /x"y /x<y> @evil.example
    http://evil.example /http://evil.example :80@evil.example
    """.split(),  # noqa: SIM905 (a table to read)
    *(
        "/x y",
        "/x\ty",
        "/x\ny",
        "/x\r\nHost: evil",
        "/x\0",
        "/é",
        "/\u2025/",
        "/．．/",
        "/x\x7f",
        "\n",
        "/x\n",
    ),
]


@pytest.mark.parametrize("path", PATHS)
def test_paths_that_could_mean_something_else_are_refused(path: str) -> None:
    with pytest.raises(BadRequestError):
        check_target(path, "")


@pytest.mark.parametrize(
    "query",
    ["a#b", "a b", "a\r\nHost: evil", "a\n", "a\0", "é", "a%", "a%2", "a%zz", "a\\b", 'a"b', "[a]", "a|b"],
)
def test_queries_that_are_none_are_refused(query: str) -> None:
    with pytest.raises(BadRequestError):
        check_target("/x", query)


@pytest.mark.parametrize("piece", ["a", "/", "%", "%2", "%41", ".", "/a", "../", ";", "?"])
def test_length_is_checked_before_anything_that_takes_time(piece: str) -> None:
    began_s = time.process_time()
    for long in (piece * 100_000, "/" + piece * 100_000):
        with pytest.raises(BadRequestError):
            check_target(long, "")
        with pytest.raises(BadRequestError):
            check_target("", long)
    assert time.process_time() - began_s < 5  # on a machine of any speed; what is squared takes minutes
    begun_s = time.process_time()
    for long in (piece * (MAX_TARGET_CHARACTERS // len(piece)), "/" + piece * 600):
        for target in ((long, ""), ("", long)):
            with contextlib.suppress(BadRequestError):
                check_target(*target)
    assert time.process_time() - begun_s < 5


@given(
    st.text(alphabet=string.printable + "éＡ\0", max_size=40), st.text(alphabet=string.printable, max_size=20)
)
def test_whatever_passes_stays_on_the_host_and_below_the_base(path: str, query: str) -> None:
    try:
        check_target(path, query)
    except BadRequestError:
        return
    base = "https://api.example/base"
    parts = urlsplit(base + path + (f"?{query}" if query else ""))
    assert (parts.scheme, parts.netloc, parts.fragment) == ("https", "api.example", "")
    assert (parts.path, parts.query) == ("/base" + path, query)
    walked: list[str] = []
    for segment in unquote(parts.path).replace("\\", "/").split("/")[1:]:
        assert segment not in {".", ".."}
        walked.append(segment)
    assert walked[0] == "base"
