"""Tokens as credentials: what is remembered of them and for how long, and a key beside one."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from tests.authn.jwt.tokens import NOW_S, RULES, claims, ed_key, jwk, jwks, part, token
from tests.services.token_house import TokenHouse

from macroslow.authn.jwt.issuer import ClaimMapping
from macroslow.authn.jwt.keys import EMPTY, read_key_set
from macroslow.authn.jwt.revoked import Revocation
from macroslow.authn.principal import TokenPrincipal
from macroslow.authn.refusal import BAD_DETAIL, BAD_FIX, Refusal
from macroslow.authn.terms import Terms
from macroslow.errors import BadRequestError, CredentialError, LogUnavailableError, NotFoundError
from macroslow.metering.budgets import Spender, budgets_of, own_rules
from macroslow.services.identity import verify_tokens
from macroslow.services.identity.authenticate import Credentials
from macroslow.services.identity.explain_tokens import ExplainTokens
from macroslow.services.identity.jwt_verbs import JWTVerbs
from macroslow.services.identity.wished_keys import NewKey
from macroslow.tlog.event import EventType
from macroslow.tlog.ports import Entry
from macroslow.workflow.books import Change

MAPPING = ClaimMapping(
    pass_scopes=frozenset({"inference:chat", "usage:read"}),
    terms=Terms(grants=("api://a*",), requests_per_minute=7, day_usd_micros=500, team="all"),
)
MAPPED = replace(RULES, mapping=MAPPING)


async def reason(house: TokenHouse, credential: bytes, key: str = "") -> str:
    with pytest.raises(CredentialError) as caught:
        await house.by(credential, key)
    assert (caught.value.detail, caught.value.step) == (BAD_DETAIL, "authenticate")
    assert caught.value.fix == BAD_FIX
    return caught.value.reason


async def test_a_token_makes_a_principal_with_an_account_of_its_own() -> None:
    house = TokenHouse(MAPPED, budget_usd_micros=1000)
    who = await house.by(token())
    assert isinstance(who, TokenPrincipal)
    assert who.name == who.account == "jwt/main/alice"
    assert (who.key_id, who.scopes, who.grants) == ("", {"inference:chat"}, ("api://a*",))
    assert (who.team, who.requests_per_minute, who.jti) == ("all", 7, "token-1")
    account = await house.books.account("jwt/main/alice")
    assert account is not None
    assert (account.limit_usd_micros, account.spent_usd_micros) == (None, 0)


async def test_a_subjects_money_is_counted_by_its_name() -> None:
    house = TokenHouse(MAPPED, budget_usd_micros=1000)
    who = await house.by(token())
    budgets = budgets_of(own_rules(who), Spender(who.key_id, who.name, who.team), NOW_S * 10**9)
    day = datetime.fromtimestamp(NOW_S, UTC).date().isoformat()
    assert {one.id: one.limit_usd_micros for one in budgets} == {
        f"principal/jwt/main/alice/day/{day}": 500,
        "principal/jwt/main/alice/total": 1000,
    }


async def test_all_bad_tokens_look_alike_and_the_log_tells_them_apart() -> None:
    house = TokenHouse()
    bad = {
        "jwt-form": b"a.b.c",
        "jwt-issuer": token(claims(iss="https://x.example/")),
        "jwt-algorithm": token(header={"alg": "none"}),
        "jwt-signature": token(key=ed_key("attacker's")),
        "jwt-key": token(kid="unknown"),
        "jwt-expiry": token(claims(exp=NOW_S - 1000)),
        "jwt-audience": token(claims(aud="x")),
        "jwt-subject": token(claims(sub=None)),
    }
    assert {await reason(house, credential): credential for credential in bad.values()} == bad


async def test_without_issuers_a_token_is_a_credential_of_another_kind() -> None:
    house = TokenHouse()
    house.authenticate.tokens = None
    assert await reason(house, token()) == Refusal.OTHER_KIND


async def test_a_token_is_no_api_key() -> None:
    house = TokenHouse()
    with pytest.raises(CredentialError) as caught:
        await house.authenticate(Credentials(token()))
    assert caught.value.reason == Refusal.OTHER_KIND


# What is remembered


async def test_a_good_token_is_checked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    house = TokenHouse()
    first = await house.by(token())
    monkeypatch.setattr(verify_tokens, "examine", None)  # a second look would fail
    assert await house.by(token()) is first


async def test_tokens_that_begin_alike_are_strangers() -> None:
    """CVE-2026-35030: a cache keyed by the beginning of a token gave one caller another's identity."""
    house = TokenHouse()
    shared = {"padding": "x" * 3000}
    alice = token(shared | claims(sub="alice"))
    bob = token(shared | claims(sub="bob"))
    assert alice[:3000] == bob[:3000]
    assert (await house.by(alice)).name == "jwt/main/alice"
    assert (await house.by(bob)).name == "jwt/main/bob"
    assert (await house.by(alice)).name == "jwt/main/alice"
    head, _, signed = bob.rpartition(b".")
    assert await reason(house, head + b"." + alice.rpartition(b".")[2]) == "jwt-signature"
    assert await reason(house, alice[:-1]) == "jwt-form"
    assert signed


async def test_a_remembered_token_ends_with_its_time() -> None:
    house = TokenHouse()
    credential = token(claims(exp=NOW_S + 10))
    await house.by(credential)
    house.later(10 + RULES.leeway_s - 1)
    await house.by(credential)
    house.later(1)
    assert await reason(house, credential) == "jwt-expiry"


async def test_a_remembered_token_ends_with_the_age_that_its_issuer_allows() -> None:
    house = TokenHouse(replace(RULES, max_age_s=100, leeway_s=0))
    credential = token(claims(iat=NOW_S, exp=NOW_S + 5000))
    await house.by(credential)
    house.later(100)
    await house.by(credential)
    house.later(1)
    assert await reason(house, credential) == "jwt-issued"


async def test_a_remembered_token_ends_with_its_issuers_key() -> None:
    house = TokenHouse()
    await house.by(token())
    house.source.keys = read_key_set(jwks(jwk(ed_key("second"), "ed")))
    assert await reason(house, token()) == "jwt-signature"
    house.source.keys = EMPTY  # closed: its issuer was away for too long
    assert await reason(house, token()) == "jwt-key"


async def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify_tokens, "MAX_KNOWN", 3)
    monkeypatch.setattr(verify_tokens, "MAX_SUBJECTS", 3)
    house = TokenHouse()
    for number in range(3):
        await house.by(token(claims(jti=str(number), sub=str(number))))
    await house.by(token(claims(jti="3", sub="0")))
    assert len(house.tokens._known) == 3
    assert await reason(house, token(claims(sub="4"))) == "jwt-too-many-subjects"


async def test_subjects_of_one_issuer_shut_out_and_drive_out_none_of_anothers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(verify_tokens, "MAX_KNOWN", 4)
    monkeypatch.setattr(verify_tokens, "MAX_SUBJECTS", 8)
    house = TokenHouse(RULES, replace(RULES, name="open", issuer="https://open.example/"))
    alice = token()
    known = await house.by(alice)
    for number in range(4):
        await house.by(token(claims(iss="https://open.example/", sub=str(number))))
    flood = token(claims(iss="https://open.example/", sub="one too many"))
    assert await reason(house, flood) == "jwt-too-many-subjects"
    assert await house.by(alice) is known
    for subject in ("bob", "carol", "dave"):
        assert (await house.by(token(claims(sub=subject)))).name == f"jwt/main/{subject}"
    assert await reason(house, token(claims(sub="eve"))) == "jwt-too-many-subjects"


async def test_rotated_keys_under_load_are_looked_for_and_found() -> None:
    house = TokenHouse()
    house.source.next = read_key_set(jwks(jwk(ed_key("second"), "new")))
    fresh = token(key=ed_key("second"), kid="new")
    assert (await house.by(fresh)).name == "jwt/main/alice"
    assert house.source.renewals == 1
    answers = await asyncio.gather(*(house.by(fresh) for _ in range(100)))
    assert {one.name for one in answers} == {"jwt/main/alice"}
    assert house.source.renewals == 1


async def test_only_an_unknown_key_makes_the_keys_be_looked_for() -> None:
    house = TokenHouse()
    for credential in (
        token(key=ed_key("attacker's")),
        b"a.b.c",
        token(claims(exp=1)),
        token(header={"alg": "none"}),
    ):
        await reason(house, credential)
    assert house.source.renewals == 0


@pytest.mark.parametrize("what", ["the token", "its key"])
async def test_what_ends_while_the_account_is_opened_gets_nobody_in(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is it remembered: it would be good until its own time is over."""
    house = TokenHouse()
    commit, good = house.books.commit, token()

    async def slow(*changes: Change) -> Sequence[Entry]:
        monkeypatch.undo()
        entries = await commit(*changes)
        if what == "the token":
            await house.manage.revoke("main", jti="token-1")
        else:
            house.source.keys = EMPTY
        return entries

    monkeypatch.setattr(house.books, "commit", slow)
    for _ in range(2):
        assert await reason(house, good) == ("jwt-revoked" if what == "the token" else "jwt-key")
    assert await house.books.account("jwt/main/alice") is not None


async def test_where_the_books_are_away_no_new_subject_gets_in() -> None:
    house = TokenHouse()
    await house.by(token())

    async def unavailable(*changes: object) -> list[object]:
        raise LogUnavailableError("away")

    house.books.commit = unavailable  # type: ignore[assignment, method-assign]
    assert (await house.by(token())).name == "jwt/main/alice"
    with pytest.raises(LogUnavailableError):
        await house.by(token(claims(sub="bob")))


# A key beside a token


async def test_a_key_and_a_token_must_both_be_valid_and_their_rights_meet() -> None:
    house = TokenHouse(MAPPED)
    made = await house.keys.create(
        NewKey("bot", scopes=frozenset({"inference:chat", "runs:read"}), team="red")
    )
    both = await house.by(token(claims(scope="inference:chat usage:read")), made.text)
    assert (both.name, both.account, both.key_id) == (
        "jwt/main/alice",
        f"key/{made.record.id}",
        made.record.id,
    )
    assert both.scopes == {"inference:chat"}
    assert [each.name for each in both.credentials()] == ["bot", "jwt/main/alice"]
    assert both.team == "red"
    assert await reason(house, token(claims(exp=1)), made.text) == "jwt-expiry"
    assert (
        await reason(house, token(), made.text[:-1] + ("1" if made.text.endswith("0") else "0"))
        == Refusal.MALFORMED
    )
    await house.keys.revoke(made.record.id)
    assert await reason(house, token(), made.text) == Refusal.REVOKED


async def test_each_of_both_is_still_bound_by_its_own_money() -> None:
    house = TokenHouse(MAPPED)
    made = await house.keys.create(NewKey("bot", day_usd_micros=900))
    both = await house.by(token(), made.text)
    budgets = budgets_of(own_rules(both), Spender(both.key_id, both.name, both.team), NOW_S * 10**9)
    assert {one.id.rpartition("/")[0]: one.limit_usd_micros for one in budgets} == {
        f"key/{made.record.id}/day": 900,
        "principal/jwt/main/alice/day": 500,
    }


async def test_a_key_s_networks_count_beside_a_token_too() -> None:
    house = TokenHouse()
    made = await house.keys.create(NewKey("bot", addresses=("10.0.0.0/8",)))
    await house.by(token(), made.text, "10.1.2.3")
    with pytest.raises(CredentialError) as caught:
        await house.by(token(), made.text, "11.1.2.3")
    assert caught.value.reason == Refusal.ADDRESS


async def test_what_ends_either_ends_what_both_have_under_way() -> None:
    house = TokenHouse()
    made = await house.keys.create(NewKey("bot"))
    both = await house.by(token(), made.text)
    alone = await house.by(token())
    assert house.authenticate.admits(both)
    house.later(10_000)
    assert house.authenticate.admits(alone)  # its time is over; what it began is finished
    await house.manage.revoke("jwt/main/alice")
    assert not house.authenticate.admits(alone)
    assert not house.authenticate.admits(both)


async def test_no_key_can_have_a_subjects_name() -> None:
    house = TokenHouse()
    for name in ("jwt/main/alice", "JWT/main/alice"):
        with pytest.raises(BadRequestError):
            await house.keys.create(NewKey(name))


# Revocation


async def test_a_revoked_token_is_refused_from_the_next_request_on_and_its_neighbour_is_not() -> None:
    house = TokenHouse()
    await house.by(token())
    await house.by(token(claims(jti="token-2")))
    await house.manage.revoke("main", jti="token-1", reason="lost")
    assert await reason(house, token()) == "jwt-revoked"
    await house.by(token(claims(jti="token-2")))
    (kind, subject, fields) = (await house.logged())[-1]
    assert (kind, subject) == (EventType.JWT_REVOKED, "operator")
    assert (fields["issuer"], fields["jti"], fields["reason"]) == ("main", "token-1", "lost")


async def test_all_tokens_until_now_are_revoked_and_later_ones_count() -> None:
    house = TokenHouse()
    await house.by(token())
    await house.manage.revoke("jwt/main/alice")
    assert await reason(house, token()) == "jwt-revoked"
    assert await reason(house, token(claims(iat=NOW_S))) == "jwt-revoked"
    await house.by(token(claims(sub="bob")))
    await house.by(token(claims(iat=NOW_S + 1)))
    await house.manage.revoke_all("breach")
    assert await reason(house, token(claims(sub="bob"))) == "jwt-revoked"


async def test_whose_tokens_were_revoked_is_said_in_that_persons_own_part() -> None:
    house = TokenHouse()
    await house.manage.revoke("main", jti="token-1")
    await house.manage.revoke("jwt/main/alice")
    await house.manage.revoke("main")
    entries = await house.books.entries(0, 10)
    assert [json.loads(one.event or b"")["fields"]["revoked"] for one in entries] == [
        "token", "subject", "issuer",
    ]  # fmt: skip
    assert {one.subject for one in entries} == {"operator"}
    (of_nobody, (part,), of_all) = (one.others for one in entries)
    assert (of_nobody, of_all) == ((), ())
    assert json.loads(part or b"null") == {"subject": "jwt/main/alice", "fields": {"subject": "alice"}}
    assert b"alice" not in (entries[1].event or b"")


async def test_a_revocation_never_becomes_less() -> None:
    house = TokenHouse()
    await house.manage.revoke("main", before_s=NOW_S)
    await house.manage.revoke("main", before_s=NOW_S - 100)
    (kept,) = house.manage.all()
    assert kept.before_s == NOW_S


def verbs(house: TokenHouse) -> JWTVerbs:
    return JWTVerbs(house.manage, ExplainTokens(house.keys, house.tokens), None)


async def test_the_token_itself_can_be_revoked_until_its_time_is_over() -> None:
    house = TokenHouse()
    await verbs(house).revoke_token(token=token().decode(), reason="leaked")
    (revoked,) = house.manage.all()
    assert (revoked.jti, revoked.expires_s) == ("token-1", NOW_S + 300 + 60 + 300)
    assert await reason(house, token()) == "jwt-revoked"
    house.later(700)
    await house.manage.load()
    assert house.manage.all() == await house.books.revocations() == []
    with pytest.raises(BadRequestError, match="jti"):
        await house.manage.revoke_token(token(claims(jti=None)).decode())
    with pytest.raises(BadRequestError, match="no token"):
        await house.manage.revoke_token("x")


@pytest.mark.parametrize("max_age_s", [None, 3600])
@pytest.mark.parametrize("serving", [True, False], ids=["serving", "by itself"])
async def test_a_token_revoked_by_a_changed_copy_of_it_stays_revoked_after_a_restart(
    serving: bool, max_age_s: int | None
) -> None:
    """A changed copy names the token by its `jti`; the time in it is whatever somebody wrote there."""
    house = TokenHouse(replace(RULES, max_age_s=max_age_s))
    header, _, signature = token().decode().split(".")
    copy = ".".join((header, part(claims(exp=1000)), signature))
    explain = ExplainTokens(house.keys, house.tokens if serving else None)
    await JWTVerbs(house.manage, explain, None).revoke_token(token=copy)
    house.later(250)  # the token itself is good for some more
    await house.manage.load()  # as a restart does, and whoever follows the same books
    assert await reason(house, token()) == "jwt-revoked"
    (kept,) = house.manage.all()
    assert kept.expires_s == (None if max_age_s is None else NOW_S + max_age_s + 60 + 300)


async def test_a_copy_with_a_shorter_time_does_not_let_the_token_itself_come_back() -> None:
    """Two that the issuer signed may share a `jti`: the later end stands."""
    house = TokenHouse()
    for exp in (NOW_S - 10_000, NOW_S + 300, NOW_S):
        await verbs(house).revoke_token(token=token(claims(exp=exp)).decode())
    await house.manage.load()
    assert [one.expires_s for one in house.manage.all()] == [NOW_S + 300 + 60 + 300]
    assert await reason(house, token()) == "jwt-revoked"
    await house.manage.revoke("main", jti="token-1")
    await house.manage.revoke_token(token().decode())
    (kept,) = house.manage.all()
    assert kept.expires_s is None


@pytest.mark.parametrize("exp", [-1, -(2**53), 2**33 + 1, 2**53 - 1, 10**18, True, "soon", [], None])
async def test_a_time_that_is_none_is_not_taken_from_a_token_that_is_revoked(exp: object) -> None:
    house = TokenHouse()
    await verbs(house).revoke_token(token=token(claims(exp=exp)).decode())
    (kept,) = house.manage.all()
    assert kept.expires_s is None
    assert await verbs(house).list()


@pytest.mark.parametrize("way", ["one", "itself", "all"])
async def test_a_credential_in_the_reason_is_cut_and_the_revocation_stands(way: str) -> None:
    """The log cannot forget: what somebody pastes into a reason in a hurry would be read there for good."""
    house = TokenHouse()
    key = await house.keys.create(NewKey("ann"))
    why = f"{key.text} and {token().decode()} were in a repository"
    if way == "one":
        await verbs(house).revoke("main", jti="token-1", reason=why)
    elif way == "itself":
        await verbs(house).revoke_token(token().decode(), why)
    else:
        await verbs(house).revoke_all(why)
    _, _, fields = (await house.logged())[-1]
    assert fields["reason"] == "msk… and eyJ… were in a repository"
    assert await reason(house, token()) == "jwt-revoked"


async def test_reading_anew_does_not_undo_a_revocation_that_is_made_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    house = TokenHouse()
    read, stored = asyncio.Event(), house.books.revocations

    async def slow() -> list[Revocation]:
        found = await stored()
        monkeypatch.undo()
        await read.wait()
        return found

    monkeypatch.setattr(house.books, "revocations", slow)
    loading = asyncio.create_task(house.manage.load())
    await asyncio.sleep(0)
    revoking = asyncio.create_task(house.manage.revoke("main", jti="token-1"))
    await asyncio.sleep(0)
    read.set()
    await asyncio.gather(loading, revoking)
    assert await reason(house, token()) == "jwt-revoked"


async def test_another_process_reads_what_was_revoked() -> None:
    house, other = TokenHouse(), TokenHouse()
    other.books = house.books
    other.manage._books = house.books
    await other.by(token())
    await house.manage.revoke("main", jti="token-1")
    await other.manage.load()
    assert await reason(other, token()) == "jwt-revoked"


@pytest.mark.parametrize("who", ["nobody", "jwt/nobody/alice", "", "jwt/main", "jwt/main/", "jwt/"])
async def test_only_what_is_configured_can_be_revoked(who: str) -> None:
    house = TokenHouse()
    with pytest.raises((NotFoundError, BadRequestError)):
        await house.manage.revoke(who)
    assert house.manage.all() == []
