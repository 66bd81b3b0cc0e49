"""Settings as annotated TOML: valid to read back, and each line says where its value comes from."""

import json
from collections.abc import Iterator, Mapping

from macroslow.settings.origin import KeyPath, dotted, element, is_element, quoted

_COLUMN = 44  # where the comments begin, if the value leaves room


def annotated(values: Mapping[str, object], origins: Mapping[KeyPath, str]) -> Iterator[str]:
    """Lines of TOML for JSON values; None becomes a comment. A value without an origin is a default."""
    yield from _plain((), values, origins)
    yield from _tables((), values, origins)


def _plain(path: KeyPath, table: Mapping[str, object], origins: Mapping[KeyPath, str]) -> Iterator[str]:
    """The values of one table that are no tables."""
    for key, value in table.items():
        if not isinstance(value, Mapping) and not _elements(value):
            told = (
                f"# {dotted((key,))} is not set" if value is None else f"{dotted((key,))} = {_value(value)}"
            )
            yield f"{told:<{_COLUMN}}  # {origins.get((*path, key), 'default')}"


def _tables(path: KeyPath, table: Mapping[str, object], origins: Mapping[KeyPath, str]) -> Iterator[str]:
    """The tables inside one table, each below its header; a list of tables as one header for each."""
    for key, value in table.items():
        name = dotted(tuple(part for part in (*path, key) if not is_element(part)))
        one = [((*path, key), value, f"[{name}]")] if isinstance(value, Mapping) else []
        many = [((*path, key, element(n)), each, f"[[{name}]]") for n, each in enumerate(_elements(value))]
        for where, inner, header in one + many:
            plain = [*_plain(where, inner, origins)]
            if plain:
                yield from ("", header, *plain)
            yield from _tables(where, inner, origins)


def _elements(value: object) -> list[Mapping[str, object]]:
    """The tables of a list of tables; of anything else none."""
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []


def _value(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, str):
        return quoted(value)
    return json.dumps(value)  # JSON's numbers and booleans are TOML's
