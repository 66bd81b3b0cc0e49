"""What a JSON Schema costs to apply, bounded before anything applies it.

A validator without memory evaluates a schema once for every way in which keywords lead to it, so a short
schema may ask for 2**n evaluations, by `allOf` of `$ref`s at one place or by recursion along the instance.
`Graph` finds, for every subschema, all that is evaluated at the same place (`closure`), and refuses
references that lead back to themselves; `cost` walks an instance with counts in place of evaluations.

One unit is about what one keyword takes, some tens of nanoseconds. Keywords: JSON Schema 2020-12, core
section 10 (applicators) and 8.2 (references). References stay within the document.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from macroslow.maml.json_text import Path
from macroslow.maml.pattern_cost import states

MAX_CLOSURE: Final = 1_000
"""Evaluations that one subschema may cause at one place."""
MAX_CLOSURES: Final = 100_000
"""Sum of all of these, which bounds the analysis itself."""
MAX_COST: Final = 20_000_000
"""Units for one instance: well under a second."""
MAX_PAIRS: Final = 50_000
"""(container, subschema) pairs that the walk may visit."""

MULTIPLE_OF: Final = 2_000
"""Units of `multipleOf`, which divides exactly, in big fractions."""

Object = Mapping[str, object]
_Container = dict[str, object] | list[object]
_Level = dict[tuple[int, int], tuple[object, int]]

_IN_PLACE: Final = ("not", "if", "then", "else")
_IN_PLACE_LISTS: Final = ("allOf", "anyOf", "oneOf")
_IN_PLACE_MAPS: Final = ("dependentSchemas", "dependencies")
_REFERENCES: Final = ("$ref", "$dynamicRef")
_ITEMS: Final = ("items", "contains", "unevaluatedItems")
_MEMBERS: Final = ("additionalProperties", "unevaluatedProperties")


class SchemaError(Exception):
    """The schema cannot be applied in bounded time, or refers to what is not there."""

    def __init__(self, message: str, fix: str, path: Path = ()) -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix
        self.path = path


@dataclass(slots=True)
class Graph:
    """The subschemas of one document, by identity, and what each leads to at the same place."""

    root: Object
    paths: dict[int, Path] = field(default_factory=dict)
    anchors: dict[str, Object] = field(default_factory=dict)
    closures: dict[int, dict[int, int]] = field(default_factory=dict)
    schemas: dict[int, Object] = field(default_factory=dict)
    weights: dict[int, int] = field(default_factory=dict)
    texts: dict[int, int] = field(default_factory=dict)
    names: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._index()
        pending, seen, total = [self.root], set[int](), 0
        while pending:
            schema = pending.pop()
            if id(schema) in seen:
                continue
            seen.add(id(schema))
            if id(schema) not in self.closures:
                self._close(schema)
            total += len(self.closures[id(schema)])
            if total > MAX_CLOSURES:
                raise SchemaError("the schema is too intricate", "use fewer combined subschemas")
            pending.extend(self._below(schema))
            pending.extend(self._beside(schema))
        self._weigh()

    def _weigh(self) -> None:
        """For each closure: units for one application, states of patterns on text; of each, on names."""
        own = {key: (_weight(self.schemas[key]), _states_of(self.schemas[key])) for key in self.closures}
        for key, closure in self.closures.items():
            self.weights[key] = sum(count * own[member][0] for member, count in closure.items())
            self.texts[key] = sum(count * own[member][1] for member, count in closure.items())
            self.names[key] = sum(map(states, _members(self.schemas[key].get("patternProperties"))))

    def _index(self) -> None:
        """Note where every object stands, and every anchor."""
        pending: list[tuple[Path, object]] = [((), self.root)]
        while pending:
            path, value = pending.pop()
            if isinstance(value, dict):
                self.paths[id(value)] = path
                self.schemas[id(value)] = value
                for key in ("$anchor", "$dynamicAnchor"):
                    if isinstance(name := value.get(key), str):
                        self.anchors[name] = value
                pending.extend(((*path, key), member) for key, member in value.items())
            elif isinstance(value, list):
                pending.extend(((*path, index), item) for index, item in enumerate(value))

    def _close(self, start: Object) -> None:
        """Compute the closure of `start` and of all it leads to in place, innermost first."""
        stack = [(start, self._beside(start))]
        under_way = {id(start)}
        while stack:
            schema, edges = stack[-1]
            following = next(edges, None)
            if following is None:
                stack.pop()
                under_way.discard(id(schema))
                self._sum_up(schema)
            elif id(following) in under_way:
                path = self.paths[id(following)]
                raise SchemaError("a reference leads back to itself", "refer to it below a property", path)
            elif id(following) not in self.closures:
                under_way.add(id(following))
                stack.append((following, self._beside(following)))

    def _sum_up(self, schema: Object) -> None:
        # `unevaluated…` asks every subschema beside it once more what it has seen.
        times = 2 if "unevaluatedItems" in schema or "unevaluatedProperties" in schema else 1
        closure = {id(schema): 1}
        for following in self._beside(schema):
            for key, count in self.closures[id(following)].items():
                closure[key] = closure.get(key, 0) + times * count
        if sum(closure.values()) > MAX_CLOSURE:
            path = self.paths[id(schema)]
            raise SchemaError(
                f"more than {MAX_CLOSURE} subschemas at one place", "combine fewer of them", path
            )
        self.closures[id(schema)] = closure

    def _beside(self, schema: Object) -> Iterator[Object]:
        """Subschemas that are evaluated at the same place as `schema`."""
        for key in _REFERENCES:
            if isinstance(reference := schema.get(key), str):
                yield from _objects([self._target(reference, (*self.paths[id(schema)], key))])
        yield from _objects(schema.get(key) for key in _IN_PLACE)
        for key in _IN_PLACE_LISTS:
            yield from _objects(_items(schema.get(key)))
        for key in _IN_PLACE_MAPS:
            yield from _objects(_members(schema.get(key)).values())

    @staticmethod
    def _below(schema: Object) -> Iterator[Object]:
        """Subschemas that are evaluated at places below."""
        yield from _objects(schema.get(key) for key in (*_ITEMS, *_MEMBERS, "propertyNames"))
        yield from _objects(_items(schema.get("prefixItems")))
        for key in ("properties", "patternProperties"):
            yield from _objects(_members(schema.get(key)).values())

    def _target(self, reference: str, path: Path) -> object:
        """What a reference within the document names: `#`, `#/json/pointer` or `#anchor`."""
        if not reference.startswith("#") or "%" in reference:
            fix = "copy it under $defs and write #/$defs/NAME"
            raise SchemaError("references outside the document are not followed", fix, path)
        if not reference.startswith("#/") and reference != "#":
            found: object = self.anchors.get(reference[1:])
        else:
            found = self.root
            for part in reference.split("/")[1:]:
                found = _step(found, part.replace("~1", "/").replace("~0", "~"))
        if not isinstance(found, dict | bool):
            raise SchemaError(f"the reference {reference[:80]!r} leads nowhere", "check its spelling", path)
        return found

    def cost(self, instance: object) -> int:
        """Units that applying the schema to `instance` takes at most; SchemaError beyond the caps."""
        level: _Level = {(id(instance), id(self.root)): (instance, 1)}
        total = self._charge(_one(instance), id(self.root), 1)
        pairs = 0
        while level:
            below: _Level = {}
            for (_, schema), (place, times) in level.items():
                if isinstance(place, dict | list):
                    total += self._spread(place, schema, times, below)
                pairs += len(self.closures[schema])
                if total > MAX_COST or pairs + len(below) > MAX_PAIRS:
                    raise SchemaError("checking this against the schema would take too long", _SIMPLER)
            level = below
        return total

    def _spread(self, place: _Container, schema: int, times: int, below: _Level) -> int:
        """Charge what a subschema and all beside it ask for below `place`; containers go to `below`."""
        everything, charged = _Group.of_members(place), 0
        for member, count in self.closures[schema].items():
            applied = times * count
            charged += applied * self.names[member] * everything.name_chars // 2
            for group, subschema in _applications(place, everything, self.schemas[member]):
                key = id(subschema)
                charged += self._charge(group, key, applied)
                if key in self.closures:
                    for child in group.containers:
                        before = below.get((id(child), key), (child, 0))[1]
                        below[id(child), key] = (child, before + applied)
                if charged > MAX_COST or len(below) > MAX_PAIRS:
                    return charged
        return charged

    def _charge(self, group: "_Group", key: int, times: int) -> int:
        """What the subschema `key` costs at every child of the group, less what lies below them."""
        texts = self.texts.get(key, 0) * group.chars // 2
        return times * (self.weights.get(key, 1) * group.count + texts)


@dataclass(frozen=True, slots=True)
class _Group:
    """Children that one subschema is applied to: how many, their characters, and those with children."""

    count: int
    chars: int
    containers: list[_Container]
    name_chars: int = 0

    @classmethod
    def of(cls, children: Iterable[object], name_chars: int = 0) -> "_Group":
        kept = list(children)
        containers = [child for child in kept if isinstance(child, dict | list)]
        chars = sum([len(child) for child in kept if isinstance(child, str)])
        return cls(len(kept), chars, containers, name_chars)

    @classmethod
    def of_members(cls, place: _Container) -> "_Group":
        if isinstance(place, list):
            return cls.of(place)
        return cls.of(place.values(), sum(map(len, place)) + len(place))


_LEAF: Final = _Group(1, 0, [])


def _one(child: object) -> _Group:
    if isinstance(child, dict | list):
        return _Group(1, 0, [child])
    return _Group(1, len(child), []) if isinstance(child, str) else _LEAF


def _applications(place: _Container, everything: _Group, schema: Object) -> Iterator[tuple[_Group, object]]:
    """Every subschema that `schema` asks for below `place`, and the children it is applied to."""
    if isinstance(place, list):
        for child, subschema in zip(place, _items(schema.get("prefixItems")), strict=False):
            yield _one(child), subschema
        yield from ((everything, schema[key]) for key in _ITEMS if key in schema)
        return
    for name, subschema in _members(schema.get("properties")).items():
        if name in place:
            yield _one(place[name]), subschema
    yield from ((everything, schema[key]) for key in _MEMBERS if key in schema)
    for subschema in _members(schema.get("patternProperties")).values():
        yield everything, subschema
    if "propertyNames" in schema:
        yield _Group(len(place), everything.name_chars, []), schema["propertyNames"]


_SIMPLER: Final = "send less at once, or simplify the schema"


def _weight(schema: Object) -> int:
    """One, and one more for each entry of the keywords that are compared one by one."""
    listed = MULTIPLE_OF if "multipleOf" in schema else 1
    for key in ("enum", "const", "required", "dependentRequired", "properties"):
        value = schema.get(key)
        listed += len(value) if isinstance(value, dict | list) else 0
    return listed


def _states_of(schema: Object) -> int:
    return states(pattern) if isinstance(pattern := schema.get("pattern"), str) else 0


def _step(value: object, part: str) -> object:
    if isinstance(value, dict):
        return value.get(part)
    if isinstance(value, list) and part.isdecimal() and len(part) < 6 and int(part) < len(value):
        return value[int(part)]
    return None


def _objects(values: Iterable[object]) -> Iterator[Object]:
    return (value for value in values if isinstance(value, dict))


def _items(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _members(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}
