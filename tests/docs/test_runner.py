"""The runner can fail: what it must refuse, and what it must not take for a match."""

from pathlib import Path

import pytest
from tests.docs.checks import execute_page
from tests.docs.page import PageError, matches, read_blocks
from tests.docs.session import SessionError


def run(tmp_path: Path, text: str) -> None:
    page = tmp_path / "page.md"
    page.write_text(text)
    folder = tmp_path / "home"
    folder.mkdir()
    execute_page(page, folder)


def console(*lines: str) -> str:
    return "\n".join(["```console", *lines, "```", ""])


def test_a_page_that_tells_the_truth_passes(tmp_path: Path) -> None:
    run(tmp_path, console("$ echo one; echo two", "one", "two", "$ printf unended", "unended"))


@pytest.mark.parametrize(
    "lines",
    [
        ("$ echo one", "two"),
        ("$ echo one",),
        ("$ echo one", "one", "two"),
        ("$ true", "one"),
        ("$ echo one; echo two", "one"),
        ("$ echo 'a b'", "a … c"),
    ],
)
def test_a_wrong_expected_line_fails(tmp_path: Path, lines: tuple[str, ...]) -> None:
    with pytest.raises(SessionError):
        run(tmp_path, console(*lines))


def test_a_command_that_fails_must_be_announced(tmp_path: Path) -> None:
    with pytest.raises(SessionError, match="exit code 3"):
        run(tmp_path, console("$ (exit 3)"))


def test_an_announced_failure_shows_its_exit_code(tmp_path: Path) -> None:
    run(tmp_path, console("$ (exit 3)", "$ echo $?", "3"))


def test_a_wrong_exit_code_fails(tmp_path: Path) -> None:
    with pytest.raises(SessionError):
        run(tmp_path, console("$ (exit 3)", "$ echo $?", "1"))


def test_commands_share_one_shell_and_its_folder(tmp_path: Path) -> None:
    run(tmp_path, console("$ mkdir a && cd a", "$ N=5") + console("$ echo $N $(basename $PWD)", "5 a"))


def test_a_command_goes_on_in_the_next_line(tmp_path: Path) -> None:
    run(tmp_path, console("$ echo one \\", ">   two", "one two"))


def test_a_server_is_waited_for_and_ended_with_its_page(tmp_path: Path) -> None:
    run(tmp_path, console("$ (sleep 0.2; echo ready; sleep 600) &", "ready", "$ echo on", "on"))


def test_a_server_that_says_something_else_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.docs.session.COMMAND_S", 0.5)
    with pytest.raises(SessionError):
        run(tmp_path, console("$ (echo sorry; sleep 600) &", "ready"))


def test_a_command_that_does_not_end_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.docs.session.COMMAND_S", 0.5)
    with pytest.raises(SessionError, match="has not ended"):
        run(tmp_path, console("$ sleep 600"))


def test_ports_are_free_ones_and_read_as_the_page_has_them(tmp_path: Path) -> None:
    run(tmp_path, console("$ echo 127.0.0.1:8000 | tee url", "127.0.0.1:8000", "$ echo 8000.5 28000", "…"))
    assert (tmp_path / "home" / "url").read_text() != "127.0.0.1:8000\n"


@pytest.mark.parametrize(
    "text",
    [
        "```bash\ntrue\n```\n",
        "```\ntrue\n```\n",
        "```python title=a.py twice\n```\n",
        "  ```console\n  $ true\n  ```\n",
        "```console\n$ true\n",
        "```console\nno command\n```\n",
        "```console\n$ sleep 1 &\n```\n",
        "```text\n$ rm -rf x\n```\n",
        "```console title=a.sh\n$ true\n```\n",
        "```python title=never.py\nprint()\n```\n",
        "```go title=never.go\npackage main\n```\n",
        "```go\npackage main\n```\n" + console("$ go build "),
    ],
)
def test_a_block_that_the_runner_cannot_execute_fails_the_page(tmp_path: Path, text: str) -> None:
    with pytest.raises(PageError):
        run(tmp_path, text)


@pytest.mark.parametrize(
    "text",
    [
        "```toml\n[servr]\n```\n",
        "```json\n{\n```\n",
        "```python\nraise SystemExit(1)\n```\n",
        "```python\nif\n```\n",
        "````markdown\nnot a document\n````\n",
    ],
)
def test_a_file_that_is_wrong_fails_the_page(tmp_path: Path, text: str) -> None:
    with pytest.raises(Exception):  # noqa: B017 (each checker has its own)
        run(tmp_path, text)


def test_files_are_written_where_the_reader_stands(tmp_path: Path) -> None:
    text = (
        console("$ mkdir a && cd a")
        + "```python title=b.py\nprint('b')\n```\n"
        + console("$ python b.py", "b")
    )
    run(tmp_path, text)


def test_longer_fences_hold_shorter_ones(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("````markdown\n```python\n1\n```\n````\n")
    assert [block.text for block in read_blocks(page)] == ["```python\n1\n```\n"]


def test_an_ellipsis_is_any_text_and_alone_any_lines() -> None:
    assert matches(("a … c",), "a b c\n")
    assert matches(("a", "…", "d"), "a\nb\nc\nd\n")
    assert matches(("a", "…", "d"), "a\nd\n")
    assert not matches(("a…c",), "a\nc\n")
    assert not matches(("a.c",), "abc\n")
    assert matches((), "")
    assert not matches(("…", "a"), "")
