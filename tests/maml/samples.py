"""Documents for tests: a small valid one, and ways to change it."""

from macroslow.errors import InvalidDocumentError, Problem
from macroslow.maml.document import Parsed
from macroslow.maml.parse import parse

FRONT = """\
maml_version: "2.0.0"
id: urn:uuid:123e4567-e89b-12d3-a456-426614174000
type: workflow
origin: agent://tester
permissions:
  execute: ["gateway://local"]
"""

BODY = """\
## Intent

Test.

## Context

None.
"""


def document(*, front: str = "", body: str = "", instead_of_front: str | None = None) -> bytes:
    """The small document with lines added to its front matter and body, or with other front matter."""
    head = FRONT + front if instead_of_front is None else instead_of_front
    return f"---\n{head}---\n{BODY}{body}".encode()


def read(**changes: str) -> Parsed:
    """The parsed document of `document(**changes)`."""
    return parse(document(**changes))


def problems(raw: bytes) -> tuple[Problem, ...]:
    """Every problem; none if the document is valid. A refusal without problem or repair is a defect."""
    try:
        parse(raw)
    except InvalidDocumentError as error:
        if not error.problems or not all(problem.message and problem.fix for problem in error.problems):
            raise AssertionError("refused without saying why, or without a repair") from error
        return error.problems
    return ()


def without(key: str) -> str:
    """The front matter without one of its top-level keys."""
    lines = FRONT.splitlines(keepends=True)
    start = next(index for index, line in enumerate(lines) if line.startswith(f"{key}:"))
    end = start + 1
    while end < len(lines) and lines[end].startswith(" "):
        end += 1
    return "".join(lines[:start] + lines[end:])
