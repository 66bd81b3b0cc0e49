"""Sections and fences by the rules of CommonMark, and what a person and a machine could see differently."""

import pytest

from macroslow.maml.body import Body, read_body
from macroslow.maml.complaints import Complaints


def body(text: str) -> tuple[Body, Complaints]:
    complaints = Complaints()
    return read_body(text, first_line=1, complaints=complaints), complaints


@pytest.mark.parametrize(
    ("heading", "name"),
    [
        ("## Intent", "Intent"),
        ("##   INTENT   ##  ", "Intent"),
        ("   ## code blocks", "Code_Blocks"),
        ("## Code_Blocks", "Code_Blocks"),
        ("## input  schema", "Input_Schema"),
        ("## Other Thing", "Other Thing"),
        ("##\tIntent", "Intent"),
    ],
)
def test_headings_that_name_a_section(heading: str, name: str) -> None:
    assert [section.name for section in body(f"{heading}\ntext\n")[0].sections] == [name]


@pytest.mark.parametrize(
    "text", ["##Intent", "    ## Intent", "# Intent", "### Intent", "x ## Intent", "\\## Intent"]
)
def test_what_is_no_level_2_heading(text: str) -> None:
    assert body(f"{text}\n")[0].sections == []


@pytest.mark.parametrize(
    ("text", "fences"),
    [
        ("```a\nx\n```\n", [("a", "x\n")]),
        ("~~~ a b\nx\n~~~\n", [("a b", "x\n")]),
        ("````\n```\n````\n", [("", "```\n")]),
        ("```\n~~~\n```\n", [("", "~~~\n")]),
        ("```\nx\n`````  \n", [("", "x\n")]),
        ("   ```\n   x\n    y\n  z\n ```\n", [("", "x\n y\nz\n")]),
        ("```\n```\n", [("", "")]),
        ("```\n    ```\n```\n", [("", "    ```\n")]),
        ("```\n``` x\n```\n", [("", "``` x\n")]),
        ("``` a`b\n", []),
        ("~~~ a`b\n~~~\n", [("a`b", "")]),
        ("``\nx\n``\n", []),
        ("```\nx\n```", [("", "x\n")]),
        ("```\n## Not a heading\n```\n", [("", "## Not a heading\n")]),
    ],
)
def test_fences(text: str, fences: list[tuple[str, str]]) -> None:
    found, complaints = body(text)
    assert [(fence.info, fence.text) for fence in found.fences] == fences
    assert found.sections == []
    assert complaints.problems == []


def test_a_fence_that_never_closes_is_refused_at_its_line() -> None:
    _, complaints = body("## Code_Blocks\n\n```python\nx\n~~~\n## Intent\n")
    assert [(problem.line, problem.message) for problem in complaints.problems] == [
        (3, "this fence is never closed")
    ]


@pytest.mark.parametrize(
    "line", ["> ```python", "- ```python", "1. ~~~bash", "    ```python", "\t```python", "- > ```"]
)
def test_a_fence_that_only_a_page_shows_is_refused_where_code_is_read(line: str) -> None:
    assert body(f"## Code_Blocks\n{line}\n")[1].problems[0].line == 2
    assert body(f"## Context\n{line}\n")[1].problems == []


@pytest.mark.parametrize("item", ["- x", "1. x", "   + x\n\ntext", "* x\n  ## Other"])
@pytest.mark.parametrize("fence", ["```\n<!--\n```", "```\n\n x\n```", "```\n  x\n ```"])
def test_a_fence_that_a_page_ends_with_its_list_is_refused_in_every_section(item: str, fence: str) -> None:
    hidden = "## Code_Blocks\n```bash\nsteal\n```\n-->\n"
    _, complaints = body(f"## Context\n{item}\n  {fence}\n{hidden}")
    message = "a page ends this fence where its list ends"
    assert [problem.message for problem in complaints.problems] == [message]
    assert body(f"## Context\n{item}\n## Other\n  {fence}\n")[1].problems == []
    inside = fence.replace("\n", "\n  ")
    assert body(f"## Context\n{item}\n  {inside}\n")[1].problems == []


@pytest.mark.parametrize(
    "hidden",
    [
        "<!--\n{}-->",
        "<pre>\n{}</pre>",
        "<style>\n{}</style>",
        "<SCRIPT x=1>\n{}</script>",
        "<textarea>\n{}</textarea>",
        "<?\n{}?>",
        "<!X\n{}>",
        "<![CDATA[\n{}]]>",
    ],
)
def test_code_that_a_page_hides_is_not_read_and_warned_of(hidden: str) -> None:
    found, complaints = body(
        "## Code_Blocks\n" + hidden.format("```python\nsteal()\n```\n") + "\n```bash\nx\n```\n"
    )
    assert [fence.info for fence in found.fences] == ["bash"]
    assert [warning.line for warning in complaints.warnings] == [2]


@pytest.mark.parametrize(
    "above",
    [
        "<div>",
        "<div hidden>",
        "</p>",
        "<details open>x",
        "   <TABLE",
        "<x-y>",
        "<x-y a='b'>  ",
        "<!-- -->\n<p>",
    ],
)
def test_code_directly_below_html_is_html_on_a_page_and_refused(above: str) -> None:
    for below in ("```python\nsteal()\n```\n", "text\n~~~python\nsteal()\n~~~\n", "## Intent\n"):
        _, complaints = body(f"## Code_Blocks\n{above}\n{below}")
        assert [problem.message for problem in complaints.problems] == [
            "what stands directly below HTML is shown as HTML"
        ]
        assert body(f"## Code_Blocks\n{above}\n \n{below}")[1].problems == []


@pytest.mark.parametrize(
    "below", ["<b>word</b> and more\n```a\n```\n", "<https://example.org>\n\n```a\n```\n"]
)
def test_html_within_text_is_text(below: str) -> None:
    found, complaints = body(f"## Context\n{below}")
    assert [fence.info for fence in found.fences] == ["a"]
    assert complaints.problems == complaints.warnings == []


@pytest.mark.parametrize("holder", ["- ", "> ", "1. ", "> - ", "      ", "-\t"])
@pytest.mark.parametrize("opening", ["<!--", "<script>", "<?", "<!X", "<style >", "<![CDATA["])
def test_html_that_a_list_or_quote_leaves_open_is_refused_in_every_section(holder: str, opening: str) -> None:
    _, complaints = body(f"## Context\n{holder}{opening} x\n\n## Code_Blocks\n```python\nsteal()\n```\n")
    assert [problem.line for problem in complaints.problems] == [2]
    closed = {"<!--": "-->", "<script>": "</script>", "<?": "?>", "<style >": "</style>", "<![CDATA[": "]]>"}
    line = f"{holder}{opening} x {closed.get(opening, '>')}"
    assert body(f"## Context\n{line}\n")[1].problems == []


def test_a_level_1_heading_ends_a_section() -> None:
    found, _ = body("## Code_Blocks\n```a\n```\n# Appendix\n```b\n```\n")
    assert [(fence.section, fence.info) for fence in found.fences] == [("Code_Blocks", "a"), ("", "b")]


def test_html_around_code_and_underlined_headings_are_warned_of() -> None:
    assert body("## Code_Blocks\n<details>\n")[1].warnings[0].line == 2
    for left_open in ("<div hidden>", "<template>", "<svg x=1>y", "<IFRAME>"):
        assert body(f"## Context\n{left_open}\n\n## Code_Blocks\n")[1].warnings[0].line == 2
    for harmless in ("<br>", "<img src=x>", "<p align=left>x</p>", "</div>", "<b>x</b> y", "<BR/>"):
        assert body(f"## Context\n{harmless}\n\n## Code_Blocks\n")[1].warnings == []
    assert body("Intent\n------\n")[1].warnings[0].fix == "write it as: ## Intent"
