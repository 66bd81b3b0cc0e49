"""Documents in `corpus`: the valid ones are valid, and the bad ones have exactly the problems beside them."""

from pathlib import Path

import pytest
from tests.maml.samples import problems

from macroslow.maml.document import VerificationLevel, VerificationMethod
from macroslow.maml.parse import parse

CORPUS = Path(__file__).parent / "corpus"
VALID = sorted((CORPUS / "valid").glob("*.maml.md"))
BAD = sorted((CORPUS / "bad").glob("*.maml.md"))


def test_the_corpus_is_there() -> None:
    assert len(VALID) >= 5
    assert len(BAD) >= 25


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.name)
def test_a_valid_document_has_no_problem(path: Path) -> None:
    assert problems(path.read_bytes()) == ()


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.name)
def test_a_bad_document_has_all_its_problems_at_their_lines(path: Path) -> None:
    expected = path.with_name(path.name.replace(".maml.md", ".problems")).read_text().splitlines()
    told = [f"{problem.line} {problem.field}: {problem.message}" for problem in problems(path.read_bytes())]
    assert told == expected


def test_a_document_with_every_key_is_read_whole() -> None:
    parsed = parse((CORPUS / "valid" / "all-keys.maml.md").read_bytes())
    front = parsed.front
    assert (front.maml_version, front.type, front.origin) == (
        "2.0.0",
        "hybrid_workflow",
        "agent://research-agent-alpha",
    )
    assert [str(pattern) for pattern in front.permissions.read] == ["agent://**", "specific_db://**"]
    assert front.requires.libs == ("qiskit>=0.45", "openai")
    assert front.requires.resources == ("cuda",)
    assert front.verification.method is VerificationMethod.ORTAC_RUNTIME
    assert front.verification.level is VerificationLevel.STRICT
    assert front.verification.spec_files == ("model_spec.mli",)
    assert front.quantum_security_flag
    assert (front.timeout_s, front.created_at) == (60.0, "2025-10-17T14:30:00Z")
    assert front.tags == ("diagnostics", "quantum")
    assert [(block.language, block.name, block.timeout_s) for block in parsed.blocks] == [
        ("python", "load", 5.0),
        ("qiskit", "circuit", 30.0),
        ("bash", "count-lines", None),
    ]
    assert parsed.blocks[1].code == 'fence = """\n```\ninside\n```\n"""\n'
    assert parsed.input_schema is not None
    assert parsed.input_schema.lines["properties", "record", "$ref"] == 73
    assert parsed.output_schema is not None
    assert [section.name for section in parsed.sections][-2:] == ["Notes of the author", "History"]
    assert parsed.warnings == ()


def test_shape_is_tolerated_and_what_is_not_known_is_kept_with_a_warning() -> None:
    parsed = parse((CORPUS / "valid" / "tolerant-shape.maml.md").read_bytes())
    assert parsed.front.extra == {"unknown_key": {"kept": [1, 2.5, None, "yes"]}}
    assert parsed.front.requires.libs == ("numpy",)
    assert parsed.front.requires.apis == ("openai/gpt-4o",)
    assert [str(pattern) for pattern in parsed.front.permissions.execute] == ["gateway://local"]
    # The block in the comment does not run: a person does not see it.
    assert [(block.language, block.name, block.code) for block in parsed.blocks] == [
        ("python", "a", "x = 1\n")
    ]
    assert {warning.field for warning in parsed.warnings} == {"unknown_key", "Intent", "Context"}
