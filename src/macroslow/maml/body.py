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
      | [ ]{0,3}(?P<html><!--|<\?|<!\[CDATA\[|<!(?=[A-Za-z])|<(?i:script|pre|style|textarea)(?=[\s>]))[^\n]*+$
      | (?P<nested>[ \t>]*+(?:(?:[-*+]|[0-9]{1,9}[.)])[ \t>]++)*+(?:`{3,}+|~{3,}+))[^\n]*+$
      | (?P<held>[ \t>]*+(?:(?:[-*+]|[0-9]{1,9}[.)])[ \t>]++)*+
          (?:<!--|<\?|<!\[CDATA\[|<![A-Za-z]|<(?i:script|pre|style|textarea)(?=[\s>])))[^\n]*+$
      | (?P<under>-{3,}+[ \t]*+)$
      | [ ]{0,3}(?P<tag></?[A-Za-z])[^\n]*+$
    )""",
    re.VERBOSE | re.MULTILINE,
)
_HTML_END: Final = {
    "<!--": re.compile("-->"),
    "<?": re.compile(r"\?>"),
    "<![cdata[": re.compile("]]>"),
    "<!": re.compile(">"),
    "<script": re.compile("</script>", re.I),
    "<pre": re.compile("</pre>", re.I),
    "<style": re.compile("</style>", re.I),
    "<textarea": re.compile("</textarea>", re.I),
}
_HIDDEN: Final = re.compile(r"\n {0,3}(?:##?[ \t]|```|~~~)")
_EMPTY_LINE: Final = re.compile(r"\n[ \t]*(?:\n|\Z)")
# CommonMark section 4.6: what begins raw HTML that goes on to the next empty line (kinds 6 and 7).
_RAW_HTML: Final = re.compile(
    r"""[ ]{0,3}</?(?:(?i:address|article|aside|base|basefont|blockquote|body|caption|center|col|colgroup|dd
      |details|dialog|dir|div|dl|dt|fieldset|figcaption|figure|footer|form|frame|frameset|h[1-6]|head|header
      |hr|html|iframe|legend|li|link|main|menu|menuitem|nav|noframes|ol|optgroup|option|p|param|search
      |section|summary|table|tbody|td|tfoot|th|thead|title|tr|track|ul)(?=[\s>]|/>|\Z)
      |[A-Za-z][A-Za-z0-9-]*+(?=[\s/>])[^\n]*>[ \t]*(?:\n|\Z))""",
    re.VERBOSE,
)
# A line that opens an element, not an empty one, and does not close it.
_LEFT_OPEN: Final = re.compile(
    r"<(?!(?i:area|br|col|embed|hr|img|input|link|meta|source|track|wbr)\b)"
    r"([A-Za-z][A-Za-z0-9-]*+)(?:[\s/>](?!.*</\1).*)?"
)
_ITEM: Final = re.compile(r"^[ ]{0,3}(?:[-*+]|[0-9]{1,9}[.)])(?:[ \t]|$)", re.MULTILINE)
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
    next_empty: int = -1
    next_note: int = -1
    next_item: int = -1
    margin_start: int = 0

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
        elif found["held"]:
            self._held(found)
        elif found["under"]:
            self._underline(found.start())
        elif found["tag"]:
            self._tag(found)
        self._move(found.end())

    def _heading(self, found: re.Match[str]) -> None:
        self._end_section(found.start())
        if found[0].startswith("#"):
            self.margin_start = found.end()
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
        indent = opening["indent"]
        if indent and self._after_list() and _less_indented(self.text, start, closing.end(), len(indent)):
            self._refuse("a page ends this fence where its list ends", "start it at the margin")
        text = _unindent(self.text[start : closing.start()], len(indent))
        self.body.fences.append(Fence(self.section, opening["info"].strip(), text, line))
        self._move(closing.end())

    def _after_list(self) -> bool:
        """Whether there is an item of a list since the last heading at the margin."""
        if self.next_item < self.margin_start:
            found = _ITEM.search(self.text, self.margin_start)
            self.next_item = found.start() if found else len(self.text)
        return self.next_item < self.position

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

    def _held(self, found: re.Match[str]) -> None:
        """HTML in a list or quote ends with it for Markdown, and for a page only where it is closed."""
        opening = found["held"][found["held"].index("<") :].lower()
        key = opening if opening in _HTML_END else "<!"
        if not _HTML_END[key].search(found[0], found.end("held") - found.start()):
            self._refuse(f"{opening} in a list or quote hides what follows", "close it on the same line")

    def _tag(self, found: re.Match[str]) -> None:
        """Raw HTML goes on to the next empty line: headings and fences before that are none on a page."""
        self.next_empty = self._ahead(_EMPTY_LINE, self.next_empty)
        self.next_note = self._ahead(_HIDDEN, self.next_note)
        if self.next_note < self.next_empty and _RAW_HTML.match(self.text, self.position):
            self._refuse("what stands directly below HTML is shown as HTML", "leave an empty line between")
        elif self.section == "Code_Blocks" or _LEFT_OPEN.fullmatch(found[0].strip()):
            self._warn("HTML around code can hide it from readers", "leave it out", self.line)

    def _ahead(self, pattern: re.Pattern[str], known: int) -> int:
        """Where `pattern` is found next; `known` if that is still ahead, so that all is searched once."""
        if known >= self.position:
            return known
        found = pattern.search(self.text, self.position)
        return found.start() if found else len(self.text)

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


def _less_indented(text: str, start: int, end: int, width: int) -> bool:
    """Whether a line that is not empty begins with fewer than `width` spaces."""
    return re.compile(rf"^(?! {{{width}}})[ \t]*+[^ \t\n]", re.MULTILINE).search(text, start, end) is not None


def _unindent(text: str, width: int) -> str:
    """Take away as much leading space as the opening fence had (CommonMark section 4.5)."""
    return re.sub(rf"^ {{1,{width}}}", "", text, flags=re.MULTILINE) if width else text


def read_body(text: str, *, first_line: int, complaints: Complaints) -> Body:
    """Read the body; its first line is line `first_line` of the file."""
    return _Scanner(text, first_line, complaints).scan()


def of_section(body: Body, name: str) -> Iterator[Fence]:
    """The fenced blocks under the section of that canonical name."""
    return (fence for fence in body.fences if fence.section == name)
