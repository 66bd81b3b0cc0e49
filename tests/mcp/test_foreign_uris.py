"""N20: URIs of other servers' resources stay what they are, and lead nowhere else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from macroslow.mcp.foreign_uris import filled_in, is_plain, is_understood, our_template, ours, theirs

PLAIN = st.text(min_size=1, max_size=50).filter(is_plain).filter(lambda text: text.isprintable())


@given(PLAIN)
def test_a_uri_comes_back_as_it_went(uri: str) -> None:
    try:
        told = ours("s", uri)
    except UnicodeEncodeError:  # half of a surrogate pair is no URI
        return
    assert theirs(told) == ("s", uri)


@pytest.mark.parametrize(
    "uri",
    [
        "macroslow://servers/s/file%3A%2F%2F%2Fa%2F..%2Fetc%2Fpasswd",
        "macroslow://servers/s/file%3A%2F%2F%2Fa%2F%252e%252e%2Fetc",
        "macroslow://servers/s/a%00b",
        "macroslow://servers/s/a%2500b",
        "macroslow://servers/s/..%5C..%5Cx",
        "macroslow://servers/s/a%0Ab",
        "macroslow://servers/s/%FF",
        "macroslow://servers/s/",
        "macroslow://servers//x",
        "macroslow://receipts/x",
        "macroslow://servers/s/" + "a" * 5000,
    ],
)
def test_n20_steps_upwards_zeros_and_what_is_no_uri_are_refused(uri: str) -> None:
    assert theirs(uri) is None


def test_a_template_keeps_its_expressions() -> None:
    assert our_template("s", "file:///{dir}/x{+rest}") == (
        "macroslow://servers/s/file%3A%2F%2F%2F{dir}%2Fx{+rest}"
    )


@pytest.mark.parametrize(
    ("template", "uri", "expected"),
    [
        ("file:///{name}", "file:///a", "file:///a"),
        ("file:///{name}", "file:///a b", "file:///a%20b"),
        ("file:///{name}", "file:///a/b", None),
        ("file:///{name}", "file:///", None),
        ("file:///{name}", "http://x/a", None),
        ("file:///{name}.txt", "file:///a.txt.exe", None),
        ("db://{table}/{id}", "db://t/1", "db://t/1"),
        ("file:///{+path}", "file:///a/b", "file:///a/b"),
    ],
)
def test_n20_a_value_stays_a_value(template: str, uri: str, expected: str | None) -> None:
    assert filled_in(template, uri) == expected


@pytest.mark.parametrize("template", ["{?q}", "x{/a*}", "{a,b}", "a{", "{a}{b}{c}", "{#x}"])
def test_templates_that_are_not_understood_are_said_so(template: str) -> None:
    assert not is_understood(template)


def test_matching_takes_no_long_time() -> None:
    assert filled_in("x{+a}{+b}y", "x" + "a" * 4000) is None
