"""References: how a configuration names a secret without holding it, as `scheme:name`.

`env:NAME`       a variable of the environment, or of the `.env` beside the configuration
`file:PATH`      the content of a file, relative to the configuration
`keystore:NAME`  an entry of the sealed store in the state folder
"""

import enum
import re
from dataclasses import dataclass
from typing import Final, assert_never

from macroslow.errors import ConfigurationError

FORMS: Final = '"env:NAME", "file:PATH" or "keystore:NAME"'
_ENTRY: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_UNAVAILABLE: Final = frozenset({"vault", "aws-sm", "gcp-sm"})


class Scheme(enum.StrEnum):
    """Where a secret is kept."""

    ENV = "env"
    FILE = "file"
    KEYSTORE = "keystore"


@dataclass(frozen=True, slots=True)
class Reference:
    """The place of one secret. Not secret itself: it may be shown and logged."""

    scheme: Scheme
    name: str

    def __str__(self) -> str:
        return f"{self.scheme}:{self.name}"


def parse_reference(text: str) -> Reference:
    """Read a reference; ConfigurationError otherwise.

    The message never quotes `text`, which may be a secret put where its reference belongs.
    """
    scheme, colon, name = text.partition(":")
    if colon and scheme in _UNAVAILABLE:
        raise ConfigurationError(
            f"{scheme}: references are not available in this version", fix=f"use {FORMS}"
        )
    if not colon or scheme not in set(Scheme):
        raise ConfigurationError(
            "not a reference to a secret (if it is the secret itself, it does not belong here)",
            fix=f"put the secret into .env and write {FORMS}",
        )
    reference = Reference(Scheme(scheme), name)
    if not _names_a_place(reference):
        raise ConfigurationError(f"what follows {scheme}: is not a usable name", fix=f"write {FORMS}")
    return reference


def _names_a_place(reference: Reference) -> bool:
    match reference.scheme:
        case Scheme.ENV:
            return _VARIABLE.fullmatch(reference.name) is not None
        case Scheme.KEYSTORE:
            return is_entry_name(reference.name)
        case Scheme.FILE:
            return reference.name.strip() == reference.name != "" and reference.name.isprintable()
        case _:
            assert_never(reference.scheme)


def is_entry_name(name: str) -> bool:
    """Whether `name` may name a keystore entry: 1 to 64 of letters, digits, dot, underscore and hyphen."""
    return _ENTRY.fullmatch(name) is not None
