"""A search in its normal form: what means the same is the same, what nobody can answer is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from macroslow.errors import BadRequestError
from macroslow.images.reading import plain_line
from macroslow.images.search import ImageQuery


@pytest.mark.parametrize("text", ["Big Sky", "  big\t sky ", "BIG\nSKY", "big sky"])
def test_the_same_words_are_the_same_search(text: str) -> None:
    assert ImageQuery.of(text) == ImageQuery("big sky")


def test_the_same_letters_are_the_same_search() -> None:
    assert ImageQuery.of("Cafe\u0301") == ImageQuery.of("café")


@pytest.mark.parametrize(
    "text", ["", "   ", 101 * "a", "a\x00b", "a\u202eb", "a\u200bb", "\ud800"], ids=range(7)
)
def test_what_is_no_query_is_refused(text: str) -> None:
    with pytest.raises(BadRequestError):
        ImageQuery.of(text)


@pytest.mark.parametrize(
    "other", [{"count": 2}, {"count": 31}, {"page": 0}, {"page": 17}, {"orientation": "square"}]
)
def test_what_no_provider_answers_is_refused(other: dict) -> None:
    with pytest.raises(BadRequestError):
        ImageQuery.of("a", **other)


@given(st.text())
def test_a_search_is_its_own_normal_form(text: str) -> None:
    try:
        query = ImageQuery.of(text)
    except BadRequestError:
        return
    assert ImageQuery.of(query.text) == query
    query.text.encode()


@given(st.text(max_size=2000))
def test_a_plain_line_is_printable_short_and_its_own_plain_line(text: str) -> None:
    line = plain_line(text)
    assert line.isprintable()
    assert len(line) <= 300
    assert plain_line(line) == line
    assert line == line.strip()
