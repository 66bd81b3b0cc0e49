"""Settings as annotated TOML: valid to read back, and each line says where its value comes from."""

import json
from collections.abc import Iterator, Mapping

from macroslow.settings.origin import KeyPath, dotted

_COLUMN = 44  # where the comments begin, if the value leaves room


def annotated(values: Mapping[str, object], origins: Mapping[KeyPath, str]) -> Iterator[str]:
    """Lines of TOML for JSON values; None becomes a comment. A value without an origin is a default."""
    yield from list(_table((), values, origins))[1:]  # no empty line at the top


def _table(path: KeyPath, table: Mapping[str, object], origins: Mapping[KeyPath, str]) -> Iterator[str]:
    plain = {key: value for key, value in table.items() if not isinstance(value, Mapping)}
    if plain:
        yield ""
        yield f"[{dotted(path)}]"
    for key, value in plain.items():
        text = f"# {dotted((key,))} is not set" if value is None else f"{dotted((key,))} = {_value(value)}"
        yield f"{text:<{_COLUMN}}  # {origins.get((*path, key), 'default')}"
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _table((*path, key), value, origins)


def _value(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    # JSON's strings, numbers and booleans are TOML's.
    return json.dumps(value, ensure_ascii=False)
