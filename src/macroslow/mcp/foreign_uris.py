"""URIs of other servers' resources within ours: macroslow://servers/SERVER/<the URI, percent-encoded>.

A URI that a caller made up from a template is taken apart by that template and put together again, so that a
value stays a value: `{name}` holds no slash, `{+name}` no step upwards, nothing a control character. Other
expressions of RFC 6570, or more than MAX_EXPRESSIONS, are not understood: such templates are not offered.

Source: RFC 3986, sections 2 and 3.3; RFC 6570, levels 1 and 2.
"""

import re
from functools import lru_cache
from typing import Final
from urllib.parse import quote, unquote

PREFIX: Final = "macroslow://servers/"
MAX_URI: Final = 4096
MAX_EXPRESSIONS: Final = 2  # so that matching takes no long time
_EXPRESSION: Final = re.compile(r"\{(\+?)([A-Za-z0-9_]+)\}")
_STEPS: Final = frozenset({".", ".."})
_KEPT: Final = "/:@!$&'()*+,;=~?"


def ours(server: str, uri: str) -> str:
    """How a resource's URI is shown to our clients."""
    return f"{PREFIX}{server}/{quote(uri, safe='')}"


def our_template(server: str, template: str) -> str:
    """How a template is shown; its expressions stay."""
    parts = _EXPRESSION.split(template)
    told = [quote(parts[0], safe="")]
    told += [
        f"{{{parts[at]}{parts[at + 1]}}}{quote(parts[at + 2], safe='')}" for at in range(1, len(parts), 3)
    ]
    return f"{PREFIX}{server}/{''.join(told)}"


def theirs(uri: str) -> tuple[str, str] | None:
    """The server and its own URI; None for what is none of theirs, or could be more than a URI."""
    if not uri.startswith(PREFIX) or len(uri) > MAX_URI:
        return None
    server, _, encoded = uri.removeprefix(PREFIX).partition("/")
    try:
        decoded = unquote(encoded, errors="strict")
    except UnicodeDecodeError:
        return None
    return (server, decoded) if server and decoded and is_plain(decoded) else None


def is_plain(uri: str) -> bool:
    """Whether it has no control character and no step upwards, encoded once more or not."""
    again = unquote(uri)
    if any(ord(character) < 0x20 or ord(character) == 0x7F for character in uri + again):
        return False
    return _STEPS.isdisjoint(re.split(r"[/\\]", uri)) and _STEPS.isdisjoint(re.split(r"[/\\]", again))


def is_understood(template: str) -> bool:
    """Whether all its expressions are `{name}` or `{+name}`."""
    rest, count = _EXPRESSION.subn("", template)
    return "{" not in rest and "}" not in rest and count <= MAX_EXPRESSIONS


def filled_in(template: str, uri: str) -> str | None:
    """`uri`, put together anew, if it is one that `template` makes; else None."""
    match = _form(template).fullmatch(uri)
    if match is None:
        return None
    parts, values = _EXPRESSION.split(template), iter(match.groups())
    told = [parts[0]]
    told += [
        quote(next(values), safe=_KEPT if parts[at] else "") + parts[at + 2] for at in range(1, len(parts), 3)
    ]
    return "".join(told)


@lru_cache(maxsize=256)
def _form(template: str) -> re.Pattern[str]:
    parts = _EXPRESSION.split(template)
    told = [re.escape(parts[0])]
    told += [
        ("(.{1,512}?)" if parts[at] else "([^/?#]{1,512}?)") + re.escape(parts[at + 2])
        for at in range(1, len(parts), 3)
    ]
    return re.compile("".join(told))
