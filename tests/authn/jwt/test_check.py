"""The examination of a token: everything that must not pass, each at its own step, and what does."""

import base64
import itertools
import json
import re
from dataclasses import replace
from typing import Any

import jwt as pyjwt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.authn.jwt.tokens import (
    AUDIENCE,
    ISS,
    NOW_S,
    RULES,
    claims,
    ec_key,
    ed_key,
    jwk,
    jwks,
    part,
    pem,
    rsa_key,
    signature,
    token,
    usual_keys,
)

from macroslow.authn.jwt.check import Examination, Step, examine, subject_name
from macroslow.authn.jwt.issuer import ClaimMapping, IssuerRules
from macroslow.authn.jwt.keys import EMPTY, KeySet, OneSecret, read_key_set
from macroslow.authn.jwt.revoked import Revocation, Revocations
from macroslow.authn.terms import Terms
from macroslow.crypto import base64url
from macroslow.crypto.jose import Algorithm, SharedSecret

KEYS = usual_keys()
SECRET = bytes(range(32))
HMAC_RULES = replace(RULES, algorithms=frozenset({Algorithm.HS256}))


def examined(
    credential: bytes,
    rules: IssuerRules = RULES,
    keys: KeySet = KEYS,
    revoked: Revocations | None = None,
    now_s: int = NOW_S,
    *,
    whole: bool = True,
) -> Examination:
    return examine(
        credential, {rules.issuer: rules}, lambda _: keys, revoked or Revocations(), now_s, whole=whole
    )


def refused_at(credential: bytes, rules: IssuerRules = RULES, **more: Any) -> Step | None:
    found = examined(credential, rules, **more)
    assert examined(credential, rules, whole=False, **more).refused_at == found.refused_at
    assert (found.refused_at is None) == (found.identity is not None)
    return found.refused_at


# The algorithm (RFC 8725, sections 2.1 and 3.1)

NONES = ["".join(letters) for letters in itertools.product("nN", "oO", "nN", "eE")]


@pytest.mark.parametrize("name", [*NONES, "none ", "", "HS256 ", "rs256", "RS512", "ES256K", "EdDSA\u200b"])
def test_no_signature_and_no_unlisted_algorithm_is_taken(name: str) -> None:
    header = {"alg": name, "typ": "JWT", "kid": "ed"}
    for signed in ("", "AA", base64.urlsafe_b64encode(bytes(64)).rstrip(b"=").decode()):
        assert refused_at(f"{part(header)}.{part(claims())}.{signed}".encode()) is not None


@pytest.mark.parametrize("alg", [None, 1, True, ["EdDSA"], {"EdDSA": 1}])
def test_an_algorithm_that_is_no_text_is_refused(alg: object) -> None:
    assert refused_at(token(header={"alg": alg})) in {Step.FORM, Step.ALGORITHM}


def test_a_token_without_an_algorithm_is_refused() -> None:
    assert refused_at(token(header='{"typ":"JWT","kid":"ed"}')) is Step.ALGORITHM


@pytest.mark.parametrize("secret", ["pem", "pem-stripped", "modulus", "jwk"])
def test_a_public_key_is_no_secret_for_an_hmac(secret: str) -> None:
    """The confusion of RS256 and HS256, for every text of the key that a verifier might use."""
    public = jwk(rsa_key(), "rsa")
    forms = {
        "pem": pem(rsa_key()),
        "pem-stripped": pem(rsa_key()).strip(),
        "modulus": public["n"].encode(),
        "jwk": json.dumps(public).encode(),
    }
    forged = token(algorithm="HS256", key=forms[secret], kid="rsa")
    assert refused_at(forged) is Step.ALGORITHM
    both = replace(RULES, algorithms=RULES.algorithms | {Algorithm.HS256})
    assert refused_at(forged, both) is Step.KEY


def test_an_asymmetric_token_does_not_verify_where_a_secret_is_configured() -> None:
    both = replace(RULES, algorithms=RULES.algorithms | {Algorithm.HS256})
    keys = OneSecret(secret=SharedSecret(SECRET))
    assert refused_at(token(algorithm="HS256", key=SECRET), both, keys=keys) is None
    assert refused_at(token(), both, keys=keys) is Step.KEY


def test_a_key_of_another_algorithm_is_not_found_under_its_name() -> None:
    assert refused_at(token(algorithm="ES256", key=ec_key(), kid="rsa")) is Step.KEY
    assert refused_at(token(algorithm="RS256", key=rsa_key(), kid="ec")) is Step.KEY


def test_an_algorithm_that_the_issuer_does_not_use_is_refused_though_the_key_could() -> None:
    only = replace(RULES, algorithms=frozenset({Algorithm.ES256}))
    assert refused_at(token(), only) is Step.ALGORITHM


# The key (RFC 8725, section 3.10)

HOSTILE_KIDS = [
    "../../../dev/null",
    "/dev/null",
    "file:///etc/passwd",
    "https://attacker.example/jwks.json",
    "ed' OR '1'='1",
    "x' UNION SELECT 'key' --",
    "ed;ls",
    "$(id)",
    "ED",
    "ed/",
    "ed ",
]


@pytest.mark.parametrize("kid", HOSTILE_KIDS)
def test_a_key_id_is_a_name_to_look_up_and_nothing_else(kid: str) -> None:
    assert refused_at(token(kid=kid)) is Step.KEY


@pytest.mark.parametrize("kid", ["ed\x00", "ed\n", "", "é", "x" * 257])
def test_a_key_id_that_is_no_short_printable_name_is_refused(kid: str) -> None:
    assert refused_at(token(kid=kid)) is Step.FORM


@pytest.mark.parametrize("kid", [1, None, True, ["ed"], {"ed": 1}])
def test_a_key_id_that_is_no_text_is_refused(kid: object) -> None:
    assert refused_at(token(kid=None, header={"kid": kid})) is Step.FORM


@pytest.mark.parametrize("member", ["jwk", "jku", "x5u", "x5c"])
def test_a_key_that_comes_with_the_token_is_not_looked_at(member: str) -> None:
    own = ed_key("attacker's")
    value = {"jwk": jwk(own, "ed"), "x5c": ["MII"]}.get(member, "https://attacker.example/keys")
    assert refused_at(token(key=own, header={member: value})) is Step.SIGNATURE
    assert refused_at(token(header={member: value})) is None


def test_without_a_key_id_only_the_single_key_that_fits_is_tried() -> None:
    assert refused_at(token(kid=None)) is None
    two = read_key_set(jwks(jwk(ed_key(), "ed"), jwk(ed_key("second"), "other")))
    assert refused_at(token(kid=None), keys=two) is Step.KEY


def test_an_issuer_whose_keys_have_not_come_has_no_valid_tokens() -> None:
    assert refused_at(token(), keys=EMPTY) is Step.KEY


# The signature

WAYS = [
    ("RS256", rsa_key, "rsa"),
    ("PS256", rsa_key, "rsa"),
    ("ES256", ec_key, "ec"),
    ("EdDSA", ed_key, "ed"),
]


@pytest.mark.parametrize(("algorithm", "key", "kid"), WAYS, ids=[way[0] for way in WAYS])
def test_what_an_issuer_signs_is_taken_and_what_another_signs_is_not(
    algorithm: str, key: Any, kid: str
) -> None:
    assert refused_at(token(algorithm=algorithm, key=key(), kid=kid)) is None
    assert refused_at(token(algorithm=algorithm, key=key("attacker's"), kid=kid)) is Step.SIGNATURE


@pytest.mark.parametrize(("algorithm", "key", "kid"), WAYS, ids=[way[0] for way in WAYS])
def test_another_implementation_s_tokens_are_taken(algorithm: str, key: Any, kid: str) -> None:
    made = pyjwt.encode(claims(), key(), algorithm=algorithm, headers={"kid": kid})
    assert refused_at(made.encode()) is None


@pytest.mark.parametrize(("algorithm", "key", "kid"), WAYS, ids=[way[0] for way in WAYS])
@given(data=st.data())
def test_any_changed_bit_of_any_part_is_noticed(algorithm: str, key: Any, kid: str, data: Any) -> None:
    good = token(algorithm=algorithm, key=key(), kid=kid)
    at = data.draw(st.integers(0, len(good) - 1))
    bit = data.draw(st.integers(0, 7))
    changed = bytearray(good)
    changed[at] ^= 1 << bit
    assert refused_at(bytes(changed)) is not None


@pytest.mark.parametrize("signed", [bytes(64), bytes(63), bytes(65), b"", b"\xff" * 64])
def test_an_empty_ecdsa_signature_is_not_a_signature(signed: bytes) -> None:
    """CVE-2022-21449: r and s of zero."""
    message = token(algorithm="ES256", key=ec_key(), kid="ec").rpartition(b".")[0]
    assert refused_at(message + b"." + base64url.encode(signed).encode()) is Step.SIGNATURE


def test_a_signature_of_an_algorithm_does_not_count_for_another() -> None:
    header = part({"alg": "PS256", "kid": "rsa"})
    message = f"{header}.{part(claims())}".encode()
    signed = base64url.encode(signature("RS256", rsa_key(), message)).encode()
    assert refused_at(message + b"." + signed) is Step.SIGNATURE


# The form

DEEP = '{"iss":"https://id.example/","a":' + "[" * 100_000 + "]" * 100_000 + "}"


@pytest.mark.parametrize(
    "payload",
    [
        '{"iss":"https://id.example/","sub":"alice","sub":"root"}',
        '{"iss":"https://attacker.example/","iss":"https://id.example/"}',
        '{"a":{"b":1,"b":2}}',
        '{"exp":NaN}',
        '{"exp":Infinity}',
        "[]",
        "null",
        '"text"',
        "",
        "{",
        '{"a":"\\ud800"}',
        '{"a":[[[[[[[[[[1]]]]]]]]]]}',
        "\ufeff{}",
    ],
)
def test_claims_with_more_than_one_reading_are_refused(payload: str) -> None:
    assert refused_at(token(payload)) is Step.FORM


def test_a_header_with_a_member_twice_is_refused() -> None:
    assert refused_at(token(header='{"alg":"none","alg":"EdDSA","kid":"ed"}')) is Step.FORM


def test_a_huge_and_a_deeply_nested_token_are_refused_before_they_cost_anything() -> None:
    assert refused_at(token(DEEP)) is Step.FORM
    assert refused_at(token(claims(x="y" * 17_000))) is Step.FORM
    assert refused_at(token("[" * 6_000 + "]" * 6_000)) is Step.FORM
    assert refused_at(b"." * 16_000) is Step.FORM


def test_critical_extensions_are_refused() -> None:
    """RFC 7515, section 4.1.11; `b64` of RFC 7797 is one of them."""
    assert refused_at(token(header={"crit": ["exp"]})) is Step.FORM
    assert refused_at(token(header={"crit": ["b64"], "b64": False})) is Step.FORM
    assert refused_at(token(header={"crit": []})) is Step.FORM


@pytest.mark.parametrize("shape", ["{0}.{1}", "{0}.{1}.{2}.", ".{0}.{1}.{2}", "{0}.{1}.{2}.A.A", "{0}..{2}"])
def test_anything_but_three_parts_is_refused(shape: str) -> None:
    parts = token().decode().split(".")
    assert refused_at(shape.format(*parts).encode()) is Step.FORM


@pytest.mark.parametrize("spoilt", ["=", " ", "\n", "+", "/", "\x00", "é"])
def test_a_part_with_another_form_of_base64_is_refused(spoilt: str) -> None:
    assert refused_at(token() + spoilt.encode()) is Step.FORM


def test_unused_bits_of_the_last_character_are_not_free() -> None:
    """64 octets leave four bits: sixteen texts would stand for one signature."""
    good = token().decode()
    others = [good[:-1] + last for last in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"]
    assert [each for each in others if refused_at(each.encode()) is None] == [good]


@given(st.binary(max_size=300))
def test_no_bytes_whatever_raise_anything(credential: bytes) -> None:
    assert examined(credential).identity is None
    assert examined(b"eyJhbGciOiJFZERTQSJ9." + credential + b".AA").identity is None


# Times

BAD_TIMES = ["1900000300", 1900000300.0, 1900000300.5, -1, True, [], {}, None, 2**53, 10**30]


@pytest.mark.parametrize("value", BAD_TIMES, ids=[f"{n}-{type(v).__name__}" for n, v in enumerate(BAD_TIMES)])
@pytest.mark.parametrize(
    ("claim", "step"), [("exp", Step.EXPIRY), ("nbf", Step.NOT_BEFORE), ("iat", Step.ISSUED)]
)
def test_a_time_that_is_no_whole_number_of_seconds_is_refused(claim: str, step: Step, value: object) -> None:
    payload = json.dumps(claims() | {claim: value})
    assert refused_at(token(payload)) is step


@pytest.mark.parametrize("written", ["1e400", "-1e400", "1.9e9", "0x71", "01900000300"])
@pytest.mark.parametrize("claim", ["exp", "nbf", "iat"])
def test_a_time_in_another_notation_is_refused(claim: str, written: str) -> None:
    payload = json.dumps(claims(**{claim: "HERE"})).replace('"HERE"', written)
    assert refused_at(token(payload)) is not None


def test_a_token_without_an_expiry_is_refused() -> None:
    assert refused_at(token(claims(exp=None))) is Step.EXPIRY


@given(st.integers(-200, 200), st.integers(0, 100))
def test_times_are_held_with_the_leeway_and_not_a_second_more(ahead_s: int, leeway_s: int) -> None:
    rules = replace(RULES, leeway_s=leeway_s)
    at_s = NOW_S + ahead_s
    assert (refused_at(token(claims(exp=at_s)), rules) is None) == (ahead_s + leeway_s > 0)
    early = (ahead_s > leeway_s,)
    assert (refused_at(token(claims(nbf=at_s)), rules) is Step.NOT_BEFORE,) == early
    assert (refused_at(token(claims(iat=at_s)), rules) is Step.ISSUED,) == early


@pytest.mark.parametrize(
    ("ahead_s", "seen"),
    [(10, "in 10 s"), (-10, "10 s ago, within leeway of 60 s"), (-60, "60 s ago")],
)
def test_of_an_expired_token_that_still_counts_the_leeway_is_told(ahead_s: int, seen: str) -> None:
    examination = examined(token(claims(exp=NOW_S + ahead_s)), replace(RULES, leeway_s=60))
    assert [found.seen for found in examination.findings if found.step is Step.EXPIRY] == [seen]


def test_an_old_token_is_refused_where_the_operator_bounds_its_age() -> None:
    rules = replace(RULES, max_age_s=600, leeway_s=0)
    assert refused_at(token(claims(iat=NOW_S - 600)), rules) is None
    assert refused_at(token(claims(iat=NOW_S - 601)), rules) is Step.ISSUED
    assert refused_at(token(claims(iat=None)), rules) is Step.ISSUED


# Whose it is and for whom

WRONG_ISSUERS = [
    "https://id.example",
    "https://id.example//",
    "HTTPS://id.example/",
    "https://id.example/ ",
    "https://attacker.example/",
    "",
    None,
    1,
    [ISS],
    {"iss": ISS},
]


@pytest.mark.parametrize("iss", WRONG_ISSUERS, ids=range(len(WRONG_ISSUERS)))
def test_the_issuer_is_compared_to_the_letter(iss: object) -> None:
    assert refused_at(token(claims(iss=iss))) is Step.ISSUER


def test_an_issuer_cannot_speak_for_another() -> None:
    """Each has its own keys: a key of one does not verify for the other, under whatever key id."""
    other = replace(RULES, name="other", issuer="https://other.example/")
    keys = {"main": KEYS, "other": read_key_set(jwks(jwk(ed_key("other"), "ed")))}
    issuers = {ISS: RULES, other.issuer: other}
    forged = token(claims(iss=ISS), key=ed_key("other"))
    assert examine(forged, issuers, keys.__getitem__, Revocations(), NOW_S).refused_at is Step.SIGNATURE
    own = token(claims(iss=other.issuer), key=ed_key("other"))
    assert examine(own, issuers, keys.__getitem__, Revocations(), NOW_S).refused_at is None


@pytest.mark.parametrize(
    "aud", [None, "", "https://gateway.example/", AUDIENCE.upper(), [], [[AUDIENCE]], {AUDIENCE: 1}, 1, ["x"]]
)
def test_a_token_for_somebody_else_is_refused(aud: object) -> None:
    """CVE-2025-69196: a token for server A is refused at B (RFC 8707)."""
    assert refused_at(token(json.dumps(claims() | {"aud": aud}))) is Step.AUDIENCE


def test_an_audience_may_be_one_of_several() -> None:
    assert refused_at(token(claims(aud=["other", AUDIENCE]))) is None


def test_a_client_is_checked_where_clients_are_named() -> None:
    rules = replace(RULES, audiences=frozenset(), client_ids=frozenset({"agents"}))
    assert refused_at(token(claims(client_id="agents")), rules) is None
    assert refused_at(token(claims(azp="agents")), rules) is None
    assert refused_at(token(claims(client_id="other", azp="agents")), rules) is Step.CLIENT
    assert refused_at(token(claims()), rules) is Step.CLIENT
    assert refused_at(token(claims(client_id=["agents"])), rules) is Step.CLIENT


def test_an_issuer_without_audiences_or_clients_is_no_rule() -> None:
    with pytest.raises(ValueError, match="whose tokens"):
        IssuerRules(name="main", issuer=ISS)


def test_required_claims_must_have_one_of_their_values() -> None:
    rules = replace(RULES, required=((("token_use",), frozenset({"access"})),))
    assert refused_at(token(claims(token_use="access")), rules) is None
    for other in ("id", None, ["id"], 1, {"access": 1}, "accessory"):
        assert refused_at(token(claims(token_use=other)), rules) is Step.CLAIMS


def test_a_truth_value_can_be_required() -> None:
    rules = replace(RULES, required=((("email_verified",), frozenset({"true"})),))
    assert refused_at(token(claims(email_verified=True)), rules) is None
    assert refused_at(token(claims(email_verified=False)), rules) is Step.CLAIMS


def test_a_token_of_another_type_is_refused() -> None:
    """RFC 8725, section 3.11; RFC 9068, section 4: an access token and nothing that looks like one."""
    strict = replace(RULES, types=frozenset({"at+jwt", "application/at+jwt"}))
    assert refused_at(token(header={"typ": "at+JWT"}), strict) is None
    assert refused_at(token(header={"typ": "application/at+jwt"}), strict) is None
    assert refused_at(token(), strict) is Step.TYPE
    for other in ("logout+jwt", "secevent+jwt", "dpop+jwt", "JOSE"):
        assert refused_at(token(header={"typ": other})) is Step.TYPE


# Who it is

BAD_SUBJECTS = [None, "", 1, ["alice"], {"a": 1}, True, "x" * 101, "é" * 17]


@pytest.mark.parametrize("sub", BAD_SUBJECTS, ids=range(len(BAD_SUBJECTS)))
def test_a_subject_that_is_no_name_is_refused(sub: object) -> None:
    assert refused_at(token(claims(sub=sub))) is Step.SUBJECT


@given(st.text(min_size=1, max_size=30), st.text(min_size=1, max_size=30))
def test_two_subjects_never_have_one_name(one: str, two: str) -> None:
    try:
        names = subject_name(one), subject_name(two)
    except UnicodeEncodeError:  # half of a surrogate pair: no token that was read has one
        return
    assert (names[0] == names[1]) == (one == two)
    assert re.fullmatch(r"[A-Za-z0-9._@+-]+", names[0])


def test_a_subject_cannot_pass_for_one_of_another_issuer() -> None:
    found = examined(token(claims(sub="../other/root")))
    assert found.identity is not None
    assert found.identity.name == "jwt/main/..+2Fother+2Froot"


def test_common_subjects_are_readable_names() -> None:
    assert subject_name("auth0|5f7c8ec7c33c6c004bbafe82") == "auth0+7C5f7c8ec7c33c6c004bbafe82"
    assert subject_name("a1b2@clients") == "a1b2@clients"


# What it may do

MAPPING = ClaimMapping(
    values=(("scope",), ("realm_access", "roles"), ("https://example.com/roles",)),
    scopes={"agents": ("inference:chat", "mcp:connect"), "auditors": ("audit:read",)},
    pass_scopes=frozenset({"usage:read"}),
    grants={"agents": ("gateway://*",)},
    terms=Terms(scopes=frozenset({"runs:read"}), grants=("api://weather",), team="all"),
)
MAPPED = replace(RULES, mapping=MAPPING)


def scopes_of(**said: Any) -> set[str]:
    found = examined(token(claims(**{"scope": None} | said)), MAPPED)
    assert found.identity is not None, found
    return set(found.identity.scopes)


@pytest.mark.parametrize("roles", [["agents", "x"], "agents x", "x,agents", "x, agents", ["x", "agents"]])
def test_values_come_as_lists_and_as_joined_text(roles: object) -> None:
    assert scopes_of(scope=roles) == {"runs:read", "inference:chat", "mcp:connect"}
    assert scopes_of(realm_access={"roles": roles}) == {"runs:read", "inference:chat", "mcp:connect"}
    assert scopes_of(**{"https://example.com/roles": roles}) == {"runs:read", "inference:chat", "mcp:connect"}


def test_a_caller_writes_no_scopes_of_its_own() -> None:
    """CVE-2026-47102: only what the operator mapped counts, whatever else the token says."""
    own = {
        "scopes": ["audit:read"],
        "role": "admin",
        "roles": ["auditors"],
        "grants": ["gateway://*"],
        "permissions": ["audit:read"],
        "https": {"//example": {"com/roles": "auditors"}},
        "realm_access.roles": ["auditors"],
        "terms": {"scopes": ["audit:read"]},
    }
    assert scopes_of(scope="audit:read operations:read", **own) == {"runs:read"}


def test_a_scope_of_ours_passes_only_where_the_operator_lets_it() -> None:
    assert scopes_of(scope="usage:read audit:read") == {"runs:read", "usage:read"}


def test_a_list_s_element_is_not_split() -> None:
    assert scopes_of(scope=["usage:read auditors"]) == {"runs:read"}


@pytest.mark.parametrize("value", [1, True, {"a": 1}, ["agents", 1], [["agents"]], ["x"] * 1001])
def test_a_claim_of_another_form_is_refused_rather_than_ignored(value: object) -> None:
    assert refused_at(token(claims(scope=value)), MAPPED) is Step.RIGHTS


def test_grants_and_team_are_mapped_too() -> None:
    rules = replace(MAPPED, mapping=replace(MAPPING, team=("https://example.com/team",)))
    found = examined(token(claims(scope="agents", **{"https://example.com/team": "red"})), rules)
    assert found.identity is not None
    assert found.identity.grants == ("api://weather", "gateway://*")
    assert found.identity.team == "red"
    for team in (None, "", "a b", ["red"], "x" * 200):
        assert refused_at(token(claims(**{"https://example.com/team": team})), rules) is Step.TEAM


# Revocation


def test_a_revoked_token_is_refused_and_its_neighbour_is_not() -> None:
    revoked = Revocations([Revocation("main", jti="token-1")])
    assert refused_at(token(), revoked=revoked) is Step.REVOKED
    assert refused_at(token(claims(jti="token-10")), revoked=revoked) is None
    assert refused_at(token(claims(jti=None)), revoked=revoked) is None


def test_all_that_an_issuer_gave_before_an_instant_is_refused() -> None:
    for revocation in (
        Revocation("main", before_s=NOW_S - 10),
        Revocation("main", subject="alice", before_s=NOW_S - 10),
    ):
        revoked = Revocations([revocation])
        assert refused_at(token(claims(iat=NOW_S - 11)), revoked=revoked) is Step.REVOKED
        assert refused_at(token(claims(iat=NOW_S - 10)), revoked=revoked) is None
        assert refused_at(token(claims(iat=None)), revoked=revoked) is Step.REVOKED


def test_a_revocation_is_of_its_issuer_and_subject_alone() -> None:
    revoked = Revocations(
        [Revocation("other", before_s=NOW_S), Revocation("main", subject="bob", before_s=NOW_S)]
    )
    assert refused_at(token(), revoked=revoked) is None


@pytest.mark.parametrize("jti", [1, None, True, ["token-1"], "x" * 257])
def test_a_token_whose_id_no_revocation_could_name_could_not_be_revoked_and_is_refused(jti: object) -> None:
    assert refused_at(token(json.dumps(claims() | {"jti": jti}))) is Step.REVOKED


# What is shown of it


def test_every_step_is_told_and_nothing_that_a_terminal_would_obey() -> None:
    hostile = "\x1b[2J\x07\u202e" + "x" * 500
    found = examined(token(claims(sub=hostile, aud=hostile, iss=ISS)))
    told = "".join(finding.seen + finding.wanted for finding in found.findings)
    assert all(character.isprintable() for character in told)
    assert "\u202e" not in told
    assert max(len(finding.seen) for finding in found.findings) < 300
    assert [finding.step for finding in found.findings][:6] == [*Step][:6]


def test_an_hmac_needs_a_secret_of_256_bits() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        SharedSecret(bytes(31))
    keys = OneSecret(secret=SharedSecret(SECRET))
    assert refused_at(token(algorithm="HS256", key=SECRET, kid=None), HMAC_RULES, keys=keys) is None
    assert refused_at(token(algorithm="HS256", key=bytes(32)), HMAC_RULES, keys=keys) is Step.SIGNATURE
