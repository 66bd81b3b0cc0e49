"""What is wrong with a wished key, in words that its reader can act on, and never with a secret in them."""

from dataclasses import replace
from typing import Any

import pytest
from tests.services.key_house import PEPPER, START_NS

from macroslow.authn.ports import KeyRecord
from macroslow.authn.terms import terms_of
from macroslow.authz import scopes
from macroslow.ports import DAY_NS
from macroslow.services.identity.wished_keys import NewKey, faults_of, faults_of_made

KEY = f"msk_000000000001_{'0' * 49}"
MAKER = KeyRecord(
    "boss",
    "lab",
    PEPPER,
    START_NS,
    scopes=frozenset({scopes.ADMIN_KEYS, scopes.INFERENCE_CHAT}),
    grants=("api://a/**",),
    addresses=("10.0.0.0/8",),
    team="lab",
    requests_per_minute=10,
    concurrent_requests=2,
    day_usd_micros=2_000_000,
    month_usd_micros=20_500_000,
    expires_ns=START_NS + DAY_NS,
)


def made(**other: Any) -> NewKey:
    """A key that the maker may make, but for what is other."""
    return NewKey("lab", **{**terms_of(MAKER), "scopes": frozenset({scopes.INFERENCE_CHAT}), **other})


@pytest.mark.parametrize(
    ("other", "told"),
    [
        (
            {"scopes": frozenset({scopes.INFERENCE_CHAT, scopes.RUNS_READ})},
            "asked for runs:read; the key that makes it has admin:keys, inference:chat",
        ),
        (
            {"grants": ("api://a/b", "api://b")},
            "asked for api://b; the key that makes it has api://a/**",
        ),
        ({"addresses": ()}, "asked for every address; the key that makes it has 10.0.0.0/8"),
        ({"team": ""}, "asked for no team; the key that makes it has team lab"),
        ({"weight": 2}, "asked for weight 2; the key that makes it has weight 1"),
        (
            {"requests_per_minute": None},
            "asked for no bound; the key that makes it has 10 requests a minute",
        ),
        (
            {"concurrent_requests": 3},
            "asked for 3 requests at once; the key that makes it has 2 requests at once",
        ),
        ({"day_usd_micros": 3_000_000}, "asked for $3.00 a day; the key that makes it has $2.00 a day"),
        ({"month_usd_micros": None}, "asked for no bound; the key that makes it has $20.50 a month"),
        (
            {"expires_ns": START_NS + 2 * DAY_NS},
            "asked for an end on 2023-11-16 22:13 UTC;"
            " the key that makes it has an end on 2023-11-15 22:13 UTC",
        ),
        ({"expires_ns": None}, "asked for no end; the key that makes it has an end on 2023-11-15 22:13 UTC"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_who_asks_a_key_for_more_than_it_may_give_is_told_what_it_has(
    other: dict[str, Any], told: str
) -> None:
    (fault,) = faults_of_made(made(**other), MAKER)
    assert (fault.field, fault.message) == (*other, told)


def test_what_a_key_may_give_is_no_fault() -> None:
    assert faults_of_made(made(), MAKER) == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("principal", KEY),
        ("principal", "team/sk-proj-0123456789ab"),
        ("team", KEY),
        ("team", "sk-0123"),
        ("note", f"the key of ann is {KEY}"),
        ("note", "AKIA0123456789ABCDEF"),
        ("grants", (f"api://x/{KEY}",)),
        ("addresses", (KEY,)),
        ("scopes", frozenset({KEY})),
    ],
)
def test_a_key_in_place_of_a_word_is_refused_and_not_repeated(field: str, value: Any) -> None:
    faults = faults_of(replace(NewKey("ann"), **{field: value}), START_NS)
    assert {fault.field for fault in faults} == {field}
    told = " ".join(f"{fault.message} {fault.fix}" for fault in faults)
    assert "0" * 9 not in told
    assert "01234" not in told


@pytest.mark.parametrize(
    ("wished", "faulty"),
    [
        ({scopes.ADMIN_AUDIT, scopes.INFERENCE_CHAT}, True),
        ({scopes.ADMIN_AUDIT, scopes.ADMIN_USAGE}, False),
        ({scopes.ADMIN_KEYS, scopes.INFERENCE_CHAT}, False),
        ({scopes.RUNS_READ, scopes.INFERENCE_CHAT}, False),
    ],
)
def test_a_clients_scope_that_would_open_nothing_is_said_so(wished: set[str], faulty: bool) -> None:
    faults = faults_of(NewKey("ann", scopes=frozenset(wished)), START_NS)
    assert [(fault.field, "inference:chat would open nothing" in fault.message) for fault in faults] == (
        [("scopes", True)] if faulty else []
    )


@pytest.mark.parametrize("name", ["erased-3a4c66e0", "Erased-x", "erased-"])
def test_nobody_is_given_the_name_of_who_was_erased(name: str) -> None:
    """Else the records that stand under a pseudonym would be taken for the key's."""
    assert [(one.field, "were erased" in one.message) for one in faults_of(NewKey(name), START_NS)] == [
        ("principal", True)
    ]


def test_a_name_that_only_resembles_a_pseudonym_is_free() -> None:
    assert not faults_of(NewKey("erasedly"), START_NS)
