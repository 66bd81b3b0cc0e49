"""LiteLLM's keys: taken with what bounds them, never with more rights, never in clear."""

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.services.key_house import KeyHouse

from macroslow.errors import BadRequestError
from macroslow.services.identity.authenticate import Credentials
from macroslow.services.identity.key_verbs import KeyVerbs
from macroslow.services.litellm.import_litellm_keys import KeyRow, read_keys

TOKEN = hashlib.sha256(b"sk-agent-7").hexdigest()
HEADER = "token,key_alias,models,user_id,team_id,max_budget,budget_duration,spend,rpm_limit,expires,blocked\n"


def one(**members: object) -> KeyRow:
    (row,) = read_keys(json.dumps([{"token": TOKEN, **members}]))
    return row


def test_json_csv_and_an_object_around_a_list_say_the_same() -> None:
    members = {"key_alias": "laptop", "user_id": "ann", "team_id": "lab", "max_budget": 5, "spend": 1.5}
    listed = read_keys(json.dumps([{"token": TOKEN, **members}]))
    wrapped = read_keys(json.dumps({"keys": [{"token": TOKEN, **members}]}))
    table = read_keys(HEADER + f"{TOKEN},laptop,{{}},ann,lab,5,,1.5,,,f\n")
    assert listed == wrapped == table
    assert listed[0].adopt == {
        "digest": TOKEN,
        "principal": "ann",
        "team": "lab",
        "note": "laptop",
        "revoked": False,
        "budget_usd_micros": 3_500_000,
    }


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"max_budget": 5, "budget_duration": "1d", "spend": 4}, {"day_usd_micros": 5_000_000}),
        ({"max_budget": 5, "budget_duration": "30d"}, {"month_usd_micros": 5_000_000}),
        ({"max_budget": 5, "budget_duration": "7d", "spend": 4}, {"budget_usd_micros": 1_000_000}),
        ({"max_budget": 5, "spend": 9}, {"budget_usd_micros": 0}),
        ({"max_budget": 0.0000019}, {"budget_usd_micros": 1}),
        ({"rpm_limit": 60}, {"requests_per_minute": 60}),
        ({"blocked": True}, {"revoked": True}),
        ({"blocked": "t"}, {"revoked": True}),
        ({"blocked": "perhaps"}, {"revoked": True}),
        ({"expires": "2030-01-01T00:00:00Z"}, {"expires_ns": 1893456000 * 10**9}),
        ({"expires": "2030-01-01 00:00:00"}, {"expires_ns": 1893456000 * 10**9}),
        ({"expires": "1960-01-01T00:00:00Z"}, {"expires_ns": 0}),
    ],
)
def test_every_bound_is_carried(members: dict, expected: dict) -> None:
    adopt = one(**members).adopt
    assert adopt is not None
    assert expected.items() <= adopt.items()


@pytest.mark.parametrize(
    "members",
    [
        {"token": "sk-canary"}, {"token": TOKEN.upper()}, {"token": ""}, {"token": None},
        {"token": TOKEN + "\n0"},
        {"max_budget": "much"}, {"max_budget": "NaN"}, {"max_budget": True}, {"max_budget": []},
        {"rpm_limit": 0}, {"rpm_limit": -1}, {"expires": "soon"}, {"max_budget": 5, "spend": "Infinity"},
    ],
    ids=repr,
)  # fmt: skip
def test_a_key_whose_bounds_cannot_be_read_is_not_taken(members: dict) -> None:
    row = one(**members)
    assert row.adopt is None
    assert row.notes
    assert "canary" not in repr(row)


@pytest.mark.parametrize(
    "members",
    [
        {"models": ["gpt-4o"]}, {"models": "{gpt-4o}"}, {"models": '["gpt-4o"]'}, {"models": "gpt-4o"},
        {"allowed_routes": ["/chat"]}, {"model_max_budget": {"gpt-4o": 1}}, {"model_max_budget": '{"a": 1}'},
        {"object_permission_id": "p"}, {"models": "[broken"}, {"models": ["no-default-models"]},
    ],
    ids=repr,
)  # fmt: skip
def test_a_right_is_never_widened_in_silence(members: dict) -> None:
    assert one(**members).adopt is None
    (row,) = read_keys(json.dumps([{"token": TOKEN, **members}]), without_restrictions=True)
    assert row.adopt is not None
    assert "no longer in force" in row.notes[0]


@pytest.mark.parametrize("models", [[], None, "", "{}", "[]", ["all-proxy-models"], "{all-proxy-models}"])
def test_a_key_for_every_model_is_not_restricted(models: object) -> None:
    assert one(models=models, model_max_budget="{}", allowed_routes="{}").adopt is not None


@pytest.mark.parametrize(
    ("user", "alias", "principal"),
    [
        ("ann@example.com", "x", "ann@example.com"),
        ("default_user_id", "agent 7", "agent-7"),
        (None, None, "litellm-1"),
        ("operator", None, "litellm-operator"),
        ("sk-pasted", None, "litellm-sk-pasted"),
        ("\x1b[2J", None, "2J"),
        ("日本", "", "litellm-1"),
    ],
)
def test_everybody_has_a_name_that_can_be_one(user, alias, principal) -> None:
    adopt = one(user_id=user, key_alias=alias).adopt
    assert adopt is not None
    assert adopt["principal"] == principal


@pytest.mark.parametrize("member", ["tpm_limit", "max_parallel_requests", "budget_id", "organization_id"])
def test_what_has_no_counterpart_is_said(member: str) -> None:
    row = one(**{member: 5})
    assert row.adopt is not None
    assert row.notes[0].startswith(member)


@pytest.mark.parametrize(
    "text", ["", "[", "{}", "[1]", '{"a": 1}', "a,b\n1,2\n", "[" * 100_000, 'token\n"x', "null", "token"]
)
def test_what_is_no_table_of_keys_is_refused(text: str) -> None:
    with pytest.raises(BadRequestError):
        read_keys(text)


CELLS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=12),
    st.lists(st.text(max_size=4), max_size=2),
)
MEMBERS = st.dictionaries(
    st.sampled_from(["key_alias", "user_id", "team_id", "max_budget", "budget_duration", "spend", "rpm_limit",
                     "expires", "blocked", "models", "tpm_limit"]),
    CELLS,
)  # fmt: skip


@given(MEMBERS)
async def test_whatever_is_taken_the_gateway_takes(members: dict) -> None:
    row = one(**members)
    if row.adopt is None:
        assert row.notes
        return
    house = KeyHouse()
    answer = await KeyVerbs(house.keys).adopt(keys=[row.adopt])
    assert [told["outcome"] for told in answer["keys"]] == ["adopted"], answer  # type: ignore[index]


async def test_an_agent_goes_on_with_its_key() -> None:
    house = KeyHouse()
    adopt = one(user_id="ann", key_alias="agent-7", max_budget=5).adopt
    verbs = KeyVerbs(house.keys)
    answer = await verbs.adopt(keys=[adopt, adopt, {"digest": "x", "principal": "y"}, {"n": 1}])
    outcomes = [told["outcome"] for told in answer["keys"]]  # type: ignore[index]
    assert outcomes == ["adopted", "known", "refused", "refused"]
    assert (await house.authenticate(Credentials(bearer=b"sk-agent-7"))).name == "ann"
    (listed,) = (await verbs.list())["keys"]  # type: ignore[index]
    assert (listed["legacy"], listed["state"], listed["budget_usd_micros"]) == (True, "in force", 5_000_000)
