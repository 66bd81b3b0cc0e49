"""Reading a MAML document: from bytes to a `Parsed` document, or to everything that is wrong with it.

Reading is total: whatever the bytes, it returns or raises InvalidDocumentError, in time and memory
linear in their number. Order: size, encoding, front matter (strict YAML, then fields), body (sections,
code blocks, schemas). A signature trailer is cut off before; see `maml.stages`.
"""

import re
from collections import Counter
from typing import Final

from macroslow.errors import InvalidDocumentError
from macroslow.maml.blocks import read_blocks
from macroslow.maml.body import Body, of_section, read_body
from macroslow.maml.complaints import Complaints, listed
from macroslow.maml.document import LANGUAGES, SECTIONS, FrontMatter, Parsed
from macroslow.maml.front_matter import read_front_matter
from macroslow.maml.schema import read_schema
from macroslow.maml.yaml_tree import read_yaml

MAX_DOCUMENT_BYTES: Final = 1024 * 1024
"""1 MiB, by the format."""

# C0 but tab and line feed, DEL and C1; line and paragraph separator, which YAML 1.1 takes for line
# ends and editors do not; byte order mark, which the YAML parser skips at the start of any line;
# the two that Unicode calls no characters, which it refuses.
_FORBIDDEN: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
# Characters that reorder what a person sees (CVE-2021-42574): the machine reads another order.
_REORDERING: Final = re.compile("[\u202a-\u202e\u2066-\u2069]")
_FENCE: Final = re.compile(r"---[ \t]*+\n")
_CLOSE: Final = re.compile(r"^---[ \t]*+(?:\n|\Z)", re.MULTILINE)


def parse(raw: bytes) -> Parsed:
    """Read a document without its signature trailer. Raises InvalidDocumentError with all problems."""
    complaints = Complaints()
    text = _text(raw, complaints)
    parsed = _read(text, complaints) if text is not None else None
    if parsed is None or complaints.problems:
        problems = listed(complaints.problems)
        count = f"{len(problems)} problems" if len(problems) > 1 else "one problem"
        raise InvalidDocumentError(
            f"the document has {count}", problems, fix="mend each line named", step="parse"
        )
    return parsed


def _text(raw: bytes, complaints: Complaints) -> str | None:
    """The bytes as text that can be cut into lines in one way only."""
    if len(raw) > MAX_DOCUMENT_BYTES:
        fix = "split the document, or send data as inputs"
        complaints.refuse(f"more than {MAX_DOCUMENT_BYTES} bytes", fix)
        return None
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        complaints.refuse("not UTF-8", "save the file as UTF-8", line)
        return None
    for message, found in (
        ("a byte order mark at the start", text.find("\ufeff", 0, 1)),
        ("a carriage return, and line ends are LF", text.find("\r")),
    ):
        if found >= 0:
            line = text.count("\n", 0, found) + 1
            complaints.refuse(message, "remove it: macroslow maml validate --fix", line)
    if not complaints.problems and (bad := _FORBIDDEN.search(text)):
        message = f"the control character U+{ord(bad[0]):04X}"
        complaints.refuse(message, "remove it", text.count("\n", 0, bad.start()) + 1)
    return None if complaints.problems else text


def cut(text: str) -> tuple[str, str] | None:
    """Front matter and body of a document, without the lines of ---; None if either line is missing."""
    opening = _FENCE.match(text)
    closing = _CLOSE.search(text, opening.end()) if opening else None
    if opening is None or closing is None:
        return None
    return text[opening.end() : closing.start()], text[closing.end() :]


def _read(text: str, complaints: Complaints) -> Parsed | None:
    """Read front matter and body, both in any case, so that all problems come at once."""
    parts = cut(text)
    if parts is None:
        if _FENCE.match(text):
            complaints.refuse("the front matter never closes", "add a line of --- after its last key", 1)
        else:
            fix = "begin with a line of ---"
            complaints.refuse("the document does not begin with front matter", fix, 1)
        return None
    if bidi := _REORDERING.search(text):
        message = f"the character U+{ord(bidi[0]):04X} changes the order in which text is shown"
        complaints.warn(message, "remove it unless it is meant", text.count("\n", 0, bidi.start()) + 1)
    mapping = read_yaml(parts[0], first_line=2, problems=complaints.problems)
    front = read_front_matter(mapping, complaints) if mapping else None
    return _assemble(front, parts[1], parts[0].count("\n") + 3, complaints)


def _assemble(front: FrontMatter | None, text: str, first_line: int, complaints: Complaints) -> Parsed | None:
    body = read_body(text, first_line=first_line, complaints=complaints)
    _check_sections(body, first_line, complaints)
    blocks = read_blocks(of_section(body, "Code_Blocks"), complaints)
    input_schema = read_schema(body, "Input_Schema", complaints)
    output_schema = read_schema(body, "Output_Schema", complaints)
    if front is None:
        return None
    warnings = listed(complaints.warnings)
    return Parsed(front, tuple(body.sections), blocks, input_schema, output_schema, warnings)


def _check_sections(body: Body, first_line: int, complaints: Complaints) -> None:
    seen = Counter(section.name for section in body.sections)
    intent = next((section for section in body.sections if section.name == "Intent"), None)
    if intent is None:
        fix = "add: ## Intent, and below it what the document is for"
        complaints.refuse("the section Intent is missing", fix, first_line, "Intent")
    elif not intent.text.strip():
        fix = "say what the document is for"
        complaints.refuse("the section Intent is empty", fix, intent.line, "Intent")
    if not seen["Context"]:
        fix = "add: ## Context, and below it what a reader must know"
        complaints.warn("the section Context is missing", fix, first_line, "Context")
    for section in body.sections:
        if section.name in SECTIONS and seen[section.name] > 1:
            seen[section.name] = 0
            message = f"the section {section.name} appears more than once"
            complaints.refuse(message, "merge them", section.line, section.name)
    for fence in of_section(body, ""):
        if fence.info.partition(" ")[0].lower() in LANGUAGES:
            message = "this code stands under no section and does not run"
            complaints.warn(message, "move it under ## Code_Blocks", fence.line, "body")
