"""What would run, and under which limits: the last question before inputs are looked at.

Pure: what this gateway can do comes in as `Runtime`. A document can only choose among that and lower
limits; nothing in it sets an option. What cannot be done is refused here, before anything has run, with
every problem at once.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from macroslow.errors import InvalidDocumentError, Problem
from macroslow.maml.document import (
    TYPES,
    CodeBlock,
    Parsed,
    VerificationLevel,
    VerificationMethod,
)
from macroslow.maml.requirements import check_libraries
from macroslow.maml.stages import Document

DEFAULT_LANGUAGES: Final = frozenset({"python", "bash"})
DEFAULT_NOISE_MODELS: Final = frozenset({"q-noise-v3-enhanced"})

_RUN_AS: Final = {"qiskit": "python"}
_WORKFLOWS: Final = frozenset({"workflow", "hybrid_workflow"})


@dataclass(frozen=True, slots=True)
class Runtime:
    """What the operator built: languages, libraries (name to version) and resources of the sandbox.

    `exact`: another version than a document asks for refuses it, instead of a warning.
    """

    installed: Mapping[str, str]
    languages: frozenset[str] = DEFAULT_LANGUAGES
    resources: frozenset[str] = frozenset()
    noise_models: frozenset[str] = DEFAULT_NOISE_MODELS
    exact: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """The blocks in order, in languages that run here; no block's `timeout_s` is above the document's.

    `timeout_s` bounds the whole run if it is below the operator's limit. `verification` is reported
    with the answer.
    """

    blocks: tuple[CodeBlock, ...]
    timeout_s: float | None
    verification: Mapping[str, str]
    warnings: tuple[Problem, ...] = field(default=())


def make(document: Document, runtime: Runtime) -> Plan:
    """Plan the run. Raises InvalidDocumentError with all problems if it cannot run here as asked."""
    parsed = document.parsed
    libs_line = parsed.front.lines.get("requires")
    libs = parsed.front.requires.libs
    problems, warnings = check_libraries(libs, runtime.installed, exact=runtime.exact, line=libs_line)
    problems += [
        *_refused_type(parsed),
        *_refused_blocks(parsed, runtime),
        *_refused_resources(parsed, runtime),
    ]
    verification, complaint = _verification(parsed)
    if complaint:
        strict = parsed.front.verification.level is VerificationLevel.STRICT
        (problems if strict else warnings).append(complaint)
    if problems:
        fix = "see each problem"
        raise InvalidDocumentError("this gateway cannot run the document", problems, fix=fix, step="plan")
    warnings += _warnings(parsed, runtime)
    return Plan(tuple(_planned(parsed)), parsed.front.timeout_s, verification, tuple(warnings))


def _planned(parsed: Parsed) -> Iterator[CodeBlock]:
    whole = parsed.front.timeout_s
    for block in parsed.blocks:
        bounds = [seconds for seconds in (block.timeout_s, whole) if seconds is not None]
        language = _RUN_AS.get(block.language, block.language)
        yield replace(block, language=language, timeout_s=min(bounds, default=None))


def _refused_type(parsed: Parsed) -> Iterator[Problem]:
    if parsed.front.type not in TYPES:
        fix = f"write one of: {', '.join(TYPES)}"
        message = f"documents of type {parsed.front.type!r} are carried, not run"
        yield Problem(message, fix, parsed.front.lines.get("type"), "type")


def _refused_blocks(parsed: Parsed, runtime: Runtime) -> Iterator[Problem]:
    runs = {*runtime.languages, *(name for name, same in _RUN_AS.items() if same in runtime.languages)}
    for block in parsed.blocks:
        if block.language not in runs:
            message = f"{block.language} does not run at this gateway"
            fix = f"write the block in one of: {', '.join(sorted(runs))}" if runs else "no language runs here"
            yield Problem(message, fix, block.line - 1, "Code_Blocks")


def _refused_resources(parsed: Parsed, runtime: Runtime) -> Iterator[Problem]:
    for name in parsed.front.requires.resources:
        if name not in runtime.resources:
            fix = "remove it, or ask the operator for a runtime that has it"
            message = f"the resource {name[:80]!r} is not here"
            yield Problem(message, fix, parsed.front.lines.get("requires"), "requires.resources")


def _verification(parsed: Parsed) -> tuple[dict[str, str], Problem | None]:
    """What was verified, and what could not be. Contracts need a checker, which this version has not."""
    asked = parsed.front.verification
    report = {"method": asked.method.value, "document": "checked", "contracts": "none"}
    contracts = asked.spec_files or any(block.language == "ocaml" for block in parsed.blocks)
    if asked.method is not VerificationMethod.ORTAC_RUNTIME or not contracts:
        return report, None
    fix = "write method: schema, or level: warn to run without"
    message = "Gospel contracts cannot be checked at this gateway"
    line = parsed.front.lines.get("verification")
    return {**report, "contracts": "unavailable"}, Problem(message, fix, line, "verification")


def _warnings(parsed: Parsed, runtime: Runtime) -> Iterator[Problem]:
    lines = parsed.front.lines
    layer = parsed.front.quantum_context_layer
    if layer is not None and layer not in runtime.noise_models:
        fix = f"known here: {', '.join(sorted(runtime.noise_models)) or 'none'}"
        message = f"the noise model {layer[:80]!r} is not known, the default one is used"
        yield Problem(message, fix, lines.get("quantum_context_layer"), "quantum_context_layer")
    if parsed.front.type in _WORKFLOWS and not parsed.blocks:
        yield Problem("there are no code blocks, so nothing runs", "add ## Code_Blocks", None, "Code_Blocks")
