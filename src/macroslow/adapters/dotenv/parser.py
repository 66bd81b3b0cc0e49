r"""The `.env` format: one assignment a line, nothing expanded, and no line passed over in silence.

    # comment
    NAME=value            # an unquoted value ends at white space followed by #
    export NAME='as it is'
    NAME="with \" \\ \$ \` \n \r \t"

LF or CRLF. A name may be given again: the last line wins, as when a new key is appended. A line
that is no assignment, and a quote that does not end on its line, are errors. No message quotes a
value.
"""

import re
from dataclasses import dataclass
from typing import Final

from macroslow.errors import ConfigurationError, Problem
from macroslow.secretstore.secret import Secret

_ASSIGNMENT: Final = re.compile(r"(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)[ \t]*=[ \t]*(.*)")
_COMMENT: Final = re.compile(r"(?:^|[ \t]+)#.*")
_QUOTED: Final = re.compile(r"""(?:'([^']*)'|"((?:[^"\\]|\\.)*)")(?:[ \t]*|[ \t]+#.*)""")
_ESCAPE: Final = re.compile(r"\\([\\\"$`nrt])")
_SPECIAL: Final = re.compile(r'[\\"$`]')
_ESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t"}


@dataclass(frozen=True, slots=True)
class Assignment:
    """One line of the file. Every value is held as a secret, since most of them are."""

    name: str
    value: Secret
    line: int


def parse(text: str, file: str = ".env") -> tuple[Assignment, ...]:
    """Return the assignments in order; ConfigurationError with every line that is none."""
    assignments: list[Assignment] = []
    problems: list[Problem] = []
    # Not splitlines(): that also splits at characters which a value may hold.
    for number, raw in enumerate(text.removeprefix("\ufeff").split("\n"), start=1):
        line = raw.strip(" \t\r")
        if not line or line.startswith("#"):
            continue
        try:
            assignments.append(_assignment(line, number))
        except ConfigurationError as error:
            problems.append(Problem(error.detail, error.fix, number, "", file))
    if problems:
        raise ConfigurationError(f"{file} cannot be read", problems)
    return tuple(assignments)


def _assignment(line: str, number: int) -> Assignment:
    match = _ASSIGNMENT.fullmatch(line)
    if not match:
        raise ConfigurationError("not an assignment", fix="write NAME=value, or begin the line with #")
    name, written = match.groups()
    if not written.replace("\t", "").isprintable():
        raise ConfigurationError(f"the value of {name} has control characters", fix="type the line again")
    if not written.startswith(("'", '"')):
        return Assignment(name, Secret(_COMMENT.sub("", written)), number)
    quoted = _QUOTED.fullmatch(written)
    if not quoted:
        raise ConfigurationError(
            f"the quotes of {name} do not end where its line does", fix="check the quotes"
        )
    single, double = quoted.groups()
    value = single if double is None else _ESCAPE.sub(lambda m: _ESCAPES.get(m[1], m[1]), double)
    return Assignment(name, Secret(value), number)


def written(name: str, secret: Secret) -> str:
    """The line, without its end, that `parse` and a shell read back as this assignment.

    ValueError for a value that one line cannot hold.
    """
    text = secret.reveal()
    if not text.isprintable():
        raise ValueError("control characters do not fit on a line")
    if re.fullmatch(r"[A-Za-z0-9_./:=@%+,-]*", text):
        return f"{name}={text}"
    if "'" not in text:
        return f"{name}='{text}'"
    escaped = _SPECIAL.sub(r"\\\g<0>", text)
    return f'{name}="{escaped}"'
