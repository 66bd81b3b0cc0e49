"""Three parties, each asked about the same concrete URI."""

from itertools import product

import pytest

from macroslow.authn.principal import Principal, TokenPrincipal, together
from macroslow.authz.decision import Party, decide, require_scope
from macroslow.authz.uri import URI, Pattern
from macroslow.errors import MissingScopeError

URI_ASKED = URI.parse("api://openai")
COVERING = (Pattern.parse("api://open*"),)
OTHER = (Pattern.parse("api://anthropic"),)


@pytest.mark.parametrize(("document", "caller", "operator"), list(product([COVERING, OTHER, ()], repeat=3)))
def test_all_three_must_cover_and_the_first_that_does_not_is_named(
    document: tuple[Pattern, ...], caller: tuple[Pattern, ...], operator: tuple[Pattern, ...]
) -> None:
    decision = decide(URI_ASKED, document=document, callers=[caller], operator=operator)
    lacking = [
        party
        for party, patterns in zip(Party, (document, caller, operator), strict=True)
        if patterns != COVERING
    ]
    assert decision.missing == (lacking[0] if lacking else None)
    assert decision.allowed is not bool(lacking)
    assert "api://openai" in decision.reason


def test_patterns_are_not_intersected_with_each_other() -> None:
    # `a*` and `*z` have common members; only those are allowed, and no pattern is computed from both.
    document, caller = (Pattern.parse("api://a*"),), (Pattern.parse("api://*z"),)
    operator = (Pattern.parse("api://*"),)
    assert decide(URI.parse("api://abz"), document=document, callers=[caller], operator=operator).allowed
    assert not decide(URI.parse("api://ab"), document=document, callers=[caller], operator=operator).allowed


def test_each_credential_of_the_caller_must_cover_the_uri() -> None:
    """Two credentials are two lists, asked one after the other: `a*` and `*z` make no third list."""
    document = operator = (Pattern.parse("api://*"),)
    callers = [(Pattern.parse("api://a*"),), (Pattern.parse("api://*z"),)]
    assert decide(URI.parse("api://abz"), document=document, callers=callers, operator=operator).allowed
    for name in ("ab", "bz", "b"):
        decision = decide(URI.parse(f"api://{name}"), document=document, callers=callers, operator=operator)
        assert decision.missing is Party.CALLER
    without = decide(URI.parse("api://az"), document=document, callers=[callers[0], ()], operator=operator)
    assert without.missing is Party.CALLER


# Scopes

BOTH = frozenset({"usage:read", "inference:chat"})
READS = frozenset({"usage:read"})
MAKE_A_KEY = "macroslow keys create NAME --scope inference:chat"
MAP_A_WORD = '[auth.issuers.main] scopes = { "WORD" = ["inference:chat"] }'


def key(scopes: frozenset[str]) -> Principal:
    return Principal("ann", "key/1", "1", scopes=scopes)


def token(scopes: frozenset[str]) -> TokenPrincipal:
    return TokenPrincipal("jwt/main/ann", "jwt/main/ann", issuer="main", subject="ann", scopes=scopes)


@pytest.mark.parametrize(
    ("caller", "who", "repairs"),
    [
        (key(READS), "the key lacks", [MAKE_A_KEY]),
        (token(READS), "the token lacks", [MAP_A_WORD]),
        (together(key(READS), token(BOTH)), "the key lacks", [MAKE_A_KEY]),
        (together(key(BOTH), token(READS)), "the token lacks", [MAP_A_WORD]),
        (together(key(READS), token(READS)), "the key and the token lack", [MAKE_A_KEY, MAP_A_WORD]),
    ],
    ids=range(5),
)
def test_whoever_lacks_a_scope_is_told_of_the_credential_that_does_and_of_its_repair(
    caller: Principal, who: str, repairs: list[str]
) -> None:
    require_scope(caller, "usage:read")
    with pytest.raises(MissingScopeError) as caught:
        require_scope(caller, "inference:chat")
    assert caught.value.detail == f"{who} the scope inference:chat"
    assert [each for each in (MAKE_A_KEY, MAP_A_WORD) if each in caught.value.fix] == repairs
    assert caught.value.scope == "inference:chat"
