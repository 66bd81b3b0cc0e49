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


@pytest.mark.parametrize(
    "hidden",
    [
        "<!--\n{}-->",
        "<pre>\n{}</pre>",
        "<style>\n{}</style>",
        "<SCRIPT x=1>\n{}</script>",
        "<textarea>\n{}</textarea>",
    ],
)
def test_code_that_a_page_hides_is_not_read_and_warned_of(hidden: str) -> None:
    found, complaints = body(
        "## Code_Blocks\n" + hidden.format("```python\nsteal()\n```\n") + "\n```bash\nx\n```\n"
    )
    assert [fence.info for fence in found.fences] == ["bash"]
    assert [warning.line for warning in complaints.warnings] == [2]


def test_a_level_1_heading_ends_a_section() -> None:
    found, _ = body("## Code_Blocks\n```a\n```\n# Appendix\n```b\n```\n")
    assert [(fence.section, fence.info) for fence in found.fences] == [("Code_Blocks", "a"), ("", "b")]


def test_html_around_code_and_underlined_headings_are_warned_of() -> None:
    assert body("## Code_Blocks\n<details>\n")[1].warnings[0].line == 2
    assert body("Intent\n------\n")[1].warnings[0].fix == "write it as: ## Intent"
