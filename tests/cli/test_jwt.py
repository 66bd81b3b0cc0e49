"""`macroslow jwt` without a server: exit codes, stdin alone, and secrets of issuers that are none."""

import json
import re

import pytest

from macroslow.crypto import base64url

DEVELOPMENT = '[auth.issuers.dev]\npreset = "development"\n'
SYMMETRIC = """
[auth.issuers.own]
issuer = "https://own.example"
audiences = ["gateway"]
secret = "env:JWT_SECRET"
"""


@pytest.fixture
def minted(macroslow, tmp_path) -> str:
    (tmp_path / "macroslow.toml").write_text(DEVELOPMENT)
    made = macroslow("jwt", "mint", "alice", "--scope", "inference:chat", "--json")
    assert made.returncode == 0, made.stderr
    return json.loads(made.stdout)["token"]


def test_a_minted_token_is_valid_until_it_is_revoked(macroslow, minted) -> None:
    good = macroslow("jwt", "explain", "-", "--json", given=minted + "\n")
    assert (good.returncode, json.loads(good.stdout)["principal"]) == (0, "jwt/dev/alice")
    pasted = macroslow("jwt", "explain", "-", given=f"Bearer {minted}")
    assert pasted.returncode == 0
    assert macroslow("jwt", "revoke", "dev", "--reason", "test").returncode == 0
    bad = macroslow("jwt", "explain", "-", "--json", given=minted)
    told = json.loads(bad.stdout)
    assert (bad.returncode, told["valid"], told["refused_at"]) == (1, False, "revoked")
    listed = json.loads(macroslow("jwt", "list", "--json").stdout)
    assert [(one["issuer"], one["subject"]) for one in listed["revoked"]] == [("dev", "")]


def test_a_token_that_may_do_nothing_is_let_in_for_nothing_and_the_exit_code_says_so(
    macroslow, minted
) -> None:
    idle = macroslow("jwt", "mint", "bob").stdout
    found = macroslow("jwt", "explain", "-", given=idle)
    *_, verdict, fix = found.stdout.splitlines()
    assert (found.returncode, verdict.startswith("let in as jwt/dev/bob, and refused whatever")) == (1, True)
    assert fix.startswith("  fix: ask the issuer for a token with one of the words that count")
    told = json.loads(macroslow("jwt", "explain", "-", "--json", given=idle).stdout)
    assert (told["valid"], told["scopes"], told["issuers"]) == (True, [], ["dev"])


def test_a_token_that_may_do_nothing_is_told_when_it_is_made(macroslow, minted, tmp_path) -> None:
    assert "it has no scope\n  fix: --scope" in macroslow("jwt", "mint", "bob").stderr
    assert macroslow("jwt", "mint", "bob", "--scope", "usage:read").stderr == ""
    (tmp_path / "macroslow.toml").write_text(f'{DEVELOPMENT}always_scopes = ["usage:read"]\n')
    assert macroslow("jwt", "mint", "bob").stderr == ""


def test_revocations_are_told_as_people_read_times_and_asked_for_by_a_day(
    macroslow, minted, tmp_path
) -> None:
    told = macroslow("jwt", "revoke", "jwt/dev/bob", "--before", "2026-01-31").stdout
    assert told == "Revoked of dev: bob, issued before 2026-01-31 00:00:00 UTC.\n"
    (tmp_path / "macroslow.toml").write_text(f"{DEVELOPMENT}max_age_s = 3600\n")
    macroslow("jwt", "revoke", "-", given=minted)
    listed = macroslow("jwt", "list").stdout.splitlines()
    assert listed[0].split() == ["ISSUER", "REVOKED", "FORGOTTEN"]
    assert any("issued before 2026-01-31 00:00:00 UTC  never" in line for line in listed)
    assert any(re.search(r"the token .* 20..-..-.. ..:.. UTC$", line) for line in listed)
    bad = macroslow("jwt", "revoke", "dev", "--before", "today")
    assert (bad.returncode, "'today' is not a date such as 2030-01-31 or" in bad.stderr) == (2, True)
    assert "--before DATE" in macroslow("jwt", "revoke", "--help").stdout


def test_a_key_in_place_of_a_token_is_told_by_its_id_alone(macroslow, minted) -> None:
    made = json.loads(macroslow("keys", "create", "ann", "--json").stdout)
    found = macroslow("jwt", "explain", "-", given=made["key"])
    assert (found.returncode, f"the client key {made['id']}" in found.stdout) == (1, True)
    assert made["key"] not in found.stdout + found.stderr


def test_what_a_token_may_is_asked_with_the_token_on_stdin(macroslow, minted) -> None:
    may = macroslow("can", "-", "inference:chat", given=f"Bearer {minted}")
    assert (may.returncode, may.stdout.splitlines()[0]) == (0, "token of jwt/dev/alice: yes")
    may_not = macroslow("can", "-", "usage:read", "--json", given=minted)
    assert (may_not.returncode, json.loads(may_not.stdout)["allowed"]) == (1, False)
    spoilt = macroslow("can", "-", "inference:chat", given=minted[:-9])
    assert (spoilt.returncode, spoilt.stdout.splitlines()[0]) == (1, "token of nobody: no")
    key = json.loads(macroslow("keys", "create", "ann", "--json").stdout)
    by_key = macroslow("can", "-", "inference:chat", given=key["key"])
    assert (by_key.returncode, by_key.stdout.splitlines()[0]) == (0, f"key {key['id']} of ann: yes")
    named = macroslow("can", "jwt/dev/alice", "inference:chat")
    assert (named.returncode, "macroslow can - ACTION" in named.stderr) == (1, True)
    assert macroslow("can", "-", "inference:chat").returncode == 2  # nothing came


def test_a_token_revoked_by_a_changed_copy_of_it_does_not_count_again(macroslow, minted) -> None:
    """Each command opens the state anew, as a restart does."""
    header, payload, signature = minted.split(".")
    claims = json.loads(base64url.decode(payload)) | {"exp": 1000}
    copy = ".".join((header, base64url.encode(json.dumps(claims).encode()), signature))
    assert macroslow("jwt", "revoke", "-", given=copy).returncode == 0
    for _ in range(2):
        found = macroslow("jwt", "explain", "-", "--json", given=minted)
        assert (found.returncode, json.loads(found.stdout)["refused_at"]) == (1, "revoked")


def test_a_key_that_was_rotated_away_may_nothing(macroslow, tmp_path) -> None:
    (tmp_path / "macroslow.toml").write_text("")
    old = json.loads(macroslow("keys", "create", "ann", "--json").stdout)
    new = json.loads(macroslow("keys", "rotate", old["id"], "--overlap", "0s", "--json").stdout)
    assert macroslow("can", "-", "inference:chat", given=new["key"]).returncode == 0
    refused = macroslow("can", "-", "inference:chat", given=old["key"])
    first, second, *_ = refused.stdout.splitlines()
    assert (refused.returncode, first) == (1, f"key {old['id']} of ann: no")
    assert second == "  - the secret is an older one, which was rotated away"
    assert old["key"] not in refused.stdout + refused.stderr


def test_what_is_no_token_is_explained_as_such(macroslow, minted) -> None:
    for text in ("nonsense", "a.b.c", "x y", "é", minted.rpartition(".")[0]):
        found = macroslow("jwt", "explain", "-", given=text)
        assert (found.returncode, found.stdout.startswith("BAD form")) == (1, True), text
    assert macroslow("jwt", "explain", "-", given="").returncode == 2


def test_a_token_is_never_taken_from_the_command_line(macroslow, minted) -> None:
    for command in (["jwt", "explain", minted], ["jwt", "explain"]):
        refused = macroslow(*command)
        assert (refused.returncode, refused.stdout) == (2, "")


def test_a_lifetime_that_is_refused_names_one_that_is_not(macroslow, minted) -> None:
    refused = macroslow("jwt", "mint", "zed", "--lifetime", "900d")
    fix = refused.stderr.partition("fix: ")[2].split()
    assert (refused.returncode, len(fix)) == (2, 2)
    assert macroslow("jwt", "mint", "zed", *fix).returncode == 0


def test_without_an_issuer_nothing_can_be_decided(macroslow, tmp_path) -> None:
    (tmp_path / "macroslow.toml").write_text("")
    assert macroslow("keys", "create", "ann").returncode == 0
    assert macroslow("jwt", "explain", "-", given="a.b.c").returncode == 78
    assert macroslow("jwt", "mint", "alice").returncode == 78
    assert macroslow("jwt", "revoke", "dev").returncode == 1


@pytest.mark.parametrize("secret", ["", "changeme", "short-but-random-9fK2"])
def test_a_shared_secret_that_is_none_stops_the_start(process, tmp_path, secret) -> None:
    (tmp_path / "macroslow.toml").write_text(SYMMETRIC)
    dotenv = tmp_path / ".env"
    dotenv.write_text(f"JWT_SECRET={secret}\n")
    dotenv.chmod(0o600)
    refused = process("serve", "--listen", "127.0.0.1:0")
    assert refused.returncode == 78
    assert "auth.issuers.own.secret" in refused.stderr
    assert not secret or secret not in refused.stderr


def test_a_development_issuer_does_not_start_where_others_can_reach_it(process, minted) -> None:
    refused = process("serve", "--listen", "0.0.0.0:0")
    assert refused.returncode == 78
    assert "development issuer" in refused.stderr
