"""macroslow maml new, validate and fmt: output, exit codes, files."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.maml.samples import document

from macroslow.cli.documents.maml import group


def run(*arguments: str | Path, stdin: bytes = b"") -> Result:
    return CliRunner().invoke(group, [*map(str, arguments)], input=stdin, standalone_mode=False)


def code(result: Result) -> int:
    """The exit code as the outermost frame computes it: what the command returned, 2 for a usage error."""
    if result.exception is not None:
        return 2
    return result.return_value or 0


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a.maml.md"
    path.write_bytes(document())
    return path


def test_new_writes_a_valid_document_and_overwrites_nothing(tmp_path: Path) -> None:
    path = tmp_path / "new.maml.md"
    assert code(run("new", path, "--origin", "agent://me")) == 0
    assert code(run("validate", path)) == 0
    before = path.read_bytes()
    assert code(run("new", path)) == 2
    assert path.read_bytes() == before
    assert code(run("new", "--origin", "no uri")) == 2


def test_validate_prints_file_line_field_message_and_fix(file: Path) -> None:
    file.write_bytes(document(front="timeout_s: soon\n"))
    result = run("validate", file)
    assert code(result) == 1
    assert result.output.splitlines() == [
        f"{file}:8: timeout_s: timeout_s must be a number above 0, at most 86400",
        "    fix: timeout_s: 30",
    ]


def test_validate_reads_standard_input_and_ends_with_one_json_object(file: Path) -> None:
    result = run("validate", "--json", "-", file, stdin=b"no document")
    assert code(result) == 1
    report = json.loads(result.output)
    assert report["valid"] is False
    assert [(one["file"], one["valid"]) for one in report["files"]] == [("-", False), (str(file), True)]
    assert report["files"][0]["problems"][0]["line"] == 1


def test_validate_with_fix_repairs_the_file_and_keeps_its_mode(file: Path) -> None:
    file.write_bytes(document().replace(b"\n", b"\r\n"))
    file.chmod(0o640)
    result = run("validate", "--fix", file)
    assert code(result) == 0
    assert file.read_bytes() == document()
    assert file.stat().st_mode & 0o777 == 0o640
    assert list(file.parent.iterdir()) == [file]
    assert "repaired: made line ends LF" in result.output


def test_fmt_rewrites_and_check_only_tells(file: Path) -> None:
    raw = file.read_bytes()
    assert code(run("fmt", "--check", file)) == 1
    assert file.read_bytes() == raw
    assert code(run("fmt", file)) == 0
    assert file.read_bytes() != raw
    assert code(run("fmt", "--check", file)) == 0


def test_fmt_of_standard_input_goes_to_standard_output() -> None:
    result = run("fmt", "-", stdin=document())
    assert code(result) == 0
    assert result.stdout.startswith('---\nmaml_version: "2.0.0"\n')
    assert code(run("fmt", "-", stdin=b"no document")) == 1


def test_a_file_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    assert code(run("validate", tmp_path / "none")) == 2
    assert code(run("validate")) == 2
    assert code(run("validate", "--no-such", "-")) == 2
