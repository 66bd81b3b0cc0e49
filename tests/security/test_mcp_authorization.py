"""Who gets into /mcp, and what those are told who do not (N1 to N7 of the list of negative tests)."""

import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.authn.jwt.tokens import ISS, NOW_S, claims, ed_key, pem, rsa_key, token
from tests.security.mcp_house import ERAS, METADATA, RESOURCE, MCPHouse, mcp_house, message
from tests.web.fakes import Answer, build

from macroslow.authn.api_keys import SecretHasher
from macroslow.authn.jwt import check
from macroslow.authz import scopes
from macroslow.services.identity.manage_keys import NewKey
from macroslow.web.problems import BEARER
from macroslow.web.protected_resource import ProtectedResource

GOOD = {"aud": RESOURCE, "scope": "mcp:connect documents:validate"}
REALM = BEARER.decode()
ASK = f', scope="mcp:connect", resource_metadata="{METADATA}"'
INVALID = f'{REALM}, error="invalid_token"{ASK}'


@pytest.fixture
async def mcp() -> AsyncIterator[MCPHouse]:
    async with mcp_house() as made:
        yield made


def refused(answer: Answer, challenge: str = INVALID) -> None:
    """A 401 that says where to get a token and nothing of this one; the body was not read."""
    assert answer.status == 401
    assert answer.headers["www-authenticate"] == challenge
    assert answer.body_reads == 0
    assert answer.json["error"]["code"] == -32600
    assert answer.json["id"] is None


# N1


ELSEWHERE = {
    "another resource": {**GOOD, "aud": "https://other.example/mcp"},
    "none": {**GOOD, "aud": None},
    "an empty list": {**GOOD, "aud": []},
    "an upstream's": {**GOOD, "aud": "https://api.openai.com"},
    "several others": {**GOOD, "aud": ["https://a.example", "https://b.example"]},
    "a slash more": {**GOOD, "aud": RESOURCE + "/"},
    "the host alone": {**GOOD, "aud": "https://gateway.example"},
    "another case": {**GOOD, "aud": RESOURCE.upper()},
    "as a scope": {**GOOD, "aud": None, "scope": f"{GOOD['scope']} {RESOURCE}"},
}


async def test_n1_a_token_for_this_resource_is_let_in(mcp: MCPHouse) -> None:
    answer = await mcp.by_token(token(claims(**GOOD)))
    assert answer.status == 200
    assert [tool["name"] for tool in answer.json["result"]["tools"]] != []


@pytest.mark.parametrize("changed", ELSEWHERE.values(), ids=ELSEWHERE)
async def test_n1_a_token_for_anybody_else_is_refused(changed: dict[str, Any], mcp: MCPHouse) -> None:
    refused(await mcp.by_token(token(claims(**changed))))


async def test_n1_nothing_but_the_audience_keeps_these_out(
    mcp: MCPHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that the tests above fail where the check is dropped."""
    monkeypatch.setattr(check._Examiner, "_audience", lambda _: None)
    for changed in ELSEWHERE.values():
        assert (await mcp.by_token(token(claims(**changed)))).status == 200


# N3


UNTRUE = {
    "expired": token(claims(**GOOD, exp=NOW_S - 61)),
    "not yet valid": token(claims(**GOOD, nbf=NOW_S + 3600)),
    "alg none": token(claims(**GOOD), algorithm="none", key=b""),
    "signed with the public key": token(claims(**GOOD), algorithm="HS256", key=pem(rsa_key()), kid="rsa"),
    "another key of that name": token(claims(**GOOD), key=ed_key("second")),
    "an unknown kid": token(claims(**GOOD), kid="nobody"),
    "another issuer": token(claims(**GOOD, iss="https://evil.example/")),
    "no issuer": token({name: said for name, said in claims(**GOOD).items() if name != "iss"}),
    "claims that were changed": token(claims(**GOOD))[:-20] + b"A" * 20,
    "half of one": token(claims(**GOOD))[:100],
}


@pytest.mark.parametrize("untrue", UNTRUE.values(), ids=UNTRUE)
async def test_n3_a_token_that_is_not_true_is_refused_before_its_body_is_read(
    untrue: bytes, mcp: MCPHouse
) -> None:
    refused(await mcp.by_token(untrue))
    await mcp.house.security.flush(closing=True)
    assert mcp.tools.asked == []
    assert [event.type.name for event in mcp.house.books.events if "REFUS" in event.type.name]


# N4


@pytest.mark.parametrize("name", ["access_token", "api_key", "apikey", "x-api-key", "Access_Token"])
async def test_n4_a_credential_in_the_query_is_refused_and_never_logged(
    name: str, mcp: MCPHouse, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secret = mcp.house.key
    body = message("tools/list")
    for key in (None, ""):  # "": a good one in its place besides
        answer = await mcp.house.ask("POST", f"/mcp?{name}={secret}", key=key, body=body)
        refused(answer)
        assert secret not in answer.body.decode()
    await mcp.house.security.flush(closing=True)
    assert secret not in caplog.text
    assert secret not in repr(mcp.house.books.events)


@pytest.mark.parametrize("era", ERAS)
async def test_n4_each_request_is_checked_anew(era: str, mcp: MCPHouse) -> None:
    created = await mcp.house.keys.create(NewKey("ann", scopes=scopes.CLIENT_DEFAULT))
    assert (await mcp.ask("tools/list", era=era, key=created.text)).status == 200
    await mcp.house.keys.revoke(created.record.id)
    refused(await mcp.ask("tools/list", era=era, key=created.text))


# N5


async def test_n5_without_the_scope_of_the_endpoint_it_is_named(mcp: MCPHouse) -> None:
    lacking = f'{REALM}, error="insufficient_scope"{ASK}'
    for answer in (
        await mcp.by_token(token(claims(aud=RESOURCE, scope="usage:read"))),
        await mcp.ask("tools/list", key=await mcp.house.new_key("ann", scopes=frozenset({"usage:read"}))),
    ):
        assert (answer.status, answer.headers["www-authenticate"]) == (403, lacking)
        assert answer.body_reads == 0


@pytest.mark.parametrize("era", ERAS)
async def test_n5_a_tool_whose_scope_lacks_names_all_that_it_needs(era: str, mcp: MCPHouse) -> None:
    answer = await mcp.by_token(token(claims(**GOOD)))
    assert answer.status == 200
    bearer = {"authorization": f"Bearer {token(claims(**GOOD)).decode()}"}
    called = {"name": "run_document", "arguments": {"document": "x"}}
    answer = await mcp.ask("tools/call", called, era=era, headers=bearer, key=None)
    assert answer.status == 403
    assert answer.headers["www-authenticate"] == (
        f'{REALM}, error="insufficient_scope", scope="mcp:connect documents:execute",'
        f' resource_metadata="{METADATA}"'
    )
    assert answer.json["id"] == 7
    assert answer.json["error"]["data"]["scope"] == "documents:execute"
    assert mcp.tools.asked == []


@pytest.mark.parametrize("era", ERAS)
async def test_n5_a_tool_that_is_nobodys_is_unknown_and_no_scope_opens_it(era: str, mcp: MCPHouse) -> None:
    answer = await mcp.ask("tools/call", {"name": "no_such_tool", "arguments": {}}, era=era)
    assert "www-authenticate" not in answer.headers
    assert answer.json["error"]["code"] == -32602


async def test_n5_nobody_is_told_to_ask_for_administration(mcp: MCPHouse) -> None:
    told = (await mcp.house.ask("GET", "/.well-known/oauth-protected-resource", key=None)).json
    assert set(told["scopes_supported"]) <= scopes.CLIENT
    assert not any("*" in scope or scope == "offline_access" for scope in told["scopes_supported"])
    claimed = " ".join(sorted(scopes.ALL))
    listed = await mcp.by_token(token(claims(aud=RESOURCE, scope=claimed)))
    assert listed.status == 200  # what is claimed beyond pass_scopes counts for nothing
    assert (await mcp.house.ask("GET", "/log/checkpoint", key=None)).status == 401


# N6


@pytest.mark.parametrize("path", ["/.well-known/oauth-protected-resource", f"/{METADATA.split('/', 3)[3]}"])
async def test_n6_the_metadata_names_this_resource_and_its_issuers(path: str, mcp: MCPHouse) -> None:
    answer = await mcp.house.ask("GET", path, key=None)
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json["resource"] == RESOURCE
    assert answer.json["authorization_servers"] == [ISS]
    assert answer.json["bearer_methods_supported"] == ["header"]
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost", "LOCALHOST:1"])
async def test_n6_without_a_configured_name_it_is_that_of_the_request(host: str) -> None:
    async with mcp_house(protected=ProtectedResource(issuers=(ISS,))) as mcp:
        told = await mcp.house.ask(
            "GET", "/.well-known/oauth-protected-resource/mcp", key=None, headers=[("host", host)]
        )
        assert told.json["resource"] == f"http://{host.lower()}/mcp"
        assert "scopes_supported" not in told.json
        unknown = await mcp.ask("tools/list", key=None, headers={"host": host})
    metadata = f"http://{host.lower()}/.well-known/oauth-protected-resource/mcp"
    assert f'resource_metadata="{metadata}"' in unknown.headers["www-authenticate"]


async def test_n6_a_foreign_name_is_not_taken_into_it() -> None:
    async with mcp_house(protected=ProtectedResource(issuers=(ISS,))) as mcp:
        for host in ("evil.example", 'localhost", x="', "localhost:80:80", "localhost:999999", "localhost@e"):
            told = await mcp.house.ask(
                "GET", "/.well-known/oauth-protected-resource", key=None, headers=[("host", host)]
            )
            assert told.status == 403
            assert host not in told.body.decode()


async def test_n6_without_an_issuer_there_is_none_and_no_refusal_names_it() -> None:
    async with mcp_house(protected=ProtectedResource()) as mcp:
        told = await mcp.house.ask("GET", "/.well-known/oauth-protected-resource/mcp", key=None)
        assert told.status == 404
        assert "x-api-key" in told.json["fix"]
        unknown = await mcp.ask("tools/list", key=None)
    assert unknown.headers["www-authenticate"] == f'{REALM}, scope="mcp:connect"'


# N7


async def test_n7_no_credential_is_told_no_error(mcp: MCPHouse) -> None:
    refused(await mcp.ask("tools/list", key=None), REALM + ASK)


async def test_n7_bad_keys_look_and_work_alike(mcp: MCPHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[object] = []
    whole = SecretHasher.__call__

    def counted(hasher: SecretHasher, parsed: Any) -> bytes:
        hashed.append(parsed)
        return whole(hasher, parsed)

    monkeypatch.setattr(SecretHasher, "__call__", counted)
    house = mcp.house
    revoked = await house.keys.create(NewKey("ann"))
    await house.keys.revoke(revoked.record.id)
    expired = await house.keys.create(NewKey("ann", expires_ns=house.clock.ns + 1))
    house.clock.pass_s(1)
    unknown = await (await build()).new_key("ann")  # of another gateway
    seen = set()
    for key in (revoked.text, expired.text, unknown):
        hashed.clear()
        answer = await mcp.ask("tools/list", key=key)
        refused(answer)
        body = json.loads(answer.body)
        body["error"]["data"].pop("request_id")
        length = answer.headers["content-length"]
        kept = {name: said for name, said in answer.headers.items() if name != "x-request-id"}
        seen.add(json.dumps([body, kept, length, len(hashed)], sort_keys=True))
    assert len(seen) == 1
