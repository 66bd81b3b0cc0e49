"""The body: level-2 sections and fenced blocks, by the rules of CommonMark 0.31 (sections 4.2, 4.5, 4.6).

Only lines that can matter are looked at: headings, fences and raw HTML that swallows what follows. A
fence inside an HTML comment is no fence, as on the rendered page. Where a person and a machine could
see different things (a fence in a list, a fence that never closes), the document is refused instead.
Time is linear in the text; positions are character offsets, lines count from 1 in the file.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from macroslow.maml.complaints import Complaints, did_you_mean, quoted
from macroslow.maml.document import SECTIONS, Section

MAX_NOTES: Final = 5_000
"""Headings, fences and the like in one body; far above any that a person wrote."""

# Possessive throughout: a line of a million backticks is looked at once.
_LINE_OF_NOTE: Final = re.compile(
    r"""^(?=[ \t>#`~<*+0-9-])(?:
        [ ]{0,3}(?P<marks>\#{1,2})(?:[ \t]++(?P<heading>[^\n]*+))?$
      | (?P<indent>[ ]{0,3})(?P<fence>`{3,}+|~{3,}+)(?P<info>[^\n]*+)$
      | [ ]{0,3}(?P<html><!--|<(?i:script|pre|style|textarea)(?=[\s>]))[^\n]*+$
      | (?P<nested>[ \t>]*+(?:(?:[-*+]|[0-9]{1,9}[.)])[ \t>]++)*+(?:`{3,}+|~{3,}+))[^\n]*+$
      | (?P<under>-{3,}+[ \t]*+)$
      | [ ]{0,3}(?P<tag></?[A-Za-z])[^\n]*+$
    )""",
    re.VERBOSE | re.MULTILINE,
)
_HTML_END: Final = {
    "<!--": re.compile("-->"),
    "<script": re.compile("</script>", re.I),
    "<pre": re.compile("</pre>", re.I),
    "<style": re.compile("</style>", re.I),
    "<textarea": re.compile("</textarea>", re.I),
}
_HIDDEN: Final = re.compile(r"\n {0,3}(?:##?[ \t]|```|~~~)")
_CLOSING_MARKS: Final = re.compile(r"(?:^|[ \t])#+$")
_CANONICAL: Final = {name.casefold(): name for name in SECTIONS}
_SPACES: Final = re.compile(r"[\s_]+")


@dataclass(frozen=True, slots=True)
class Fence:
    """A fenced block: the words after its opening marks, and its text. `line` is that of the opening."""

    section: str
    info: str
    text: str
    line: int


@dataclass(slots=True)
class Body:
    """What the body holds, in order."""

    sections: list[Section] = field(default_factory=list)
    fences: list[Fence] = field(default_factory=list)


def canonical_name(heading: str) -> str:
    """The known section that a heading names (any case, `_` or space), or the heading as written."""
    return _CANONICAL.get(_SPACES.sub("_", heading.strip()).casefold(), heading)


@dataclass(slots=True)
class _Scanner:
    """One pass over the body."""

    text: str
    line: int
    complaints: Complaints
    body: Body = field(default_factory=Body)
    position: int = 0
    section: str = ""
    section_start: int = 0
    section_line: int = 0

    def scan(self) -> Body:
        for _ in range(MAX_NOTES):
            found = _LINE_OF_NOTE.search(self.text, self.position)
            if found is None:
                break
            self._move(found.start())
            self._take(found)
        else:
            self._refuse("too many headings and fenced blocks", "split the document")
        self._end_section(len(self.text))
        return self.body

    def _move(self, end: int) -> None:
        self.line += self.text.count("\n", self.position, end)
        self.position = end

    def _take(self, found: re.Match[str]) -> None:
        """Act on one line of note, and move past it."""
        if found["marks"]:
            self._heading(found)
        elif found["fence"] and not ("`" in found["fence"] and "`" in found["info"]):
            self._fence(found)
            return
        elif found["html"]:
            self._html(found["html"].lower())
            return
        elif found["nested"] and self.section == "Code_Blocks":
            self._refuse(
                "a fence inside a list, quote or indented text is not read", "start it at the margin"
            )
        elif found["under"]:
            self._underline(found.start())
        elif found["tag"] and self.section == "Code_Blocks":
            self._warn("HTML around code can hide it from readers", "leave it out", self.line)
        self._move(found.end())

    def _heading(self, found: re.Match[str]) -> None:
        self._end_section(found.start())
        heading = _CLOSING_MARKS.sub("", (found["heading"] or "").rstrip(" \t")).rstrip(" \t")
        # A level-1 heading ends the section, and opens none that we know.
        self.section = canonical_name(heading) if len(found["marks"]) == 2 else ""
        self.section_start, self.section_line = min(found.end() + 1, len(self.text)), self.line
        if self.section and self.section not in SECTIONS:
            self._unknown_heading(heading)

    def _unknown_heading(self, heading: str) -> None:
        name = _SPACES.sub("_", heading[:64])
        hint = did_you_mean(name, SECTIONS, "")
        if hint:
            message = f"the heading {quoted(heading)} is kept, and nothing reads it"
            self._warn(message, hint, self.line)

    def _end_section(self, end: int) -> None:
        if self.section:
            text = self.text[self.section_start : end]
            self.body.sections.append(Section(self.section, text, self.section_line))

    def _fence(self, opening: re.Match[str]) -> None:
        mark, line, start = opening["fence"], self.line, min(opening.end() + 1, len(self.text))
        closing = self._closing(mark, start)
        if closing is None:
            self._refuse("this fence is never closed", f"close it with a line of {mark[:16]}")
            self._move(len(self.text))
            return
        text = _unindent(self.text[start : closing.start()], len(opening["indent"]))
        self.body.fences.append(Fence(self.section, opening["info"].strip(), text, line))
        self._move(closing.end())

    def _closing(self, mark: str, start: int) -> re.Match[str] | None:
        character = re.escape(mark[0])
        pattern = re.compile(rf"^[ ]{{0,3}}{character}{{{len(mark)},}}+[ \t]*+$", re.MULTILINE)
        return pattern.search(self.text, start)

    def _html(self, opening: str) -> None:
        """Skip what a rendered page does not show as Markdown, and say so if code is in it."""
        end = _HTML_END[opening].search(self.text, self.position)
        stop = end.end() if end else len(self.text)
        if _HIDDEN.search(self.text, self.position, stop):
            message = f"what stands between {opening} and its end is not read"
            self._warn(message, "move headings and code out of it if they are meant", self.line)
        newline = self.text.find("\n", stop)
        self._move(len(self.text) if newline < 0 else newline)

    def _underline(self, start: int) -> None:
        """Headings with a line of dashes below them are not read: say so where one names a section."""
        above = self.text[self.text.rfind("\n", 0, max(start - 1, 0)) + 1 : max(start - 1, 0)]
        if canonical_name(above[:64]) in SECTIONS:
            fix = f"write it as: ## {canonical_name(above)}"
            self._warn("a heading with dashes below it is not read", fix, self.line - 1)

    def _warn(self, message: str, fix: str, line: int) -> None:
        self.complaints.warn(message, fix, line, self.section or "body")

    def _refuse(self, message: str, fix: str) -> None:
        self.complaints.refuse(message, fix, self.line, self.section or "body")


def _unindent(text: str, width: int) -> str:
    """Take away as much leading space as the opening fence had (CommonMark section 4.5)."""
    return re.sub(rf"^ {{1,{width}}}", "", text, flags=re.MULTILINE) if width else text


def read_body(text: str, *, first_line: int, complaints: Complaints) -> Body:
    """Read the body; its first line is line `first_line` of the file."""
    return _Scanner(text, first_line, complaints).scan()


def of_section(body: Body, name: str) -> Iterator[Fence]:
    """The fenced blocks under the section of that canonical name."""
    return (fence for fence in body.fences if fence.section == name)
