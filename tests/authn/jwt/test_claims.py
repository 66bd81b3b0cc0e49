"""Claim paths: one reading each."""

import pytest

from macroslow.authn.jwt.claims import find, parse_path, words


def test_a_path_has_one_reading_whatever_the_token_holds() -> None:
    claims = {"a.b": "flat", "a": {"b": "nested", "c.d": "listed"}, "https://x.example/a.b": "url"}
    assert find(claims, parse_path("a.b")) == "nested"
    assert find({"a.b": "flat"}, parse_path("a.b")) is None
    assert find(claims, parse_path("https://x.example/a.b")) == "url"
    assert find(claims, parse_path(["a", "c.d"])) == "listed"
    assert find(claims, parse_path("cognito:groups")) is None


@pytest.mark.parametrize("written", ["", ".", "a..b", ".a", [], ["a", ""], "a.b.c.d.e.f.g.h.i"])
def test_what_is_no_path_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match="path"):
        parse_path(written)


def test_words_are_split_in_text_and_not_in_lists() -> None:
    assert words("a b,c, d ") == ("a", "b", "c", "d")
    assert words(["a b", "c"]) == ("a b", "c")
    assert words(None) == words("") == words([]) == ()
