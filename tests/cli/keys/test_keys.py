"""Commands on keys: what is typed in the wrong place goes nowhere; what would surprise later is said now."""

import json
from pathlib import Path

import pytest

KEY = f"msk_000000000001_{'0' * 49}"


@pytest.fixture(autouse=True)
def configuration(tmp_path: Path) -> None:
    (tmp_path / "macroslow.toml").write_text("")


@pytest.mark.parametrize(
    "typed",
    [
        [KEY],
        ["ann", "--team", KEY],
        ["ann", "--note", f"see {KEY}"],
        ["ann", "--note", "AKIA0123456789ABCDEF"],
        ["ann", "--grant", f"api://{KEY}"],
        ["ann", "--address", KEY],
        ["ann", "--scope", KEY],
        ["ann", "--budget", KEY],
        ["ann", "--expires", KEY],
    ],
    ids=" ".join,
)
def test_a_secret_in_any_place_makes_no_key_and_is_not_repeated(macroslow, typed: list[str]) -> None:
    macroslow("keys", "create", "first")
    ran = macroslow("keys", "create", *typed)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert len(json.loads(macroslow("keys", "list", "--json").stdout)["keys"]) == 1
    for text in (ran.stderr, macroslow("audit", "tail").stdout):
        assert "0" * 20 not in text
        assert "AKIA0123" not in text


def test_what_a_key_of_an_administrator_opens_is_said_when_it_is_made(macroslow) -> None:
    both = macroslow("keys", "create", "boss", "--scope", "admin:keys", "--scope", "inference:chat")
    assert "opens the administrators' listener alone" in both.stderr
    assert "inference:chat: for the keys that it makes" in both.stderr
    assert "administrators" not in macroslow("keys", "create", "ann").stderr
    idle = macroslow("keys", "create", "boss", "--scope", "admin:audit", "--scope", "audit:read")
    assert (idle.returncode, "where audit:read would open nothing" in idle.stderr) == (2, True)


def test_what_bounds_a_key_is_said_when_it_is_made(macroslow) -> None:
    told = macroslow("keys", "create", "s", "--budget", "1", "--expires", "2050-01-31", "--rpm", "5",
                     "--address", "10.0.0.0/8", "--address", "::1").stderr  # fmt: skip
    assert told.endswith(
        " for s, budget $1.00; until 2050-01-31 00:00 UTC, 5 requests a minute, from 10.0.0.0/8, ::1."
        " It is not shown again.\n"
    )
    assert "1 to 100" in macroslow("keys", "set", "--help").stdout


def test_ended_keys_are_listed_when_asked_for_and_always_for_programs(macroslow) -> None:
    key_id = json.loads(macroslow("keys", "create", "ann", "--json").stdout)["id"]
    macroslow("keys", "create", "bob")
    macroslow("keys", "revoke", key_id, "--reason", f"{KEY} was seen")
    shown = macroslow("keys", "list")
    assert (key_id in shown.stdout, "1 more, revoked or expired" in shown.stderr) == (False, True)
    assert key_id in macroslow("keys", "list", "--all").stdout
    assert len(json.loads(macroslow("keys", "list", "--json").stdout)["keys"]) == 2
    told = macroslow("keys", "show", key_id).stdout
    assert "state              revoked since 20" in told
    assert "reason=msk… was seen" in macroslow("audit", "tail", "--wide").stdout


def test_a_key_that_was_revoked_already_is_said_to_be_with_the_time_of_the_first(macroslow) -> None:
    key_id = json.loads(macroslow("keys", "create", "ann", "--json").stdout)["id"]
    first = json.loads(macroslow("keys", "revoke", key_id, "--json").stdout)
    again = json.loads(macroslow("keys", "revoke", key_id, "--json").stdout)
    assert (first["revoked_before"], again["revoked_before"]) == (False, True)
    assert again["revoked_at"] == first["revoked_at"]
    told = macroslow("keys", "revoke", key_id)
    assert f"Key {key_id} of ann was revoked already, at 20" in told.stdout
    assert (told.returncode, told.stderr) == (0, "")


def test_rotation_says_that_streams_of_the_old_secret_end_with_it(macroslow) -> None:
    said = " ".join(macroslow("keys", "rotate", "--help").stdout.split())
    assert "still works (0s: no more); then streams that run under it end too" in said


def test_errors_name_what_was_typed(macroslow) -> None:
    key_id = json.loads(macroslow("keys", "create", "ann", "--json").stdout)["id"]
    for typed, told in [
        (["create", "bob", "--expires", "2020-01-01"], "--expires: 2020-01-01 00:00 UTC has passed"),
        (["create", "bob", "--address", "10.0.0.7/8"], "--address: 10.0.0.7/8 names a host: did you mean"),
        (["create", "no name"], "PRINCIPAL: "),
        (["rotate", key_id, "--overlap", "60d"], "--overlap: both secrets work for at most 30 days"),
        (["set", key_id, "--weight", "200"], "'--weight': '200' is not a number from 1 to 100"),
    ]:
        assert told in macroslow("keys", *typed).stderr
