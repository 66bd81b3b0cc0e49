"""The operator's verbs: each does what it says, and arguments that do not fit do nothing at all."""

import inspect
import json
import logging

import pytest
from tests.services.house import CLOCK, House

from macroslow.authz import scopes
from macroslow.errors import (
    BadRequestError,
    NotFoundError,
)
from macroslow.services.administration import MAX_TARGETS, VERBS, Needs, ToldAdministration
from macroslow.services.identity.record_security import RecordSecurity

ASKING = {
    "audit.checkpoint", "audit.erasable", "audit.files", "audit.key", "audit.policy", "audit.prove",
    "audit.report", "audit.search", "audit.show", "audit.succession", "audit.tail", "audit.verify",
    "audit.witnesses",
    "authz.can",
    "authz.can_key",
    "authz.can_token",
    "jwt.explain", "jwt.list",
    "keys.list", "keys.show",
    "mcp.diff", "mcp.list",
    "signers.list", "usage", "usage.budgets", "usage.days",
}  # fmt: skip
CHANGING = {
    "audit.erase", "audit.rotate_key",
    "jwt.mint", "jwt.revoke", "jwt.revoke_all", "jwt.revoke_token",
    "keys.adopt", "keys.create", "keys.revoke", "keys.revoke_all", "keys.rotate", "keys.set",
    "mcp.approve",
    "run",
    "signers.revoke", "signers.trust",
}  # fmt: skip


def test_the_table_is_the_expected_one() -> None:
    assert {name for name, verb in VERBS.items() if not verb.changes} == ASKING
    assert {name for name, verb in VERBS.items() if verb.changes} == CHANGING
    begins = {"keys.create", "keys.adopt", "signers.trust", "jwt.mint", "run"}
    assert {name for name, verb in VERBS.items() if verb.begins} == begins < CHANGING
    whole = {name: verb.needs for name, verb in VERBS.items() if verb.needs is not Needs.CORE}
    issuers, gateway = {"jwt.explain", "authz.can_token"}, {"run", "mcp.list", "mcp.diff", "mcp.approve"}
    assert whole == dict.fromkeys(issuers, Needs.ISSUERS) | dict.fromkeys(gateway, Needs.GATEWAY)


def test_each_verb_is_called_by_its_own_name(house: House) -> None:
    for name, verb in VERBS.items():
        assert verb.action(house.administration).__name__ == name.rpartition(".")[2]


@pytest.mark.parametrize("verb", ["", "keys", "keys.create ", "perform", "__class__", "_run", "books.close"])
async def test_an_unknown_verb_is_refused(ask, verb: str) -> None:
    with pytest.raises(BadRequestError, match="no verb"):
        await ask(verb)


@pytest.mark.parametrize(
    ("verb", "arguments", "field"),
    [
        ("keys.list", {"x": 1}, "x"),
        ("keys.create", {}, "principal"),
        ("keys.create", {"principal": 5}, "principal"),
        ("keys.create", {"principal": "a", "scopes": "runs:read"}, "scopes"),
        ("keys.create", {"principal": "a", "scopes": [1]}, "scopes.0"),
        ("keys.create", {"principal": "a", "grants": None}, "grants"),
        ("keys.create", {"principal": "a", "budget_usd_micros": True}, "budget_usd_micros"),
        ("keys.create", {"principal": "a", "budget_usd_micros": 1.5}, "budget_usd_micros"),
        ("keys.create", {"principal": "a", "budget_usd_micros": -1}, "budget_usd_micros"),
        ("keys.create", {"principal": "a", "budget_usd_micros": 2**53}, "budget_usd_micros"),
        ("keys.create", {"principal": "a", "expires_ns": 2**63}, "expires_ns"),
        ("keys.create", {"principal": "a", "note": None}, "note"),
        ("keys.show", {"key_id": ["a"]}, "key_id"),
        ("keys.revoke", {"key_id": "a", "reason": {}}, "reason"),
        ("signers.trust", {"name": "a", "public_jwks": {}, "origins": []}, "public_jwks"),
        ("keys.create", {"principal": "a", "team": None}, "team"),
        ("keys.create", {"principal": "a", "weight": "2"}, "weight"),
        ("keys.set", {"weight": 2}, "key_id"),
        ("keys.set", {"key_id": "a", "weight": None}, "weight"),
        ("keys.set", {"key_id": "a", "scopes": None}, "scopes"),
        ("keys.set", {"key_id": "a", "budget_usd_micros": "5"}, "budget_usd_micros"),
        ("keys.set", {"key_id": "a", "role": "admin"}, "role"),
        ("keys.adopt", {"keys": "x"}, "keys"),
        ("keys.adopt", {"keys": [1]}, "keys.0"),
        ("keys.adopt", {"keys": [{}] * 1001}, "keys"),
        ("usage", {"by": 1}, "by"),
        ("usage.days", {"provider": "p", "first_day": "2026-01-01"}, "last_day"),
        ("audit.tail", {"count": "20"}, "count"),
        ("audit.tail", {"count": -1}, "count"),
        ("audit.tail", {"count": 1001}, "count"),
        ("audit.tail", {"start": 2**70}, "start"),
        ("audit.show", {}, "index"),
        ("audit.show", {"index": -1}, "index"),
        ("audit.show", {"index": "0"}, "index"),
        ("audit.prove", {"index": 2**64}, "index"),
        ("audit.verify", {"since": 1}, "since"),
        ("run", {"document": 1}, "document"),
        ("run", {"document": "", "inputs": []}, "inputs"),
        ("run", {"document": "", "allow": "api://x"}, "allow"),
    ],
)
async def test_arguments_that_do_not_fit_are_named_and_nothing_happens(
    house: House, ask, verb: str, arguments: dict, field: str
) -> None:
    size = (await house.books.head()).size
    with pytest.raises(BadRequestError, match=verb) as refused:
        await ask(verb, **arguments)
    assert field in [problem.field for problem in refused.value.problems]
    assert (await house.books.head()).size == size


@pytest.mark.parametrize(
    ("verb", "arguments", "fix"),
    [
        ("keys.list", {"x": 1}, "it takes no arguments"),
        ("keys.rotate", {"key_id": "a", "overlap": 1}, "it takes key_id, overlap_s"),
        ("keys.create", {"principal": "a", "expires": "30d"}, "expires_ns"),
        ("keys.show", {"key_id": 5}, ""),
    ],
)
async def test_who_writes_an_unknown_argument_is_told_the_known_ones(
    ask, verb: str, arguments: dict, fix: str
) -> None:
    with pytest.raises(BadRequestError) as refused:
        await ask(verb, **arguments)
    assert fix in refused.value.fix
    assert bool(fix) == bool(refused.value.fix)


async def test_a_defect_within_a_verb_is_not_taken_for_bad_arguments(house: House, monkeypatch) -> None:
    def broken(_: object) -> object:
        raise TypeError("a defect")

    monkeypatch.setattr(type(house.signers), "list", broken)
    with pytest.raises(TypeError, match="a defect"):
        await house.administration.perform("signers.list", {})


def test_every_verb_can_be_asked_by_name_alone(house: House) -> None:
    for verb in VERBS.values():
        taken = inspect.signature(verb.action(house.administration)).parameters.values()
        kinds = {parameter.kind for parameter in taken}
        assert not kinds & {inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.VAR_POSITIONAL}


async def test_a_key_from_making_to_revocation(ask) -> None:
    made = await ask("keys.create", principal="ann", budget_usd_micros=500, note="laptop")
    assert made["key"].startswith("msk_")
    assert made["scopes"] == sorted(scopes.CLIENT_DEFAULT)
    assert made["grants"] == ["gateway://*", "api://*"]
    listed = (await ask("keys.list"))["keys"]
    assert [one["id"] for one in listed] == [made["id"]]
    assert "key" not in listed[0]
    shown = await ask("keys.show", key_id=made["id"])
    assert (shown["budget_usd_micros"], shown["spent_usd_micros"], shown["revoked_at"]) == (500, 0, None)
    revoked = await ask("keys.revoke", key_id=made["id"], reason="lost")
    assert revoked["revoked_at"].endswith("+00:00")
    tail = await ask("audit.tail", count=2)
    assert [entry["type"] for entry in tail["entries"]] == ["key-created", "key-revoked"]
    assert tail["entries"][1]["fields"]["reason"] == "lost"
    assert made["key"] not in json.dumps(tail)


async def test_unknown_keys_signers_and_entries_are_not_found(ask) -> None:
    for verb, arguments in (
        ("keys.show", {"key_id": "nobody"}),
        ("keys.revoke", {"key_id": "nobody"}),
        ("signers.revoke", {"name": "nobody"}),
        ("audit.show", {"index": 10_000}),
        ("audit.prove", {"index": 10_000}),
    ):
        with pytest.raises(NotFoundError):
            await ask(verb, **arguments)


async def test_all_that_is_wrong_with_a_new_key_is_said_at_once(ask) -> None:
    with pytest.raises(BadRequestError) as refused:
        await ask("keys.create", principal="", scopes=["nope"], grants=["x"], requests_per_minute=0)
    assert {problem.field for problem in refused.value.problems} == {
        "principal",
        "scopes",
        "grants",
        "requests_per_minute",
    }


@pytest.mark.parametrize("by", ["key", "principal", "model", "tag", "day"])
async def test_usage_is_grouped_by_each_word(ask, by: str) -> None:
    assert await ask("usage", by=by) == {"by": by, "rows": (await ask("usage", by=by))["rows"]}
    with pytest.raises(BadRequestError) as refused:
        await ask("usage", by="week")
    assert "--by" in refused.value.fix


async def test_the_servers_log_says_which_key_was_made_changed_or_ended_and_by_whom(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "macroslow.security")
    told = ToldAdministration(house.administration, RecordSecurity(house.books, CLOCK), CLOCK, "control")
    key_id = (await told("keys.create", {"principal": "ann"}))["id"]  # type: ignore[index]
    for verb in ("keys.show", "keys.set", "keys.rotate", "keys.revoke"):
        await told(verb, {"key_id": key_id, **({"note": "x"} if verb == "keys.set" else {})})
    many = [
        (await told("keys.create", {"principal": "bob"}))["id"]  # type: ignore[index]
        for _ in range(MAX_TARGETS + 3)
    ]
    await told("keys.revoke_all", {"reason": "leak"})
    seen = [(record.security["route"], record.security["target"]) for record in caplog.records]
    acts = ["keys.create", "keys.set", "keys.rotate", "keys.revoke"]
    assert seen[:4] == [(verb, key_id) for verb in acts]
    verb, target = seen[-1]
    assert (verb, target.endswith(",+3")) == ("keys.revoke_all", True)
    assert set(target.split(",")[:-1]) < set(many)
    erased = await told("audit.erase", {"subject": "ann"})
    assert caplog.records[-1].security["target"] == erased["pseudonym"]  # type: ignore[index]
    assert {record.security["principal"] for record in caplog.records} == {"operator"}
