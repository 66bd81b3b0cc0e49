"""`audit policy` and `audit witnesses` where no server runs, and that commands sign behind nobody's back."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.cli.conftest import Ran
from tests.services.signing.witness_house import witnesses

from macroslow.tlog import policy

TWO = witnesses("w1.example", "w2.example-q")


@pytest.fixture
def site(tmp_path: Path, macroslow: Callable[..., Ran]) -> Callable[..., Ran]:
    """A gateway with two witnesses, whom nobody has asked yet, and one key."""
    tables = "".join(
        f'[log.witnesses.w{at}]\nurl = "https://w{at}.example"\nkey = "{one.vkey}"\n'
        for at, one in enumerate(TWO, 1)
    )
    (tmp_path / "macroslow.toml").write_text(f'[log]\nhigh_water = "off"\n{tables}')
    assert macroslow("keys", "create", "ann").returncode == 0
    return macroslow


def test_the_policy_is_one_that_anybody_can_read(site: Callable[..., Ran]) -> None:
    printed = site("audit", "policy")
    read = policy.parse(printed.stdout.encode())
    assert [one.key.vkey for one in read.witnesses] == [one.vkey for one in TWO]
    assert read.needed == "2 of w1, w2"
    key = site("audit", "key").stdout
    assert all(one.key.vkey in key for one in read.logs)
    assert json.loads(site("audit", "policy", "--json").stdout) == {"policy": printed.stdout}


def test_what_each_witness_did_is_shown(site: Callable[..., Ran]) -> None:
    shown = site("audit", "witnesses")
    assert shown.returncode == 0, shown.stderr
    first, *lines = shown.stdout.splitlines()
    assert first == "1 entry; needed: 2 of w1, w2"
    assert lines == [
        f"  {name:<16} was not asked yet: a gateway that serves asks it" for name in ("w1", "w2")
    ]
    told = json.loads(site("audit", "witnesses", "--json").stdout)["witnesses"]
    assert told[0] == {
        "name": "w1",
        "url": "https://w1.example",
        "cosigned_entries": None,
        "cosigned_at": None,
        "error": None,
    }


def test_commands_sign_nothing_that_the_witnesses_have_not_confirmed(site: Callable[..., Ran]) -> None:
    for command in (("audit", "checkpoint"), ("audit", "prove", "0")):
        refused = site(*command)
        assert refused.returncode != 0
        assert "witnesses have not confirmed it yet" in refused.stderr
        assert "a gateway that serves asks them" in refused.stderr


def test_while_witnesses_are_away_what_was_signed_is_printed_and_what_was_not_is_said(
    tmp_path: Path, macroslow: Callable[..., Ran]
) -> None:
    settings = tmp_path / "macroslow.toml"
    settings.write_text('[log]\nhigh_water = "off"\n')
    macroslow("keys", "create", "ann")
    signed = macroslow("audit", "checkpoint", "--json")
    told = json.loads(signed.stdout)
    assert (told["size"], told["entries"], told["unsigned"], signed.stderr) == (1, 1, None, "")
    assert told["note"].split("\n")[1] == "1"
    settings.write_text(
        f'{settings.read_text()}[log.witnesses.w]\nurl = "https://w.example"\nkey = "{TWO[0].vkey}"\n'
    )
    macroslow("keys", "create", "bob")
    later = macroslow("audit", "checkpoint")
    assert (later.returncode, later.stdout) == (0, told["note"])
    assert later.stderr.startswith("unsigned: the last 1 entry: nothing is signed yet: the log's witnesses")
    late = json.loads(macroslow("audit", "checkpoint", "--json").stdout)
    assert (late["size"], late["entries"]) == (1, 2)
    assert "witnesses have not confirmed it yet" in late["unsigned"]
    exported = macroslow("audit", "export", "mirror")
    assert (exported.returncode, exported.stdout) == (2, "")
    assert (
        "no checkpoint was cosigned by enough witnesses yet\n  fix: `macroslow audit witn" in exported.stderr
    )


def test_without_witnesses_the_policy_asks_for_none(tmp_path: Path, macroslow: Callable[..., Ran]) -> None:
    (tmp_path / "macroslow.toml").write_text('[log]\nhigh_water = "off"\n')
    assert macroslow("keys", "create", "ann").returncode == 0
    assert macroslow("audit", "policy").stdout.endswith("\nquorum none\n")
    assert macroslow("audit", "witnesses").stdout == "1 entry; needed: none\n"
