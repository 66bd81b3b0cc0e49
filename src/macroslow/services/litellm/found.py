"""What was found in another gateway's configuration, as settings of ours."""

from dataclasses import dataclass, field

from macroslow.inference.dialect import Dialect
from macroslow.metering.catalogue import Catalogue

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Note:
    """Something that was not carried, or not as it stood: where, what, and why."""

    line: int
    what: str
    why: str


@dataclass(slots=True)
class Found:
    """Settings as tables of macroslow.toml, the line of the file behind each value, and notes on the rest.

    `upstream_of` and `dialects` are of the names that deployments have: the provider's own name of the
    first, and the API that they are asked for in.
    """

    catalogue: Catalogue
    settings: dict[str, object] = field(default_factory=dict)
    models: dict[str, dict[str, object]] = field(default_factory=dict)
    lines: dict[Path, int] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)
    upstream_of: dict[str, str] = field(default_factory=dict)
    dialects: dict[str, Dialect] = field(default_factory=dict)

    def note(self, line: int, what: str, why: str) -> None:
        """Tell that something is not carried as it stands."""
        self.notes.append(Note(line, what, why))

    def set(self, section: str, key: str, value: object, line: int) -> None:
        """Set [section] key."""
        table = self.settings.setdefault(section, {})
        assert isinstance(table, dict)  # noqa: S101 - made here alone
        table[key] = value
        self.lines[section, key] = line

    def set_model(self, name: str, member: str, value: object, line: int) -> None:
        """Set [models.name] member."""
        self.models.setdefault(name, {})[member] = value
        self.lines["models", name, member] = line

    def fallbacks_of(self, model: str) -> list[str]:
        """The fall-backs that a model has so far."""
        known = self.models.get(model, {}).get("fallbacks", [])
        assert isinstance(known, list)  # noqa: S101 - made here alone
        return known

    def fall_back(self, model: str, names: list[str], line: int) -> None:
        """Add fall-backs of a model, after those that it has."""
        known = self.fallbacks_of(model)
        self.set_model(model, "fallbacks", [*known, *(name for name in names if name not in known)], line)

    def unset_model(self, name: str, *members: str) -> None:
        """Take members of [models.name] back, and the table if nothing is left of it."""
        table = self.models.get(name, {})
        for member in members:
            table.pop(member, None)
            self.lines.pop(("models", name, member), None)
        if not table:
            self.models.pop(name, None)

    def is_served(self, name: str) -> bool:
        """Whether the name is carried, or known without that."""
        return name in self.upstream_of or name in self.models or self.catalogue.find(name) is not None

    def dialect(self, name: str) -> Dialect:
        """The API that a carried name is asked for in."""
        model = self.catalogue.find(name)
        by_catalogue = Dialect.ANTHROPIC if model and "messages" in model.operations else Dialect.OPENAI
        return self.dialects.get(name, by_catalogue)
