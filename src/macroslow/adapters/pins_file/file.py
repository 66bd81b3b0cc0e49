"""`mcp-pins.json` in the state folder: what was approved, in full, so that a change can be shown.

The file is replaced as a whole. One that cannot be read stops a start: going on without it would block
everything, going on with half of it would be worse.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from macroslow import durable_files
from macroslow.errors import ConfigurationError
from macroslow.mcp.pins import Approved, Kind, Place

FILE_NAME: Final = "mcp-pins.json"
MAX_BYTES: Final = 512 * 1024 * 1024
_FORMAT: Final = 1


class PinsFile:
    """See `services.upstreams.approve_pins.PinStore`. Its folder belongs to one process at a time."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE_NAME

    def load(self) -> dict[str, dict[Place, str]]:
        """All pins, by server; none where there is no file. ConfigurationError if it is damaged."""
        try:
            with self._path.open("rb") as file:
                raw = file.read(MAX_BYTES + 1)
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise self._damaged(error.strerror or "no file") from None
        try:
            told = json.loads(raw) if len(raw) <= MAX_BYTES else None
            if not isinstance(told, dict) or told.get("format") != _FORMAT:
                raise self._damaged("not of this version")
            return {server: _read(rows) for server, rows in told["servers"].items()}
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise self._damaged("damaged") from None

    def save(self, pins: Mapping[str, Approved]) -> None:
        """Replace all pins. OSError if the disk does not take them; then the old ones stay."""
        servers = {
            server: [[place.kind.value, place.name, text] for place, text in approved.items()]
            for server, approved in pins.items()
        }
        written = json.dumps({"format": _FORMAT, "servers": servers}, ensure_ascii=True, indent=1)
        durable_files.replace(self._path, written.encode("ascii"))

    def _damaged(self, why: str) -> ConfigurationError:
        return ConfigurationError(
            f"the approved pins in {self._path} cannot be read: {why}",
            fix="restore it from a backup, or remove it and approve again: macroslow mcp pins approve",
        )


def _read(rows: Any) -> dict[Place, str]:
    found = {}
    for kind, name, text in rows:
        if not isinstance(name, str) or not isinstance(text, str) or not isinstance(json.loads(text), dict):
            raise TypeError("not a pin")
        found[Place(Kind(kind), name)] = text
    return found
