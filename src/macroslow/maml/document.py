"""What a MAML document says, once it has been read: front matter, sections, code blocks, schemas.

Plain values without behaviour; `maml.parse` makes them. Lines count from 1 in the file. Nothing here
has been authorised and nobody vouches for it yet: that is what the stages in `maml.stages` are for.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from macroslow.authz.uri import Pattern
from macroslow.errors import Problem

VERSIONS: Final = ("1.0.0", "2.0.0")
TYPES: Final = (
    "workflow",
    "hybrid_workflow",
    "prompt",
    "api_request",
    "dataset",
    "agent_blueprint",
    "verifiable_inference",
)
SECTIONS: Final = (
    "Intent",
    "Context",
    "Environment",
    "Content",
    "Code_Blocks",
    "Input_Schema",
    "Output_Schema",
    "History",
)
LANGUAGES: Final = ("python", "qiskit", "javascript", "bash", "ocaml", "sql")


class VerificationMethod(enum.StrEnum):
    """What a document asks to be checked."""

    SCHEMA = "schema"  # the document checks alone
    ORTAC_RUNTIME = "ortac-runtime"  # besides, Gospel contracts of OCaml blocks


class VerificationLevel(enum.StrEnum):
    """What happens when it cannot be checked or does not hold."""

    STRICT = "strict"
    WARN = "warn"


@dataclass(frozen=True, slots=True)
class Permissions:
    """What the document asks for. A missing list is an empty one, and an empty one grants nothing."""

    read: tuple[Pattern, ...] = ()
    write: tuple[Pattern, ...] = ()
    execute: tuple[Pattern, ...] = ()


@dataclass(frozen=True, slots=True)
class Requires:
    """What must be present before it runs: requirement strings, API names, resource names."""

    libs: tuple[str, ...] = ()
    apis: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Verification:
    """What the author wants verified, beyond the checks that every document gets."""

    method: VerificationMethod = VerificationMethod.SCHEMA
    spec_files: tuple[str, ...] = ()
    level: VerificationLevel = VerificationLevel.STRICT


@dataclass(frozen=True, slots=True)
class FrontMatter:
    """The machine's part. `lines` maps a key to its line; `extra` holds unknown keys as they came."""

    maml_version: str
    id: str
    type: str
    origin: str
    permissions: Permissions
    requires: Requires = Requires()
    verification: Verification = Verification()
    quantum_security_flag: bool = False
    quantum_context_layer: str | None = None
    created_at: str | None = None
    timeout_s: float | None = None
    model: str | None = None
    title: str | None = None
    description: str | None = None
    encryption: object = None
    tags: tuple[str, ...] = ()
    extra: Mapping[str, object] = field(default_factory=dict)
    lines: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Section:
    """A level-2 heading and the text up to the next one. `name` is canonical for a known section."""

    name: str
    text: str
    line: int


@dataclass(frozen=True, slots=True)
class CodeBlock:
    """One fenced block under Code_Blocks. `line` is that of its first line of code."""

    language: str
    name: str
    code: str
    line: int
    timeout_s: float | None = None


@dataclass(frozen=True, slots=True)
class Schema:
    """A JSON Schema 2020-12 that was checked; `lines` maps a path within `value` to its line in the file."""

    value: Mapping[str, object] | bool
    line: int
    lines: Mapping[tuple[str | int, ...], int]


@dataclass(frozen=True, slots=True)
class Parsed:
    """A document that passed every document check; `warnings` are what its author should still know."""

    front: FrontMatter
    sections: tuple[Section, ...]
    blocks: tuple[CodeBlock, ...]
    input_schema: Schema | None
    output_schema: Schema | None
    warnings: tuple[Problem, ...]

    def section(self, name: str) -> Section | None:
        """The section of that canonical name, if the document has one."""
        return next((section for section in self.sections if section.name == name), None)
