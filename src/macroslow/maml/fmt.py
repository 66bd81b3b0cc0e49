"""`fmt`: front matter in one order and spacing. Meaning and body bytes stay; doing it twice changes nothing.

A key whose lines hold a comment keeps its lines as they are and only moves. What was read before and
after is compared; a form that this module cannot rewrite without loss is left alone.
"""

import json
import re
from collections.abc import Iterator
from typing import Final

from macroslow.maml.front_matter import KEYS
from macroslow.maml.parse import cut, parse
from macroslow.maml.signed import refuse_signed
from macroslow.maml.yaml_tree import Mapping, Node, Scalar, Sequence, plain, read_yaml, resolve

WIDTH_CHARS: Final = 100

_INNER: Final = {
    "permissions": ("read", "write", "execute"),
    "requires": ("libs", "apis", "resources"),
    "verification": ("method", "spec_files", "level"),
}
_PLAIN_TEXT: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*(?: [A-Za-z0-9_.-]+)*")
_PLAIN_KEY: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
# Booleans of YAML 1.1: other readers would take them for such.
_WORDS_OF_1_1: Final = frozenset({"y", "n", "yes", "no", "on", "off"})


def format_document(raw: bytes) -> bytes:
    """The document in canonical form.

    Raises InvalidDocumentError if it is not valid, SignatureRefusedError if it is signed.
    """
    refuse_signed(raw)
    parse(raw)
    parts = cut(raw.decode())
    before = read_yaml(parts[0], first_line=1, problems=[]) if parts else None
    if parts is None or before is None:
        return raw
    formatted = "".join(f"{line}\n" for line in _front_matter(parts[0].split("\n"), before))
    after = read_yaml(formatted, first_line=1, problems=[])
    same = after is not None and plain(after) == plain(before)
    if not same or parts[0].count("#") != formatted.count("#"):
        return raw
    return f"---\n{formatted}---\n{parts[1]}".encode()


def _front_matter(lines: list[str], mapping: Mapping) -> Iterator[str]:
    """All keys in order, each below its own comments; comments after the last key stay last."""
    starts = sorted(mapping.key_lines.values())
    pieces = {}
    end = 0
    for start, following in zip(starts, [*starts[1:], len(lines) + 1], strict=True):
        above = [line.rstrip() for line in lines[end : start - 1] if line.strip()]
        end = following - 1
        while end >= start and _is_between(lines[end - 1]):
            end -= 1
        pieces[start] = (above, [line.rstrip() for line in lines[start - 1 : end]])
    for key in _ordered(mapping, KEYS):
        above, own = pieces[mapping.key_lines[key]]
        yield from above
        node = mapping.entries[key]
        yield from own if _keeps_its_lines(own, node) else _member(key, node, 0, _INNER.get(key, ()))
    yield from (line.rstrip() for line in lines[end:] if line.strip())


def _keeps_its_lines(own: list[str], node: Node) -> bool:
    """Whether rewriting would lose something: a comment, or the author's line breaks in a text."""
    return any("#" in line for line in own) or (isinstance(node, Scalar) and "\n" in str(node.value))


def _ordered(mapping: Mapping, known: tuple[str, ...]) -> list[str]:
    """Known keys in their order, then the others as they were written."""
    keys = list(mapping.entries)
    return [key for key in known if key in keys] + [key for key in keys if key not in known]


def _is_between(line: str) -> bool:
    """Whether a line belongs to no value: blank, or a comment at the margin."""
    return not line.strip() or line.startswith("#")


def _member(key: str, node: Node, indent: int, order: tuple[str, ...] = ()) -> Iterator[str]:
    name = key if _PLAIN_KEY.fullmatch(key) else json.dumps(key, ensure_ascii=False)
    head = f"{' ' * indent}{name}:"
    short = _on_one_line(node)
    if (short is not None and len(head) + len(short) < WIDTH_CHARS) or isinstance(node, Scalar):
        yield f"{head} {short}"
    else:
        yield head
        yield from _block(node, indent + 2, order)


def _block(node: Node, indent: int, order: tuple[str, ...] = ()) -> Iterator[str]:
    if isinstance(node, Mapping):
        for key in _ordered(node, order):
            yield from _member(key, node.entries[key], indent)
    elif isinstance(node, Sequence):
        for item in node.items:
            short = _on_one_line(item)
            yield f"{' ' * indent}-{'' if short is None else ' ' + short}"
            if short is None:
                yield from _block(item, indent + 2)


def _on_one_line(node: Node) -> str | None:
    """A scalar, an empty container or a list of scalars, in flow style."""
    match node:
        case Scalar():
            return _scalar(node.value)
        case Mapping():
            return None if node.entries else "{}"
        case Sequence():
            if any(not isinstance(item, Scalar) for item in node.items):
                return None
            return f"[{', '.join(_in_flow(item) for item in node.items)}]"


def _in_flow(node: Node) -> str:
    value = node.value if isinstance(node, Scalar) else None
    return json.dumps(value, ensure_ascii=False)


def _scalar(value: object) -> str:
    if isinstance(value, str) and _PLAIN_TEXT.fullmatch(value) and value.lower() not in _WORDS_OF_1_1:
        return value if resolve(value) == value else json.dumps(value)
    return json.dumps(value, ensure_ascii=False)
