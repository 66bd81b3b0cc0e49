"""`.env` files: what is taken means what it says, and what is not taken is told with its line."""

import os
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from macroslow.adapters.dotenv import parse, written
from macroslow.errors import ConfigurationError
from macroslow.secretstore.secret import Secret


def values(text: str) -> dict[str, str]:
    return {one.name: one.value.reveal() for one in parse(text)}


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=x", "x"),
        ("A=", ""),
        ("A= x ", "x"),
        ("A = x", "x"),
        ("  A=x", "x"),
        ("export A=x", "x"),
        ("export\tA=x", "x"),
        ("A=x # comment", "x"),
        ("A=x#y", "x#y"),
        ("A=#", ""),
        ("A= # comment", ""),
        ("A='x # y'  # comment", "x # y"),
        ("A=' x '", " x "),
        ("A=''", ""),
        ("A='$B \\n'", "$B \\n"),
        ('A="x # y"', "x # y"),
        (r'A="a\"b\\c\$d\`e\nf"', 'a"b\\c$d`e\nf'),
        (r'A="a\zb"', r"a\zb"),
        ("A=$B", "$B"),
        ("A=two words", "two words"),
        ("A=it's", "it's"),
        ("A=a=b", "a=b"),
        ("A=x\r", "x"),
        ("A='x'\r", "x"),
        ("\ufeffA=x", "x"),
        ("A=\u2028x", None),
    ],
)
def test_one_line_gives_one_value(line, value):
    if value is None:
        with pytest.raises(ConfigurationError, match="cannot be read"):
            values(line)
    else:
        assert values(line) == {"A": value}


def test_comments_and_empty_lines_count_and_say_nothing():
    lines = parse("# A=1\r\n\r\n   # B=2\n\nC=3\n")
    assert [(one.name, one.line) for one in lines] == [("C", 5)]


def test_the_last_line_wins():
    assert values("A=1\nB=2\nA=3\n") == {"A": "3", "B": "2"}


def test_every_line_that_is_no_assignment_is_told_and_no_value_quoted():
    text = "\n".join(
        [
            "A=good",
            "canary",
            "1A=canary",
            "A-B=canary",
            'A="canary',
            "A='canary' x",
            "A=canary\x00",
            "export",
            "=canary",
            "A='c\nanary'",
        ]
    )
    with pytest.raises(ConfigurationError) as caught:
        parse(text, "x/.env")
    problems = caught.value.problems
    assert [one.line for one in problems] == [2, 3, 4, 5, 6, 7, 8, 9, 10, 11]
    assert all(one.file == "x/.env" and one.fix for one in problems)
    assert "canary" not in repr(problems) + repr(caught.value)


@given(st.text())
def test_any_text_is_read_or_refused(text):
    try:
        numbers = [one.line for one in parse(text)]
    except ConfigurationError as error:
        numbers = [one.line or 0 for one in error.problems] or [0]
    assert all(1 <= number <= text.count("\n") + 1 for number in numbers)


def test_an_assignment_does_not_print_its_value():
    assert "canary" not in repr(parse("A=canary"))


PRINTABLE = st.text().filter(str.isprintable)


@given(PRINTABLE)
def test_what_is_written_is_read_back(text):
    assert values(f"B=1\n{written('A', Secret(text))}\nC=2") == {"A": text, "B": "1", "C": "2"}


@settings(max_examples=20, deadline=None)
@given(PRINTABLE)
def test_what_is_written_means_the_same_to_a_shell(text):
    script = f'{written("A", Secret(text))}\nprintf %s "$A"'
    ran = subprocess.run(["sh", "-c", script], capture_output=True, check=True, env={"PATH": os.defpath})
    assert ran.stdout.decode("utf-8", "surrogateescape") == text


@pytest.mark.parametrize("text", ["a\nb", "a\0b", "\x1b[0m"])
def test_what_no_line_can_hold_is_not_written(text):
    with pytest.raises(ValueError, match="do not fit"):
        written("A", Secret(text))
