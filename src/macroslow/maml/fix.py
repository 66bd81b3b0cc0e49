"""`validate --fix`: mechanical repairs, where there is one right answer and no meaning is guessed.

Byte order mark, CRLF line ends, blank lines before the front matter, missing id, created_at and
permissions (all empty: they grant nothing), and the spelling of known headings. Code stays as it is but
for line ends; a signed file is refused.
"""

from dataclasses import dataclass

from macroslow.errors import Problem
from macroslow.maml.body import read_body
from macroslow.maml.complaints import Complaints
from macroslow.maml.document import SECTIONS
from macroslow.maml.parse import cut
from macroslow.maml.signed import refuse_signed
from macroslow.maml.yaml_tree import read_yaml


@dataclass(frozen=True, slots=True)
class Mended:
    """The bytes after the repairs, and what was done; nothing done, same bytes."""

    raw: bytes
    repairs: tuple[str, ...]


def mend(raw: bytes, *, new_id: str, created_at: str) -> Mended:
    """Repair what can be repaired without a question. SignatureRefusedError if the file is signed.

    `new_id` (a URI) and `created_at` (RFC 3339 with zone) are used if the document has none.
    """
    refuse_signed(raw)
    repairs: list[str] = []
    try:
        text = _as_lines(raw.decode(), repairs)
    except UnicodeDecodeError:
        return Mended(raw, ())
    parts = cut(text)
    if parts is not None:
        front = _with_missing_keys(parts[0], new_id, created_at, repairs)
        text = f"---\n{front}---\n{_with_known_headings(parts[1], repairs)}"
    return Mended(text.encode(), tuple(repairs)) if repairs else Mended(raw, ())


def _as_lines(text: str, repairs: list[str]) -> str:
    for old, new, told in (
        ("\ufeff", "", "removed the byte order mark"),
        ("\r\n", "\n", "made line ends LF"),
    ):
        found = text.startswith(old) if old == "\ufeff" else old in text
        if found:
            text = text.replace(old, new, 1 if old == "\ufeff" else -1)
            repairs.append(told)
    stripped = text.lstrip("\n")
    if stripped != text and stripped.startswith("---"):
        repairs.append("removed blank lines before the front matter")
        return stripped
    return text


def _with_missing_keys(front: str, new_id: str, created_at: str, repairs: list[str]) -> str:
    """Add what is missing at the end, unless the YAML is broken or not in block style."""
    problems: list[Problem] = []
    mapping = read_yaml(front, first_line=1, problems=problems)
    if mapping is None or problems or front.lstrip().startswith("{"):
        return front
    lines = []
    if "id" not in mapping.entries:
        lines.append(f'id: "{new_id}"\n')
    version = mapping.entries.get("maml_version")
    if "created_at" not in mapping.entries and str(getattr(version, "value", "")).startswith("1."):
        lines.append(f'created_at: "{created_at}"\n')
    if "permissions" not in mapping.entries:
        lines.append("permissions:\n  read: []\n  write: []\n  execute: []\n")
    repairs += [f"added {line.partition(':')[0]}" for line in lines]
    return front + "".join(lines)


def _with_known_headings(body: str, repairs: list[str]) -> str:
    lines = body.split("\n")
    for section in read_body(body, first_line=1, complaints=Complaints()).sections:
        heading = f"## {section.name}"
        written = lines[section.line - 1]
        if section.name in SECTIONS and written != heading:
            lines[section.line - 1] = heading
            repairs.append(f"wrote {written.strip()!r} as {heading!r}")
    return "\n".join(lines)
