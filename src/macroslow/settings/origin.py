"""Where a value came from, for messages and for `config show`."""

from dataclasses import dataclass

KeyPath = tuple[str, ...]
"""The keys that lead to a value, from the top of the file."""


@dataclass(frozen=True, slots=True)
class Origin:
    """One place that sets a value: a file and line, a variable, a profile, or the command line."""

    place: str
    line: int | None = None

    def __str__(self) -> str:
        return f"{self.place}:{self.line}" if self.line else self.place


def dotted(path: KeyPath) -> str:
    """The path as TOML writes it: `models."gpt-4.1".input_usd`."""
    return ".".join(key if key.replace("-", "").replace("_", "").isalnum() else f'"{key}"' for key in path)
