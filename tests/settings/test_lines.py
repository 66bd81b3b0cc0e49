"""Every key of a TOML document is found on the line where it stands."""

import tomllib

from hypothesis import given
from hypothesis import strategies as st

from macroslow.settings.lines import key_lines

DOCUMENT = '''# a comment [not.a.table]
top = 1

[server] # a comment
listen = "x # not a comment [neither]"
texts = [
    "a",  # with ] inside
    "b = 1",
]
long = """
[fake]
listen = 2
"""
raw = \'\'\'
# [fake]
it's raw
\'\'\'
after = { inner = 1, more = [1, 2] }
dotted . "quoted.key" = true
'single' = 1
[models."gpt-4.1"]
input_usd = 2
[[many]]
x = 1
[[many]]
x = 2
[many.below]
y = 1
[[many.below.list]]
'''


def test_keys_stand_on_their_lines():
    lines = key_lines(DOCUMENT)
    assert lines == {
        ("top",): 2,
        ("server",): 4,
        ("server", "listen"): 5,
        ("server", "texts"): 6,
        ("server", "long"): 10,
        ("server", "raw"): 14,
        ("server", "after"): 18,
        ("server", "dotted"): 19,
        ("server", "dotted", "quoted.key"): 19,
        ("server", "single"): 20,
        ("models",): 21,
        ("models", "gpt-4.1"): 21,
        ("models", "gpt-4.1", "input_usd"): 22,
        ("many",): 23,
        ("many", "[0]"): 23,
        ("many", "[0]", "x"): 24,
        ("many", "[1]"): 25,
        ("many", "[1]", "x"): 26,
        ("many", "[1]", "below"): 27,
        ("many", "[1]", "below", "y"): 28,
        ("many", "[1]", "below", "list"): 29,
        ("many", "[1]", "below", "list", "[0]"): 29,
    }
    tomllib.loads(DOCUMENT)


KEYS = st.text("abcdefgh_-", min_size=1, max_size=6)
VALUES = st.sampled_from(
    [
        "1",
        "true",
        '"text"',
        '"""\nmany\n\n"""',
        "'''\n[x]\n'''",
        "[\n1,\n2,\n]",
        "{ a = 1 }",
        '"a # b"',
        "[[1], [2]]",
        '"\\""',
    ]
)


@given(st.lists(st.tuples(KEYS, VALUES, st.integers(0, 2)), unique_by=lambda row: row[0]))
def test_the_line_of_every_key_begins_with_the_key(rows):
    text = "".join("# = [\n" * gap + f"{key} = {value}  # c\n" for key, value, gap in rows)
    assert set(tomllib.loads(text)) == {key for key, _, _ in rows}
    written = text.split("\n")
    lines = key_lines(text)
    assert set(lines) == {(key,) for key, _, _ in rows}
    for (key,), number in lines.items():
        assert written[number - 1].startswith(f"{key} = ")
