"""From an empty folder to a proof in a stranger's hands, every step by the command that a person types."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.e2e.conftest import MACROSLOW, PROVIDER_KEY, Site

from macroslow.crypto import documents

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def travelled(tmp_path_factory, emulator_url, clean_environment):
    """init, secrets, keys, sign, serve: the folder as a person leaves it, with the answer of one run."""
    folder = tmp_path_factory.mktemp("journey") / "gateway"
    site = Site(folder, emulator_url, environment=clean_environment)
    made = subprocess.run(
        [*MACROSLOW, "init", str(folder)],
        env=clean_environment, capture_output=True, text=True, timeout=60, check=False,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    text = (folder / "macroslow.toml").read_text()
    text = text.replace(
        'base_url = "https://api.openai.com/v1"', f'base_url = "{emulator_url}"\nemulator = true'
    )
    text = text.replace('key = "env:OPENAI_API_KEY"', 'key = "keystore:openai"')
    (folder / "macroslow.toml").write_text(text)
    stored = site.command("secrets", "set", "openai", "-", input_text=PROVIDER_KEY + "\n")
    assert stored.returncode == 0, stored.stderr
    assert site.command("secrets", "check").returncode == 0
    key = site.key("ada", "--budget", "1")
    assert site.command("signers", "new", "author").returncode == 0
    assert site.command("signers", "trust", "author.pub", "--origin", "agent://hello").returncode == 0
    unsigned, _ = documents.split((ROOT / "examples" / "hello.maml.md").read_bytes())
    (folder / "secure_workflow.maml.md").write_bytes(unsigned)
    signed = site.command("maml", "sign", "secure_workflow.maml.md", "--key", "author.key")
    assert signed.returncode == 0, signed.stderr
    site.start()
    answered = subprocess.run(
        ["curl", "-sS", "-X", "POST", "-H", "Content-Type: text/markdown", "-H", f"x-api-key: {key}",
         "-H", f"Authorization: Bearer {key}", "--data-binary", "@secure_workflow.maml.md",
         f"{site.url}/execute"],
        cwd=folder, capture_output=True, timeout=60, check=True,
    ).stdout  # fmt: skip
    (folder / "answer.json").write_bytes(answered)
    yield site
    if site.server is not None:
        site.stop()


@pytest.fixture
def stranger(travelled, tmp_path):
    """Another folder with the answer, the document and the public key; nothing else of the gateway's."""
    for name in ("answer.json", "secure_workflow.maml.md"):
        shutil.copy(travelled.folder / name, tmp_path / name)
    (tmp_path / "log.pub").write_text(travelled.command("audit", "key").stdout)
    return Site(tmp_path, "", environment=travelled.environment)


def verify(site: Site, receipt: str = "answer.json", *more: str) -> subprocess.CompletedProcess[str]:
    return site.command("receipt", "verify", receipt, "--key", "log.pub", *more)


def test_the_signed_document_ran_and_its_answer_is_signed(travelled):
    answer = json.loads((travelled.folder / "answer.json").read_text())
    assert answer["status"] == "success", answer
    assert "world" in answer["result"]["greeting"]
    assert answer["signer"] == travelled.data("signers", "list")["signers"][0]["key_id"]
    assert answer["sandbox"]["level"] in {"full", "reduced"}
    assert answer["usage"]["by_model"]["gpt-4o-mini"]["calls"] == 1
    assert answer["signature"]
    assert answer["quantum_checksum"]


def test_a_stranger_verifies_answer_and_document_offline_with_the_public_key_alone(stranger):
    done = verify(stranger, "answer.json", "--document", "secure_workflow.maml.md")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "PROVED" in done.stdout
    assert not (stranger.folder / ".macroslow").exists()


def test_without_a_key_nothing_is_ever_proved(stranger):
    done = stranger.command("receipt", "verify", "answer.json")
    assert done.returncode == 2
    assert "--key" in done.stderr


def test_a_byte_of_the_answer_is_noticed(stranger):
    forged = (stranger.folder / "answer.json").read_text().replace("world", "w0rld", 1)
    (stranger.folder / "answer.json").write_text(forged)
    done = verify(stranger)
    assert done.returncode == 1
    assert "answer is not the one that was logged" in done.stdout


def test_a_byte_of_the_document_is_noticed(stranger):
    path = stranger.folder / "secure_workflow.maml.md"
    path.write_bytes(path.read_bytes().replace(b"Greet", b"Treat", 1))
    done = verify(stranger, "answer.json", "--document", path.name)
    assert done.returncode == 1
    assert "document is not the one that was logged" in done.stdout


def test_a_receipt_made_with_the_forgers_own_key_is_noticed(stranger, tmp_path, emulator_url):
    from tests.e2e.conftest import make_site
    from tests.e2e.documents import document

    forger = make_site(tmp_path / "forger", emulator_url, stranger.environment)
    forger.start()
    answer = forger.execute(forger.key("ada"), document("result = {'greeting': 'world'}"))
    forger.stop()
    (stranger.folder / "answer.json").write_bytes(answer.body)
    done = verify(stranger)
    assert done.returncode == 1


def test_an_entry_edited_in_the_database_is_noticed(travelled):
    import sqlite3

    travelled.stop()
    pinned = travelled.folder / "pinned.pub"
    pinned.write_text(travelled.command("audit", "key").stdout)
    assert travelled.command("audit", "verify", "--key", "pinned.pub").returncode == 0
    books = sqlite3.connect(travelled.folder / ".macroslow" / "books.sqlite")
    with books:
        (leaf,) = books.execute("SELECT leaf FROM entries WHERE n = 2").fetchone()
        forged = leaf[:20] + bytes([leaf[20] ^ 1]) + leaf[21:]
        books.execute("UPDATE entries SET leaf = ? WHERE n = 2", (forged,))
    books.close()
    done = travelled.command("audit", "verify", "--key", "pinned.pub")
    assert done.returncode in {1, 78}, done.stdout + done.stderr
    assert "entr" in done.stderr
