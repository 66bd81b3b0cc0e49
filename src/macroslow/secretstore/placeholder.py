"""Texts that stand where a secret should: left over from a template, emptied or replaced after a leak.

A gateway that starts with one of these fails at the first paid call instead of at the start, so
they are refused. The rules never fire on a key of a provider's making: words are looked for
whole, or long enough that a random key does not contain them (seven letters in 160 random
characters of base 62: less than 1 in 10⁸).
"""

import re
from typing import Final

_PREFIX: Final = re.compile(
    r"(?:sk|pk|key|api|bearer)(?:[-_ ](?:proj|ant|api03|live|test))*[-_ ]", re.IGNORECASE
)
_BRACKETED: Final = re.compile(r"<.*>|\{.*\}|\[.*\]|\(.*\)|\$\{?\w+\}?|%\w+%|\{\{.*\}\}|__.*__")
_LONG_WORDS: Final = re.compile(
    r"""change[-_ ]?me | change[-_ ]?it | example | placeholder | replace | redacted | removed | compromised
    | insert[-_ ](?:your|key|api|here) | key[-_ ]here | goes[-_ ]here | put[-_ ]your | dummy[-_ ]?key
    | your[-_ ](?:new|own|api|secret|key|open|anthropic|google|unsplash|pixabay)
    | my[-_ ](?:api|secret)[-_ ]?key
    """,
    re.IGNORECASE | re.VERBOSE,
)
_WHOLE: Final = re.compile(
    """(?:your|my|the|an?)?
      (?:api|secret|access|test|openai|anthropic|google|provider)?(?:key|secret|token)(?:here)?
    | password | passwd | pass | admin | default | dummy | fake | sample | test | testing | foo | bar | foobar
    | baz | none | null | nil | undefined | unset | todo | tbd | fixme | na
    | invalid | unknown | string | value
    | 12345 | 123456 | 1234567 | 12345678 | 123456789 | 1234567890 | abc | abc123 | abcdef | asdf | qwerty
    """,
    re.VERBOSE,
)
_SEPARATORS: Final = re.compile(r"[-_ .]")


def fault(text: str) -> str:
    """Say why `text` cannot be a secret, without quoting it; "" if it can."""
    if not text.strip():
        return "is empty"
    if not text.isascii() or not text.isprintable() or " " in text.strip():
        return "holds a placeholder" if _stands_in(text) else "holds spaces or characters that no key has"
    if text != text.strip():
        return "begins or ends with a space"
    return "holds a placeholder" if _stands_in(text) else ""


def _stands_in(text: str) -> bool:
    bare = text.strip()
    body = _PREFIX.sub("", bare, count=1) if _PREFIX.match(bare) else bare
    letters = _SEPARATORS.sub("", body).lower()
    return bool(
        len(set(letters)) <= 1  # "xxxx", "sk-...", "****"
        or "..." in bare
        or "…" in bare
        or _WHOLE.fullmatch(letters)
        or _BRACKETED.fullmatch(body)
        or _LONG_WORDS.search(bare)
        or re.fullmatch(r"x+\w{0,8}x+", letters)  # "xxxx1234xxxx"
    )
