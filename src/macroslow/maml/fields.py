"""Typed access to one mapping of YAML, with a repair for everything that does not fit.

Each method complains where a value does not fit and goes on, so that all is said at once.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeVar

from macroslow.maml.complaints import Complaints, did_you_mean, nearest, quoted
from macroslow.maml.yaml_tree import Mapping, Node, Scalar, Sequence, plain

MAX_TEXT_CHARS: Final = 4_096
MAX_LIST_ITEMS: Final = 256
MAX_TIMEOUT_S: Final = 86_400.0

E = TypeVar("E", bound=StrEnum)


@dataclass(slots=True)
class Fields:
    """One mapping, whose complaints name their key with `prefix` before it."""

    mapping: Mapping
    complaints: Complaints
    prefix: str = ""

    def line(self, key: str) -> int:
        return self.mapping.key_lines.get(key, self.mapping.line)

    def node(self, key: str) -> Node | None:
        """The value; None if the key is missing or left empty."""
        node = self.mapping.entries.get(key)
        return None if isinstance(node, Scalar) and node.value is None else node

    def refuse(self, key: str, message: str, fix: str, line: int | None = None) -> None:
        self.complaints.refuse(message, fix, line or self.line(key), self.prefix + key)

    def text(self, key: str, fix: str) -> str | None:
        """A non-empty string."""
        node = self.node(key)
        if node is None:
            return None
        value = plain(node)
        if not isinstance(value, str):
            self.refuse(key, f"{key} must be text", fix)
        elif not value.strip() or len(value) > MAX_TEXT_CHARS:
            self.refuse(key, f"{key} must have 1 to {MAX_TEXT_CHARS} characters", fix)
        else:
            return value
        return None

    def flag(self, key: str) -> bool:
        node = self.node(key)
        if node is None:
            return False
        if isinstance(node, Scalar) and isinstance(node.value, bool):
            return node.value
        # A flag that only raises protection: what cannot be read is a problem, never a quiet false.
        self.refuse(key, f"{key} must be true or false", f"{key}: true")
        return True

    def seconds(self, key: str) -> float | None:
        node = self.node(key)
        if node is None:
            return None
        value = plain(node)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= MAX_TIMEOUT_S:
            self.refuse(key, f"{key} must be a number above 0, at most {MAX_TIMEOUT_S:.0f}", f"{key}: 30")
            return None
        return float(value)

    def word(self, key: str, kind: type[E], default: E) -> E:
        """One of the words of an enumeration."""
        choices = [member.value for member in kind]
        value = self.text(key, f"{key}: {default.value}")
        if value is None:
            return default
        if value not in choices:
            fix = did_you_mean(value, choices, f"write one of: {', '.join(choices)}")
            self.refuse(key, f"{key} {quoted(value)} is not known", fix)
            return default
        return kind(value)

    def texts(self, key: str) -> tuple[tuple[str, int], ...]:
        """A list of strings with their lines; one string alone counts as a list of one."""
        node = self.node(key)
        items = node.items if isinstance(node, Sequence) else [node] if isinstance(node, Scalar) else []
        if isinstance(node, Mapping) or len(items) > MAX_LIST_ITEMS:
            self.refuse(key, f"{key} must be a list of at most {MAX_LIST_ITEMS} items", f"{key}: []")
            return ()
        return tuple(pair for item in items if (pair := self._item(key, item)))

    def _item(self, key: str, item: Node) -> tuple[str, int] | None:
        if isinstance(item, Scalar) and isinstance(item.value, str) and 0 < len(item.value) <= MAX_TEXT_CHARS:
            return item.value, item.line
        self.refuse(key, f"every item of {key} must be text", "put it in double quotes", item.line)
        return None

    def inner(self, key: str, known: tuple[str, ...], fix: str) -> "Fields | None":
        """A mapping inside; its unknown keys are warned of."""
        node = self.node(key)
        if node is None:
            return None
        if not isinstance(node, Mapping):
            self.refuse(key, f"{key} must be a map of {', '.join(known)}", fix)
            return None
        fields = Fields(node, self.complaints, f"{self.prefix}{key}.")
        for name in fields.unknown(known):
            line = fields.line(name)
            hint = did_you_mean(name, known, "remove it, or leave it: nothing reads it")
            where = f"{fields.prefix}{name[:64]}"
            self.complaints.warn(f"unknown key {quoted(name)} in {key}", hint, line, where)
        return fields

    def missing(self, key: str, example: str, known: tuple[str, ...]) -> None:
        """Complain that a key is missing, with what to add, or which key that is not `known` to rename."""
        near = nearest(key, self.unknown(known)[:MAX_LIST_ITEMS])
        fix = f"rename {quoted(near)} in line {self.line(near)}" if near else f"add: {example}"
        self.refuse(key, f"{key} is missing", fix)

    def unknown(self, known: tuple[str, ...]) -> list[str]:
        """The keys that are not among the known ones."""
        return [key for key in self.mapping.key_lines if key not in known]
