"""A person is erased at a running gateway: what they had ends, no file has their name, the log is sound."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.conftest import Site, make_site

from macroslow.control import RemoteError

NAME = "Annegret-Zapf"  # in no other text
HOLDS = """
[log.hold_days]
security = 0
administration = 0
"""


@pytest.fixture
def site(tmp_path: Path, emulator_url: str, clean_environment: dict[str, str]) -> Iterator[Site]:
    made = make_site(tmp_path / "site", emulator_url, clean_environment, HOLDS)
    made.start()
    yield made
    made.stop()


def files_with(site: Site, text: str) -> list[str]:
    """The files of the state folder that hold a text."""
    files = [path for path in site.state.rglob("*") if path.is_file()]
    return [path.name for path in files if text.encode() in path.read_bytes()]


def test_who_is_erased_is_gone_from_every_file_and_every_proof_stands(site: Site) -> None:
    site.client("bob")
    key = site.client(NAME)
    assert site.chat(key).status == 200
    (chat,) = [entry for entry in site.log() if entry["type"] == "chat-completed"]
    (site.folder / "log.pub").write_text(site.ask("audit.key")["key"])
    (site.folder / "kept").write_text(site.ask("audit.checkpoint")["note"])
    (site.folder / "receipt.json").write_text(json.dumps(site.ask("audit.prove", index=chat["index"])))
    with pytest.raises(RemoteError, match="keys in force"):
        site.ask("audit.erase", subject=NAME)
    site.ask("keys.revoke", key_id=key[4:16])
    assert files_with(site, NAME)
    erased = site.data("audit", "erase", "--subject", NAME, "--yes")
    assert (erased["held"], erased["by_type"]["chat-completed"]) == ({}, 1)
    assert site.chat(key).status == 401
    assert [one["principal"] for one in site.ask("keys.list")["keys"]] == ["bob"]
    verified = site.data("audit", "verify", "--since", "kept", "--key", "log.pub")
    assert verified["erased_as"] == [erased["index"]]
    proved = site.command("receipt", "verify", "receipt.json", "--key", "log.pub")
    assert proved.returncode == 0, proved.stderr
    assert site.stop() == 0  # what its write-ahead log held is folded in
    assert files_with(site, NAME) == []
    site.start()
    unknown = site.command("audit", "report", "--subject", NAME, "--json")
    assert (unknown.returncode, json.loads(unknown.stdout)["entries"]) == (1, 0)
    report = site.data("audit", "report", "--subject", erased["pseudonym"])
    assert report["erased"] == erased["entries"]
    assert NAME not in site.said
