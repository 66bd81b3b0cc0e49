"""A key and a token together: what is left of the rights of each."""

from dataclasses import fields

from hypothesis import given
from hypothesis import strategies as st

from macroslow.authn.principal import Principal, together
from macroslow.authn.terms import Terms

TERMS = st.fixed_dictionaries(
    {
        "scopes": st.frozensets(st.sampled_from("abcd")),
        "grants": st.lists(st.sampled_from(["gateway://*", "api://a*"])).map(tuple),
        "team": st.sampled_from(["", "red", "blue"]),
        "weight": st.integers(1, 9),
        "expires_ns": st.none() | st.integers(1, 9),
        "requests_per_minute": st.none() | st.integers(1, 9),
        "day_usd_micros": st.none() | st.integers(1, 9),
    }
)


@given(TERMS, TERMS)
def test_together_they_may_no_more_than_either_alone(
    of_key: dict[str, object], of_token: dict[str, object]
) -> None:
    key = Principal("bot", "key/1", "1", **of_key)  # type: ignore[arg-type]
    token = Principal("jwt/main/alice", "jwt/main/alice", **of_token)  # type: ignore[arg-type]
    both = together(key, token)
    assert both.scopes == key.scopes & token.scopes
    assert both.credentials() == (key, token)
    assert both.weight <= min(key.weight, token.weight)
    for each in (key, token):
        assert each.expires_ns is None or (both.expires_ns or 99) <= each.expires_ns
    assert not both.grants  # each credential is asked for itself


def test_the_token_acts_and_the_key_pays_for_its_own_team() -> None:
    key = Principal("bot", "key/1", "1", team="red")
    token = Principal("jwt/main/alice", "jwt/main/alice", team="blue")
    both = together(key, token)
    assert (both.name, both.account, both.key_id, both.team) == ("jwt/main/alice", "key/1", "1", "red")
    assert together(Principal("bot", "key/1", "1"), token).team == "blue"


def test_alone_a_credential_is_the_only_one() -> None:
    key = Principal("bot", "key/1", "1")
    assert key.credentials() == (key,)


def test_no_term_is_added_without_a_thought_of_what_two_of_it_are() -> None:
    """A term that bounds is read of each credential; those here are the ones that `together` joins."""
    joined = {"scopes", "team", "weight", "expires_ns"}
    of_each = {
        "grants",
        "addresses",
        "requests_per_minute",
        "concurrent_requests",
        "day_usd_micros",
        "month_usd_micros",
    }
    assert {field.name for field in fields(Terms)} == joined | of_each
