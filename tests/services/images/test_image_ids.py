"""Ids of images: what a search gave to a principal is his to use, and nothing else is anybody's."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.services.images.test_image_cache import IMAGE

from macroslow.errors import NotFoundError
from macroslow.services.images.image_ids import ImageIds, Known

IDS = ImageIds.of(b"pepper" * 6)
PHOTO = replace(IMAGE, id="Dwu85P9SOIk", trace="M3w0NTQ=")
GIVEN = IDS.give("ann", "unsplash", PHOTO)


def test_an_id_says_again_what_it_was_given_for() -> None:
    assert IDS.read("ann", GIVEN) == Known("unsplash", "Dwu85P9SOIk", "M3w0NTQ=")
    assert IDS.read("ann", IDS.give("ann", "pixabay", IMAGE)) == Known("pixabay", "1", None)
    bare = IDS.give("ann", "unsplash", replace(PHOTO, trace=""))
    assert IDS.read("ann", bare) == Known("unsplash", "Dwu85P9SOIk", "")


def test_any_process_of_the_gateway_reads_it_and_no_other_gateway() -> None:
    assert ImageIds.of(b"pepper" * 6).read("ann", GIVEN)
    with pytest.raises(NotFoundError):
        ImageIds.of(b"another" * 6).read("ann", GIVEN)


def test_another_principals_id_is_unknown() -> None:
    with pytest.raises(NotFoundError):
        IDS.read("bob", GIVEN)


@given(st.integers(0, len(GIVEN) - 1), st.characters())
def test_an_id_with_another_character_is_unknown(at: int, character: str) -> None:
    changed = GIVEN[:at] + character + GIVEN[at + 1 :]
    if changed != GIVEN:
        with pytest.raises(NotFoundError):
            IDS.read("ann", changed)


@given(st.text())
def test_what_was_never_given_is_unknown(text: str) -> None:
    with pytest.raises(NotFoundError):
        IDS.read("ann", text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "https://api.unsplash.com/photos/x/download",
        "unsplash:x:y:",
        GIVEN[:-1],
        f" {GIVEN}",
        f"{GIVEN}:",
        10**6 * ":",
        "\ud800",
    ],
    ids=range(8),
)
def test_neither_is_anything_like_one(text: str) -> None:
    with pytest.raises(NotFoundError):
        IDS.read("ann", text)
