"""Profiles: presets of settings, and what each demands of the product. Data files beside this one."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from macroslow.errors import Problem
from macroslow.settings.origin import KeyPath, Origin, problem

NAMES: Final = ("dunes", "chimera", "glastonbury")
CAPABILITIES: Final[frozenset[str]] = frozenset({"signatures"})
"""What profiles may demand and this version does."""


@dataclass(frozen=True, slots=True)
class Profile:
    """One preset. `demands` maps a capability to what it is, in words."""

    name: str
    summary: str
    defaults: Mapping[str, object]
    demands: Mapping[str, str]

    @property
    def unmet(self) -> tuple[str, ...]:
        """In words, what the profile demands and this version does not do."""
        return tuple(words for name, words in self.demands.items() if name not in CAPABILITIES)


def profile(name: str) -> Profile:
    """Read the profile `name`, one of NAMES."""
    table = tomllib.loads(files(__name__).joinpath(f"{name}.toml").read_text(encoding="utf-8"))
    return Profile(name, table["summary"], table["defaults"], table["demands"])


def profile_of(table: Mapping[str, object]) -> Profile | None:
    """The profile that a configuration asks for; None if it asks for one that does not exist."""
    gateway = table.get("gateway")
    name = gateway.get("profile", NAMES[0]) if isinstance(gateway, dict) else NAMES[0]
    return profile(name) if name in NAMES else None


def unmet_demands(asked: Profile | None, origins: Mapping[KeyPath, Origin]) -> list[Problem]:
    """One Problem for a profile that this version cannot keep the promises of."""
    if asked is None or not asked.unmet:
        return []
    message = f'profile "{asked.name}" demands {_listed(asked.unmet)}, which this version does not do'
    return [problem(("gateway", "profile"), message, 'write profile = "dunes"', origins)]


def _listed(words: tuple[str, ...]) -> str:
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last
