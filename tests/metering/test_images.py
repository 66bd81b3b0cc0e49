"""Images: the published examples, and properties of every rule of the catalogue."""

from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.metering.vocabulary import catalogue

from macroslow.metering.images import Image

RULES = catalogue().image_rules
sides = st.integers(0, 20_000)
names = st.sampled_from(sorted(RULES))


# OpenAI, "Images and vision", Calculating costs: tiles, then patches.
@pytest.mark.parametrize(
    ("rule", "width", "height", "detail", "tokens"),
    [
        ("gpt-4o", 1024, 1024, "high", 765),
        ("gpt-4o", 2048, 4096, "high", 1105),
        ("gpt-4o", 4096, 2048, "auto", 1105),
        ("gpt-4o", 4096, 8192, "low", 85),
        ("gpt-4o", 512, 512, "high", 255),
        ("gpt-4o-mini", 1024, 1024, "low", 2833),
        ("gpt-5", 1024, 1024, "high", 70 + 4 * 140),
        ("patches-mini", 1024, 1024, "high", 1659),  # 1024 patches x 1.62
        ("patches-nano", 1800, 2400, "high", 3572),  # 1452 patches x 2.46
        ("patches-o4-mini", 32, 32, "high", 2),
        ("claude", 200, 200, "auto", 54),
        ("claude", 1000, 1000, "auto", 1334),
        ("claude", 4000, 4000, "auto", 1600),
    ],
)
def test_published_examples(rule, width, height, detail, tokens):
    assert RULES[rule].tokens(Image(width, height, detail)) == tokens


def test_an_image_is_shrunk_to_whole_patches():
    rule = RULES["patches-mini"]
    assert rule.tokens(Image(1800, 2400)) == -(-1452 * 162 // 100)


@given(names, sides, sides, st.sampled_from(["low", "high", "auto"]))
def test_no_image_costs_more_than_one_of_unknown_size(name, width, height, detail):
    rule = RULES[name]
    assert 1 <= rule.tokens(Image(width, height, detail)) <= rule.most_tokens
    assert rule.tokens(Image(None, height)) == rule.tokens(Image(width, None)) == rule.most_tokens


@given(names, sides, sides)
def test_turning_an_image_changes_nothing(name, width, height):
    rule = RULES[name]
    assert rule.tokens(Image(width, height)) == rule.tokens(Image(height, width))


@given(sides, sides)
def test_low_detail_never_costs_more_with_tiles(width, height):
    rule = RULES["gpt-4o"]
    assert rule.tokens(Image(width, height, "low")) <= rule.tokens(Image(width, height, "high"))


@given(st.integers(1, 3000), st.integers(1, 3000), st.sampled_from(["gpt-4o", "gpt-5"]))
def test_tiles_are_those_of_the_rule_in_fractions(width, height, name):
    """The rule step by step with exact fractions, as it is published."""

    rule = RULES[name]
    w, h = Fraction(width), Fraction(height)
    if max(w, h) > 2048:
        w, h = w * 2048 / max(w, h), h * 2048 / max(w, h)
    if min(w, h) > 768:
        w, h = w * 768 / min(w, h), h * 768 / min(w, h)
    tiles = ceil(w / 512) * ceil(h / 512)
    assert rule.tokens(Image(width, height, "high")) == rule.base_tokens + rule.tile_tokens * tiles
