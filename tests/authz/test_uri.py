"""URI patterns against a slow obvious reference, and every spelling that must be refused."""

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from macroslow.authz.uri import MAX_CHARS, URI, Pattern, any_covers, covers, includes
from macroslow.errors import BadRequestError

LETTERS = "ab.-"
segment = st.text(LETTERS, min_size=1, max_size=5).filter(lambda text: text not in {".", ".."})
pattern_segment = st.text(LETTERS + "*", min_size=1, max_size=6).filter(
    lambda text: text not in {".", ".."} and "**" not in text
)
uris = st.lists(segment, min_size=1, max_size=4).map(lambda parts: "s://" + "/".join(parts))
patterns = st.builds(
    lambda parts, tail: "s://" + "/".join(parts + tail),
    st.lists(pattern_segment, min_size=1, max_size=4),
    st.sampled_from([[], ["**"]]),
)


def reference(pattern: str, uri: str) -> bool:
    """The format's sentences, as a regular expression."""
    if pattern.endswith("://*"):
        pattern += "*"
    parts = pattern.partition("://")[2].split("/")
    tail = parts.pop() if parts[-1] == "**" else None
    text = "/".join(re.escape(part).replace(r"\*", "[^/]*") for part in parts)
    if tail is not None:
        text = text + "(/[^/]+)*" if parts else "[^/]+(/[^/]+)*"
    scheme = re.escape(pattern.partition("://")[0])
    return re.fullmatch(f"{scheme}://{text}", uri) is not None


@settings(max_examples=250, deadline=None)
@given(patterns, uris)
def test_covering_agrees_with_the_slow_reference(pattern: str, uri: str) -> None:
    assert covers(Pattern.parse(pattern), URI.parse(uri)) is reference(pattern, uri)


@settings(max_examples=100, deadline=None)
@given(uris, st.data())
def test_a_uri_is_covered_when_parts_of_it_become_stars(uri: str, data: st.DataObject) -> None:
    parts = uri.removeprefix("s://").split("/")
    cut = data.draw(st.integers(0, len(parts)))
    starred = [
        data.draw(st.sampled_from([part, "*", part[:1] + "*", "*" + part[-1:]])) for part in parts[:cut]
    ]
    tail = parts[cut:] if data.draw(st.booleans()) or not cut else ["**"]
    assert covers(Pattern.parse("s://" + "/".join(starred + tail)), URI.parse(uri))


@settings(max_examples=400, deadline=None)
@given(patterns, patterns, uris)
def test_what_a_pattern_includes_covers_nothing_that_it_does_not(outer: str, inner: str, uri: str) -> None:
    outside, inside, one = Pattern.parse(outer), Pattern.parse(inner), URI.parse(uri)
    if includes(outside, inside) and covers(inside, one):
        assert covers(outside, one)
    assert includes(inside, inside)
    assert includes(outside, Pattern.parse(uri)) is covers(outside, one)


@given(patterns)
def test_a_pattern_reads_back_as_itself(text: str) -> None:
    assert Pattern.parse(str(Pattern.parse(text))) == Pattern.parse(text)


@pytest.mark.parametrize(
    ("pattern", "uri", "expected"),
    [
        ("api://openai", "api://openai", True),
        ("api://openai", "api://openai/v1", False),
        ("api://*", "api://openai", True),
        ("api://*", "api://openai/v1/chat", True),  # the only exception: short for api://**
        ("api://*/v1", "api://openai/v1", True),
        ("api://*/v1", "api://openai/v1/chat", False),
        ("api://openai/*", "api://openai/v1/chat", False),
        ("api://openai/**", "api://openai/v1/chat", True),
        ("api://openai/**", "api://openai", True),
        ("api://open*", "api://openai", True),
        ("api://open*", "api://open", True),
        ("api://o*n*i", "api://openai", True),
        ("api://a*a", "api://a", False),
        ("API_1://x", "API_1://x", None),
        ("specific_db://*", "specific_db://table", True),
        ("gateway://local", "gateway://Local", False),
    ],
)
def test_the_format_s_own_cases(pattern: str, uri: str, expected: bool | None) -> None:
    if expected is None:
        with pytest.raises(BadRequestError, match="scheme"):
            Pattern.parse(pattern)
        return
    assert covers(Pattern.parse(pattern), URI.parse(uri)) is expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "api",
        "api:",
        "api:/x",
        "api://",
        "://x",
        "api:///x",
        "api://x/",
        "api://x//y",
        "api://./x",
        "api://x/..",
        "api://x/%2e%2e",
        "api://x%2Fy",
        "api://é",
        "api://x y",
        "api://x?q",
        "api://x#f",
        "api://x\\y",
        "api://x\ny",
        "api://x\0",
        "1api://x",
        "-api://x",
        "Api://x",
        "api://х",
        "api://x/" + "y" * MAX_CHARS,
    ],
)
def test_a_spelling_that_could_mean_two_things_is_refused(text: str) -> None:
    for kind in (URI, Pattern):
        with pytest.raises(BadRequestError) as caught:
            kind.parse(text)
        assert caught.value.fix


@pytest.mark.parametrize("text", ["a://**/x", "a://x**", "a://x/**/y", "a://x/***", "a://**x"])
def test_two_stars_stand_only_as_the_last_segment(text: str) -> None:
    with pytest.raises(BadRequestError, match=r"\*\*"):
        Pattern.parse(text)


def test_a_concrete_uri_has_no_star() -> None:
    with pytest.raises(BadRequestError, match="only patterns"):
        URI.parse("api://*")


def test_no_pattern_covers_nothing() -> None:
    assert not any_covers((), URI.parse("api://openai"))


def test_many_stars_do_not_make_it_slow() -> None:
    pattern = Pattern.parse("a://" + "*a" * 1_000 + "b")
    uri = URI.parse("a://" + "a" * 2_000)
    start = time.process_time()
    for _ in range(100):
        assert not covers(pattern, uri)
    assert time.process_time() - start < 5  # all ways to divide the text would take for ever
