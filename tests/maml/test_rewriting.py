"""new, fmt and validate --fix: what they write, and what they leave alone."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.machine import CountingEntropy
from tests.maml.samples import FRONT, document, problems

from macroslow.crypto import documents
from macroslow.crypto.hybrid import HybridPrivateKey
from macroslow.errors import InvalidDocumentError, SignatureRefusedError
from macroslow.maml.document import TYPES, VERSIONS
from macroslow.maml.fix import mend
from macroslow.maml.fmt import format_document
from macroslow.maml.new import new_document
from macroslow.maml.parse import cut, parse
from macroslow.maml.yaml_tree import plain, read_yaml

VALID = sorted((Path(__file__).parent / "corpus" / "valid").glob("*.maml.md"))
BAD = sorted((Path(__file__).parent / "corpus" / "bad").glob("*.maml.md"))
ID, CREATED_AT = "urn:uuid:123e4567-e89b-12d3-a456-426614174000", "2025-10-17T14:30:00Z"


KEY = HybridPrivateKey.generate("document", CountingEntropy())
SIGNED = documents.sign(document(), KEY, issued_ns=1_760_000_000_000_000_000)


def meaning(raw: bytes) -> tuple[object, str]:
    """What front matter says, and the body as it is."""
    parts = cut(raw.decode())
    assert parts is not None
    mapping = read_yaml(parts[0], first_line=1, problems=[])
    assert mapping is not None
    return plain(mapping), parts[1]


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("version", VERSIONS)
def test_a_new_document_is_valid_and_in_canonical_form(kind: str, version: str) -> None:
    raw = new_document(document_id=ID, created_at=CREATED_AT, origin="agent://me", kind=kind, version=version)
    assert parse(raw).warnings == ()
    assert format_document(raw) == raw


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.name)
def test_formatting_keeps_meaning_and_body_and_twice_is_once(path: Path) -> None:
    raw = path.read_bytes()
    formatted = format_document(raw)
    assert meaning(formatted) == meaning(raw)
    assert format_document(formatted) == formatted
    assert parse(formatted).blocks[:1] == () or parse(formatted).blocks[0].code == parse(raw).blocks[0].code


texts = st.text(
    st.characters(
        min_codepoint=32, max_codepoint=0x2FF, exclude_characters="".join(map(chr, range(127, 160)))
    ),
    max_size=12,
)
trees = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**9), 10**9)
    | st.floats(-1e9, 1e9).map(lambda n: round(n, 6))
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts.filter(bool), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(texts.filter(lambda text: bool(text) and text != "<<"), trees, max_size=4))
def test_formatting_keeps_whatever_else_the_front_matter_holds(extra: dict[str, object]) -> None:
    inner = {f"x-{key}": value for key, value in extra.items()}
    front = f"extra: {json.dumps(inner, ensure_ascii=False)}\n" if "<<" not in json.dumps(inner) else ""
    raw = document(front=front)
    formatted = format_document(raw)
    assert meaning(formatted) == meaning(raw)
    assert format_document(formatted) == formatted


def test_comments_move_with_their_key_and_are_never_lost() -> None:
    front = f"# of the type\n{FRONT}tags: [a,   b]  # as they are\n# the last word\n"
    formatted = format_document(document(instead_of_front=front)).decode()
    assert "# of the type\nmaml_version" in formatted
    assert "\ntags: [a,   b]  # as they are\n" in formatted
    assert formatted.index("# the last word\n---\n") > formatted.index("permissions:")


def test_nothing_rewrites_a_signed_file() -> None:
    for rewrite in (format_document, lambda raw: mend(raw, new_id=ID, created_at=CREATED_AT)):
        for raw in (SIGNED, SIGNED[:-2], SIGNED.replace(b"\n", b"\r\n")):
            with pytest.raises(SignatureRefusedError):
                rewrite(raw)


def test_an_invalid_document_is_not_formatted() -> None:
    with pytest.raises(InvalidDocumentError):
        format_document(document(front="id: twice\n"))


def test_repairs_are_mechanical_and_leave_code_alone() -> None:
    code = "## code  blocks\n```python\n## intent\nx = '\t'\n```\n"
    broken = document(body=code).decode()
    broken = broken.replace("id: urn", "x-id: urn").replace("2.0.0", "1.0.0").replace("\n", "\r\n")
    mended = mend(f"\ufeff\r\n{broken}".encode(), new_id=ID, created_at=CREATED_AT)
    assert mended.repairs == (
        "removed the byte order mark",
        "made line ends LF",
        "removed blank lines before the front matter",
        "added id",
        "added created_at",
        "wrote '## code  blocks' as '## Code_Blocks'",
    )
    parsed = parse(mended.raw)
    assert parsed.front.id == ID
    assert parsed.blocks[0].code == "## intent\nx = '\t'\n"


def test_missing_permissions_are_added_empty_since_nothing_else_needs_no_decision() -> None:
    mended = mend(document(instead_of_front='maml_version: "2.0.0"\n'), new_id=ID, created_at=CREATED_AT)
    assert b"permissions:\n  read: []\n  write: []\n  execute: []\n" in mended.raw
    assert [problem.field for problem in problems(mended.raw)] == ["type", "origin"]


@pytest.mark.parametrize("path", [*VALID, *BAD], ids=lambda path: path.name)
def test_mending_twice_is_mending_once_and_makes_nothing_worse(path: Path) -> None:
    raw = path.read_bytes()
    mended = mend(raw, new_id=ID, created_at=CREATED_AT)
    assert mend(mended.raw, new_id=ID, created_at=CREATED_AT).repairs == ()
    if not problems(raw):
        assert not problems(mended.raw)
