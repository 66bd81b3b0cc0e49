"""Text of others, without what a person would not see and a model would read.

Taken out: control characters except line feed and tab, format characters (zero-width, bidirectional controls,
soft hyphens, tags), variation selectors, fillers and blanks that look like nothing, and halves of surrogate
pairs. Emoji that are joined by such characters come apart. Line and paragraph separators become line feeds.

`suspicions` looks for phrases by which a description gives a model orders. It is a heuristic: it finds what
is worded like known attacks, misses what is worded otherwise, and warns of harmless texts. It decides
nothing.

Sources: Unicode 15.0, section 23 (special areas and format characters); UTS #39 (security mechanisms).
"""

import re
from collections.abc import Iterator
from typing import Any, Final

MAX_DEPTH: Final = 64
EXCERPT_CHARACTERS: Final = 80
LINE_CHARACTERS: Final = 500

# Ranges, inclusive. General categories Cc and Cf, and of Mn, Lo, Cs and So what shows nothing.
_HIDDEN_RANGES: Final = (
    (0x00, 0x08), (0x0B, 0x1F), (0x7F, 0x9F), (0xAD, 0xAD), (0x034F, 0x034F), (0x0600, 0x0605),
    (0x061C, 0x061C), (0x06DD, 0x06DD), (0x070F, 0x070F), (0x0890, 0x0891), (0x08E2, 0x08E2),
    (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F), (0x200B, 0x200F), (0x202A, 0x202E),
    (0x2060, 0x206F), (0x2800, 0x2800), (0x3164, 0x3164), (0xD800, 0xDFFF), (0xFE00, 0xFE0F),
    (0xFEFF, 0xFEFF), (0xFFA0, 0xFFA0), (0xFFF0, 0xFFFB), (0x110BD, 0x110BD), (0x110CD, 0x110CD),
    (0x13430, 0x1343F), (0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A), (0xE0000, 0xE0FFF),
)  # fmt: skip
_HIDDEN: Final = re.compile("[" + "".join(f"{chr(a)}-{chr(b)}" for a, b in _HIDDEN_RANGES) + "]")
_BREAK: Final = re.compile("[\u2028\u2029]")

_ORDERS: Final = {
    "asks to disregard other instructions": (
        r"\b(?:ignore|disregard|forget|override)\b.{0,40}\b(?:instruction|prompt|rule|polic)"
    ),
    "asks to keep something from the user": (
        r"\b(?:do not|don't|never|without)\b.{0,30}\b(?:tell|mention|inform|reveal|notify|show)\w*\b"
        r".{0,30}\b(?:user|human|anyone)"
    ),
    "has a tag as prompts have": r"<\s*/?\s*(?:important|system|instructions?|secret|admin|assistant)\b",
    "speaks of the system prompt": r"\bsystem (?:prompt|message)\b",
    "orders something before or after each call": (
        r"\b(?:before|after|instead of|prior to)\b.{0,30}\b(?:using|calling|invoking|running)\b"
        r".{0,40}\b(?:must|always|first|read|send|call)\b"
    ),
    "names files or variables of secrets": (
        r"(?:\.ssh\b|id_rsa|\.env\b|\.aws\b|/etc/passwd|mcp\.json"
        r"|\bapi[ _-]?keys?\b|\bprivate keys?\b|\bpasswords?\b)"
    ),
    "says what other tools do": (r"\b(?:the|any|all|every) other tools?\b|\binstead of (?:the )?\w+ tool\b"),
    "asks to send something elsewhere": (
        r"\b(?:send|forward|upload|post|exfiltrate)\b.{0,60}"
        r"\b(?:https?://|to the (?:url|address|server)|bcc)"
    ),
    "holds a long run of encoded text": r"[A-Za-z0-9+/]{120,}",
}
_SUSPICIOUS: Final = tuple((what, re.compile(form, re.I | re.S)) for what, form in _ORDERS.items())


def clean(text: str) -> tuple[str, int]:
    """The text without hidden characters, and how many there were."""
    if text.isascii() and text.isprintable():
        return text, 0
    shown, hidden = _HIDDEN.subn("", text)
    shown, breaks = _BREAK.subn("\n", shown)
    return shown, hidden + breaks


def is_clean(text: str) -> bool:
    """Whether nothing in it is hidden."""
    return clean(text)[1] == 0


def one_line(text: str) -> str:
    """The text cleaned, on one line, cut at LINE_CHARACTERS: for a part of a message of ours."""
    return " ".join(clean(text)[0].split())[:LINE_CHARACTERS]


def clean_json(value: Any, depth: int = MAX_DEPTH) -> tuple[Any, int]:
    """JSON whose texts, names of members included, are clean, and how many characters were taken out.

    Of two members whose names are then the same the later one stays. ValueError beyond `depth`.
    """
    if isinstance(value, str):
        return clean(value)
    if not isinstance(value, dict | list):
        return value, 0
    if depth == 0:
        raise ValueError("nested too deeply")
    if isinstance(value, list):
        pairs = [clean_json(item, depth - 1) for item in value]
        return [item for item, _ in pairs], sum(count for _, count in pairs)
    found: dict[str, Any] = {}
    total = 0
    for key, member in value.items():
        name, of_name = clean(key)
        found[name], of_member = clean_json(member, depth - 1)
        total += of_name + of_member
    return found, total


def texts(value: Any) -> Iterator[str]:
    """Every text in JSON of no more than MAX_DEPTH levels, names of members included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)
    elif isinstance(value, dict):
        for key, member in value.items():
            yield key
            yield from texts(member)


def suspicions(value: Any) -> list[str]:
    """What in the texts of an item reads like orders to a model, each with an excerpt. A heuristic."""
    joined = "\n".join(clean(text)[0] for text in texts(value))
    found = []
    for what, form in _SUSPICIOUS:
        if (match := form.search(joined)) is not None:
            found.append(f"{what}: {' '.join(match[0].split())[:EXCERPT_CHARACTERS]!r}")
    return found
