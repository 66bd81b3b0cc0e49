"""Amounts are written exactly, and read without a fraction that would be given away."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from macroslow.metering.money import in_cents, micros_down, micros_up, usd


@given(st.integers(0, 2**53))
def test_what_is_written_is_the_amount_to_the_last_digit(usd_micros):
    assert Decimal(usd(usd_micros)) * 1_000_000 == usd_micros


@pytest.mark.parametrize(
    ("usd_micros", "text"), [(0, "0.000000"), (1, "0.000001"), (999_999, "0.999999"), (1_234_567, "1.234567")]
)
def test_there_are_always_six_decimals(usd_micros, text):
    assert usd(usd_micros) == text


@given(st.integers(0, 2**53))
def test_for_people_it_is_the_same_amount_with_at_least_its_cents(usd_micros):
    told = in_cents(usd_micros)
    assert Decimal(told[1:]) * 1_000_000 == usd_micros
    decimals = told.partition(".")[2]
    assert len(decimals) == 2 or (len(decimals) > 2 and decimals[-1] != "0")


@pytest.mark.parametrize(
    ("dollars", "down", "up"),
    [
        ("0", 0, 0),
        ("0.000001", 1, 1),
        ("0.0000001", 0, 1),
        ("0.0000019", 1, 2),
        ("2.5", 2_500_000, 2_500_000),
        ("1e3", 10**9, 10**9),
    ],
)
def test_a_fraction_of_a_micro_dollar_is_charged_and_not_granted(dollars, down, up):
    assert (micros_down(Decimal(dollars)), micros_up(Decimal(dollars))) == (down, up)


@given(st.integers(0, 2**53))
def test_what_is_written_is_read_as_the_same_amount(usd_micros):
    read = Decimal(usd(usd_micros))
    assert micros_down(read) == micros_up(read) == usd_micros
