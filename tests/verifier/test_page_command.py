"""`receipt page` writes the page, and what it says of a file is what `receipt verify` says."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import Ran, macroslow
from tests.tlog import test_receipt as made
from tests.tlog.logs import SmallLog, small_log
from tests.verifier.page import HTML, Page
from tests.verifier.twins import same_words

from macroslow.tlog.checkpoint import LogPrivateKey

__all__ = ["macroslow"]
Macroslow = Callable[..., Ran]
VERDICTS = {0: "proved", 1: "not-proved", 2: "cannot-decide"}


def test_the_page_is_written_whole_with_its_digest_and_over_nothing(
    macroslow: Macroslow, tmp_path: Path
) -> None:
    wrote = macroslow("receipt", "page")
    assert (wrote.returncode, (tmp_path / "verify.html").read_bytes()) == (0, HTML.read_bytes())
    assert hashlib.sha256(HTML.read_bytes()).hexdigest() in wrote.stdout
    again = macroslow("receipt", "page")
    assert (again.returncode, again.stderr.count("there already")) == (2, 1)
    told = json.loads(macroslow("receipt", "page", "other.html", "--json").stdout)
    assert told == {"file": "other.html", "sha256": hashlib.sha256(HTML.read_bytes()).hexdigest()}
    nowhere = macroslow("receipt", "page", "no/such/folder.html")
    assert nowhere.returncode == 78
    assert "cannot be written" in nowhere.stderr


@pytest.fixture(scope="module")
def books(log_key: LogPrivateKey) -> SmallLog:
    return small_log(log_key, [made.RUN, made.CHAT])


def answer_with(receipt: object) -> dict[str, Any]:
    return {**made.ANSWER, "receipt": receipt}


# What a file is that stands in the place of a receipt: made of a good receipt.
FILES: dict[str, Callable[[dict[str, Any]], object]] = {
    "a receipt": lambda mine: mine,
    "its answer": answer_with,
    "another answer": lambda mine: {**answer_with(mine), "status": "failed"},
    "an answer with a float for an integer": lambda mine: {
        **answer_with(mine),
        "result": {"ratio": 0.25, "n": 3.0},
    },
    "an answer with a huge integer": lambda mine: {**answer_with(mine), "result": 2**60},
    "an answer whose receipt has a float": lambda mine: answer_with({**mine, "statement": {"who": 1.5}}),
    "an answer whose receipt has a member more": lambda mine: answer_with({**mine, "key": "k"}),
    "an answer whose receipt is text": lambda mine: answer_with(json.dumps(mine)),
    "an answer without its receipt": lambda mine: made.ANSWER,
    "an answer in an answer": lambda mine: answer_with(answer_with(mine)),
    "a receipt in a list": lambda mine: [mine],
    "a receipt with a receipt": lambda mine: {**mine, "receipt": mine},
    "a receipt with an answer's member": lambda mine: {**mine, "status": "success"},
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("keyed", [True, False], ids=["with key", "without"])
def test_the_page_and_the_command_judge_a_file_alike(
    name: str, *, keyed: bool, books: SmallLog, macroslow: Macroslow, page: Page, tmp_path: Path
) -> None:
    raw = json.dumps(FILES[name](made.receipt_of(books, 0))).encode()
    key = books.key.public.format().encode()
    (tmp_path / "file.json").write_bytes(raw)
    (tmp_path / "log.pub").write_bytes(key)
    ran = macroslow("receipt", "verify", "file.json", *(["--key", "log.pub"] if keyed else []))
    said = page.verify(receipt=raw, key=key if keyed else None)
    assert said["verdict"] == VERDICTS[ran.returncode]
    told = (ran.stdout or ran.stderr).splitlines()[0].partition(": ")[2]
    assert said["verdict"] == "proved" or same_words(told, said["detail"])


@pytest.mark.parametrize("slot", ["key", "policy"])
@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"# nothing\n", b"{}", b"quorum 1\n"], ids=repr)
def test_a_key_or_policy_that_is_none_is_undecided_for_both(
    slot: str, content: bytes, books: SmallLog, macroslow: Macroslow, page: Page, tmp_path: Path
) -> None:
    given = {
        "receipt": json.dumps(made.receipt_of(books, 0)).encode(),
        "key": books.key.public.format().encode(),
        slot: content,
    }
    for name, each in given.items():
        (tmp_path / name).write_bytes(each)
    options = [part for name in given if name != "receipt" for part in (f"--{name}", name)]
    ran = macroslow("receipt", "verify", "receipt", *options)
    assert page.verify(**given)["verdict"] == VERDICTS[ran.returncode] == "cannot-decide"
