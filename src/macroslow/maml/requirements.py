"""Requirement strings of `requires.libs`, and whether what is installed fulfils them.

The part of PEP 508 that documents use: a name, extras (ignored) and version clauses; versions by the
release numbers of PEP 440, with pre-releases before their release. Markers and URLs are refused.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from macroslow.errors import Problem

_REQUIREMENT: Final = re.compile(
    r"\s*+([A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?)\s*+(?:\[[^\]]{0,200}\])?\s*+\(?([^()]{0,200})\)?\s*+"
)
_CLAUSE: Final = re.compile(r"(===|==|!=|~=|>=|<=|>|<)\s*+([0-9A-Za-z.*+!-]{1,60})")
_VERSION: Final = re.compile(
    r"v?(?:[0-9]++!)?([0-9]{1,9}(?:\.[0-9]{1,9}){0,15})[._-]?(a|b|c|rc|alpha|beta|pre|preview|dev)?[0-9.]*+.*",
    re.IGNORECASE,
)
_SEPARATORS: Final = re.compile(r"[-_.]+")


@dataclass(frozen=True, slots=True)
class Requirement:
    """A library and its version clauses, as (operator, version)."""

    name: str
    clauses: tuple[tuple[str, str], ...]


def normal_name(name: str) -> str:
    """The name as PEP 503 compares it."""
    return _SEPARATORS.sub("-", name).lower()


def parse_requirement(text: str) -> Requirement:
    """Read one requirement string; ValueError if it is none."""
    found = _REQUIREMENT.fullmatch(text)
    if found is None:
        raise ValueError(f"{text[:80]!r} is no requirement")
    clauses = []
    for part in filter(None, (part.strip() for part in found[2].split(","))):
        clause = _CLAUSE.fullmatch(part)
        if clause is None:
            raise ValueError(f"{part[:80]!r} is no version clause")
        clauses.append((clause[1], clause[2]))
    return Requirement(normal_name(found[1]), tuple(clauses))


def package_name(text: str) -> str:
    """The normal name in a requirement string, or an empty one if it is none."""
    try:
        return parse_requirement(text).name
    except ValueError:
        return ""


def check_libraries(
    libs: Sequence[str], installed: Mapping[str, str], *, exact: bool, line: int | None = None
) -> tuple[list[Problem], list[Problem]]:
    """Problems and warnings. `installed` maps names to versions.

    Absent is a problem; another version than asked is a warning, with `exact` a problem.
    """
    present = {normal_name(name): version for name, version in installed.items()}
    problems: list[Problem] = []
    warnings: list[Problem] = []
    for text in libs:
        try:
            requirement = parse_requirement(text)
        except ValueError as error:
            problems.append(Problem(str(error), 'write it as "numpy>=2"', line, "requires.libs"))
            continue
        version = present.get(requirement.name)
        if version is None:
            fix = "remove it, or ask the operator to install it into the sandbox"
            problems.append(Problem(f"{requirement.name} is not installed here", fix, line, "requires.libs"))
        elif not all(_holds(version, operator, wanted) for operator, wanted in requirement.clauses):
            fix = f'to take what is here: "{requirement.name}=={version}"'
            told = Problem(f"{text[:80]} is asked for, {version} is here", fix, line, "requires.libs")
            (problems if exact else warnings).append(told)
    return problems, warnings


def _holds(version: str, operator: str, wanted: str) -> bool:
    """One clause. `==1.2.*` and `~=` compare prefixes, the others the whole."""
    if operator == "===":
        return version == wanted
    if operator in {"==", "!="} and wanted.endswith(".*"):
        return _has_prefix(version, wanted[:-2]) is (operator == "==")
    if operator == "~=":
        return _key(version) >= _key(wanted) and _has_prefix(version, wanted.rpartition(".")[0])
    left, right = _key(version), _key(wanted)
    match operator:
        case "==":
            return left == right
        case "!=":
            return left != right
        case ">=":
            return left >= right
        case "<=":
            return left <= right
        case ">":
            return left > right
        case _:
            return left < right


def _has_prefix(version: str, prefix: str) -> bool:
    wanted = _release(prefix)
    have = _release(version)
    return bool(wanted) and (have + (0,) * len(wanted))[: len(wanted)] == wanted


def _key(version: str) -> tuple[tuple[int, ...], int]:
    """Release without trailing zeros, then 0 for a pre-release and 1 for a release."""
    release = _release(version)
    while release and release[-1] == 0:
        release = release[:-1]
    found = _VERSION.fullmatch(version)
    return release, 0 if found and found[2] else 1


def _release(version: str) -> tuple[int, ...]:
    found = _VERSION.fullmatch(version)
    return tuple(map(int, found[1].split("."))) if found else ()
