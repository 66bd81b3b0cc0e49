"""Values laid over each other, each remembering who laid it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from macroslow.errors import Problem
from macroslow.settings.origin import KeyPath, Origin, element


@dataclass(slots=True)
class Layers:
    """What has been laid down so far: the last value of each setting, its origin, and what was wrong."""

    table: dict[str, object] = field(default_factory=dict)
    origins: dict[KeyPath, Origin] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def lay(
        self,
        path: KeyPath,
        value: object,
        origin: Origin,
        lines: Mapping[KeyPath, int] = MappingProxyType({}),
    ) -> None:
        """Set one value, or each value of a table; what the table does not name stays."""
        laid_by = self.origins[path] = replace(origin, line=lines[path]) if path in lines else origin
        if isinstance(value, dict):
            self._table_at(path, laid_by)
            for key, inner in value.items():
                self.lay((*path, key), inner, laid_by, lines)
        else:
            self._table_at(path[:-1], laid_by)[path[-1]] = value
            self._attribute(path, value, laid_by, lines)

    def _attribute(self, path: KeyPath, value: object, laid_by: Origin, lines: Mapping[KeyPath, int]) -> None:
        """Note who laid the tables inside a list, which is laid whole, and what they hold."""
        tables = [(element(n), one) for n, one in enumerate(value)] if isinstance(value, list) else []
        inside = (
            [*value.items()]
            if isinstance(value, dict)
            else [one for one in tables if isinstance(one[1], dict)]
        )
        for key, one in inside:
            where = (*path, key)
            by = self.origins[where] = replace(laid_by, line=lines.get(where, laid_by.line))
            self._attribute(where, one, by, lines)

    def get(self, path: KeyPath) -> object:
        """The value at `path`, or None."""
        node: object = self.table
        for key in path:
            node = node.get(key) if isinstance(node, dict) else None
        return node

    def _table_at(self, path: KeyPath, laid_by: Origin) -> dict[str, object]:
        """The table at `path`; where there is none, or something else, it is made and attributed."""
        node = self.table
        for depth, key in enumerate(path, start=1):
            inner = node.get(key)
            if not isinstance(inner, dict):
                inner = node[key] = {}
                self.origins[path[:depth]] = laid_by
            node = inner
        return node
