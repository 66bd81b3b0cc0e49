"""Signing and verifying documents and receipts: what each command promises, held against altered files."""

import json
from pathlib import Path

import pytest
from tests.cli.test_operator import DOCUMENT


@pytest.fixture
def author(macroslow, tmp_path: Path):
    """A folder with a document and two authors' keys."""
    (tmp_path / "a.md").write_text(DOCUMENT.format(more=""))
    for name in ("ann", "bob"):
        assert macroslow("signers", "new", name).returncode == 0
    return macroslow


def test_signing_appends_and_changes_nothing_above(author, tmp_path: Path) -> None:
    before = (tmp_path / "a.md").read_bytes()
    (tmp_path / "a.md").chmod(0o640)
    ran = author("maml", "sign", "a.md", "--key", "ann.key")
    assert (ran.returncode, "is signed for agent://tester" in ran.stdout) == (0, True)
    assert (tmp_path / "a.md").read_bytes().startswith(before)
    assert (tmp_path / "a.md").stat().st_mode & 0o777 == 0o640
    assert not list(tmp_path.glob(".a.md*"))
    ran = author("maml", "verify", "a.md", "--key", "ann.pub")
    assert (ran.returncode, ran.stdout.startswith("VERIFIED: a.md")) == (0, True)


def test_signing_elsewhere_leaves_the_file_alone(author, tmp_path: Path) -> None:
    before = (tmp_path / "a.md").read_bytes()
    told = json.loads(author("maml", "sign", "a.md", "--key", "ann.key", "--output", "b.md", "--json").stdout)
    assert (told["file"], told["origin"]) == ("b.md", "agent://tester")
    assert (tmp_path / "a.md").read_bytes() == before
    assert author("maml", "verify", "b.md", "--key", "ann.pub", "--json").returncode == 0


def test_an_altered_document_another_key_and_none_at_all_are_told_apart(author, tmp_path: Path) -> None:
    assert author("maml", "verify", "a.md", "--key", "ann.pub").returncode == 1  # not signed
    author("maml", "sign", "a.md", "--key", "ann.key")
    assert author("maml", "verify", "a.md", "--key", "bob.pub").returncode == 1
    ran = author("maml", "verify", "a.md")
    assert (ran.returncode, "cannot decide" in ran.stderr) == (2, True)
    raw = (tmp_path / "a.md").read_bytes()
    (tmp_path / "a.md").write_bytes(raw.replace(b"Test.", b"Tess."))
    assert author("maml", "verify", "a.md", "--key", "ann.pub").returncode == 1


def test_a_signed_document_is_signed_anew_only_when_asked(author, tmp_path: Path) -> None:
    author("maml", "sign", "a.md", "--key", "ann.key")
    ran = author("maml", "sign", "a.md", "--key", "bob.key")
    assert (ran.returncode, "--replace" in ran.stderr) == (1, True)
    assert author("maml", "verify", "a.md", "--key", "ann.pub").returncode == 0
    assert author("maml", "sign", "a.md", "--key", "bob.key", "--replace").returncode == 0
    assert author("maml", "verify", "a.md", "--key", "bob.pub").returncode == 0


def test_a_document_with_problems_is_not_signed(author, tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("no document")
    ran = author("maml", "sign", "a.md", "--key", "ann.key")
    assert (ran.returncode, "was not signed" in ran.stderr) == (1, True)
    assert (tmp_path / "a.md").read_text() == "no document"


@pytest.mark.parametrize("key", ["ann.pub", "a.md"])
def test_what_is_no_private_key_signs_nothing(author, key: str) -> None:
    assert author("maml", "sign", "a.md", "--key", key).returncode == 2


@pytest.mark.parametrize(
    ("command", "wrong", "half", "right"),
    [
        (["maml", "sign", "a.md", "--key"], "ann.pub", "public", "ann.key"),
        (["maml", "verify", "a.md", "--key"], "ann.key", "private", "ann.pub"),
        (["signers", "trust", "--origin", "agent://ann"], "ann.key", "private", "ann.pub"),
        (["maml", "sign", "a.md", "--key"], "misnamed.key", "public", "NAME.key"),
    ],
)
def test_the_other_half_of_a_key_is_told_and_which_one_is_meant(
    author, tmp_path: Path, command: list[str], wrong: str, half: str, right: str
) -> None:
    (tmp_path / "macroslow.toml").write_text("")
    (tmp_path / "misnamed.key").write_bytes((tmp_path / "ann.pub").read_bytes())
    before = (tmp_path / "a.md").read_bytes()
    ran = author(*command, wrong)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr == f"macroslow: {wrong} is the {half} key\n  fix: give {right}\n"
    assert (tmp_path / "a.md").read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"\xff\x00", b"{}", b"[" * 9000])
def test_what_is_neither_half_of_a_key_is_named(author, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    for command in (["maml", "sign"], ["maml", "verify"]):
        ran = author(*command, "a.md", "--key", "x")
        assert (ran.returncode, "macroslow: x: this is not a " in ran.stderr) == (2, True)


@pytest.fixture
def proved(macroslow, tmp_path: Path):
    """A folder with a receipt and the key that it is proved by."""
    (tmp_path / "macroslow.toml").write_text('[sandbox]\nbackend = "none"\n')
    (tmp_path / "a.md").write_text(DOCUMENT.format(more=""))
    answer = macroslow("run", "a.md", "--json")
    assert answer.returncode == 0, answer.stderr
    (tmp_path / "answer.json").write_text(answer.stdout)
    (tmp_path / "receipt.json").write_text(json.dumps(json.loads(answer.stdout)["receipt"]))
    (tmp_path / "log.pub").write_text(macroslow("audit", "key").stdout)
    return macroslow


def test_an_answer_and_its_document_are_proved_offline(proved) -> None:
    ran = proved("receipt", "verify", "answer.json", "--document", "a.md", "--key", "log.pub")
    assert ran.returncode == 0, ran.stdout
    assert "PROVED: a document was run, by operator" in ran.stdout
    assert ran.stdout.count("is the one that was logged") == 2
    told = json.loads(
        proved(
            "receipt", "verify", "receipt.json", "--answer", "answer.json", "--key", "log.pub", "--json"
        ).stdout
    )
    assert (told["verified"], told["checked_answer"], told["checked_document"]) == (True, True, False)


def test_without_a_pinned_key_nothing_is_proved(proved) -> None:
    ran = proved("receipt", "verify", "answer.json")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "cannot decide" in ran.stderr


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("answer.json", '"status": "success"', '"status": "failed"'),
        ("receipt.json", '"who": "operator"', '"who": "nobody"'),
        ("receipt.json", "macroslow-receipt v1", "macroslow-receipt v2"),
        ("a.md", "Test.", "Tess."),
    ],
)
def test_a_byte_altered_anywhere_is_not_proved(proved, tmp_path: Path, file: str, old: str, new: str) -> None:
    text = (tmp_path / file).read_text()
    assert old in text
    (tmp_path / file).write_text(text.replace(old, new))
    ran = proved(
        "receipt",
        "verify",
        "receipt.json",
        "--answer",
        "answer.json",
        "--document",
        "a.md",
        "--key",
        "log.pub",
    )
    assert (ran.returncode, ran.stdout.startswith("NOT PROVED: ")) == (1, True)


def test_a_forged_answer_around_a_receipt_is_not_proved_by_the_true_one_beside_it(
    proved, tmp_path: Path
) -> None:
    text = (tmp_path / "answer.json").read_text()
    (tmp_path / "forged.json").write_text(text.replace('"status": "success"', '"status": "failed"'))
    beside = ("--answer", "answer.json", "--key", "log.pub")
    assert proved("receipt", "verify", "answer.json", *beside).returncode == 0
    ran = proved("receipt", "verify", "forged.json", *beside)
    assert (ran.returncode, ran.stdout.startswith("NOT PROVED: ")) == (1, True)


@pytest.mark.parametrize("content", ["", "{}", "[]", "null", "\x00", "[" * 100_000, '{"receipt": {}}'])
def test_what_is_no_receipt_proves_nothing(proved, tmp_path: Path, content: str) -> None:
    (tmp_path / "x.json").write_text(content)
    assert proved("receipt", "verify", "x.json", "--key", "log.pub").returncode == 1
    assert proved("receipt", "verify", "receipt.json", "--key", "x.json").returncode == 2
