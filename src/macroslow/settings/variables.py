"""Settings from variables: MACROSLOW__SECTION__KEY, and the three that every platform sets.

A value is read as TOML where it is TOML (`8`, `true`, `["a", "b"]`, `"8"`), else as the text it is.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from macroslow.adapters.dotenv import Assignment
from macroslow.errors import Problem
from macroslow.settings.layers import Layers
from macroslow.settings.origin import KeyPath, Origin

PREFIX: Final = "MACROSLOW__"
_DEFAULT_HOST: Final = "127.0.0.1"
_PLAIN: Final[Mapping[str, KeyPath]] = {
    "LOG_LEVEL": ("server", "log_level"),
    "ENVIRONMENT": ("gateway", "environment"),
}


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable that sets something, and where it was found."""

    name: str
    text: str
    origin: Origin


def variables(
    environ: Mapping[str, str], assignments: Iterable[Assignment], dotenv: str
) -> tuple[Variable, ...]:
    """The variables that concern the settings, by name; an empty one counts as not set."""
    found: dict[str, Variable] = {}
    for line in assignments:
        if _concerns(line.name):
            origin = Origin(dotenv, line.line)
            found[line.name] = Variable(line.name, line.value.reveal(), origin)
    for name, text in environ.items():
        if _concerns(name) and text:
            found[name] = Variable(name, text, Origin(f"environment {name}"))
    return tuple(found[name] for name in sorted(found) if found[name].text)


def lay_variables(layers: Layers, chosen: Iterable[Variable]) -> None:
    """Lay the plain three first, so that MACROSLOW__ ones, which say exactly what they mean, win."""
    for variable in sorted(chosen, key=lambda one: one.name.startswith(PREFIX)):
        if variable.name == "PORT":
            _lay_port(layers, variable)
        elif variable.name in _PLAIN:
            layers.lay(_PLAIN[variable.name], variable.text, variable.origin)
        else:
            path = _path(layers, variable.name.removeprefix(PREFIX))
            layers.lay(path, _value(variable.text), variable.origin)


def _concerns(name: str) -> bool:
    return name.startswith(PREFIX) or name == "PORT" or name in _PLAIN


def _lay_port(layers: Layers, variable: Variable) -> None:
    """Change the port and leave the host as it is."""
    if not re.fullmatch(r"[0-9]{1,5}", variable.text) or int(variable.text) > 65535:
        layers.problems.append(
            Problem(
                "not a port",
                "set PORT to a number up to 65535",
                variable.origin.line,
                "PORT",
                variable.origin.place,
            )
        )
        return
    listen = layers.get(("server", "listen"))
    host = listen.rpartition(":")[0] if isinstance(listen, str) else _DEFAULT_HOST
    layers.lay(("server", "listen"), f"{host}:{variable.text}", variable.origin)


def _path(layers: Layers, name: str) -> KeyPath:
    """Keys of a variable's name; `GPT_4_1` finds a table `gpt-4.1` that the file has."""
    path: KeyPath = ()
    for part in name.lower().split("__"):
        below = layers.get(path)
        alike = (key for key in (below if isinstance(below, dict) else ()) if _plain(key) == part)
        path = (*path, next(alike, part))
    return path


def _plain(key: str) -> str:
    return re.sub("[^a-z0-9]", "_", key.lower())


def _value(text: str) -> object:
    try:
        table = tomllib.loads(f"value = {text}", parse_float=Decimal)
    except tomllib.TOMLDecodeError:
        return text
    return table["value"] if len(table) == 1 else text
