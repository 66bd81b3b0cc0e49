"""The real gate before the real /mcp, with tools in memory and an issuer whose keys are set by hand."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from tests.authn.jwt.tokens import ISS, NOW_S, usual_keys
from tests.mcp.fakes import Tools
from tests.services.token_house import SetKeys
from tests.web.fakes import Answer, FakeClock, House, build

from macroslow.authn.jwt.issuer import ClaimMapping, IssuerRules
from macroslow.authn.jwt.revoked import Revocations
from macroslow.authn.principal import Principal
from macroslow.authz import scopes
from macroslow.mcp.own_tools import OwnTools
from macroslow.services.audit.record_mcp_call import MCPCall
from macroslow.services.identity.verify_tokens import TrustedIssuer, VerifyTokens
from macroslow.web.mcp.endpoint import MCPEndpoint
from macroslow.web.protected_resource import ProtectedResource

RESOURCE = "https://gateway.example/mcp"
METADATA = "https://gateway.example/.well-known/oauth-protected-resource/mcp"
MODERN = "2026-07-28"
LEGACY = "2025-11-25"
ERAS = (MODERN, LEGACY)
BOTH = "application/json, text/event-stream"
RULES = IssuerRules(
    name="main",
    issuer=ISS,
    audiences=frozenset({RESOURCE}),
    mapping=ClaimMapping(pass_scopes=scopes.CLIENT_DEFAULT),
)
META = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "tests", "version": "1"},
}


def message(
    method: str, params: Mapping[str, Any] | None = None, *, era: str = MODERN, message_id: object = 7
) -> bytes:
    """A request as a client of the era writes it."""
    params = dict(params or {})
    if era == MODERN:
        params["_meta"] = META | params.get("_meta", {})
    return json.dumps({"jsonrpc": "2.0", "id": message_id, "method": method, "params": params}).encode()


def headers_of(body: bytes, era: str = MODERN) -> dict[str, str]:
    """The headers that belong to it."""
    told = {"accept": BOTH, "mcp-protocol-version": era}
    if era == MODERN:
        said = json.loads(body)
        told["mcp-method"] = said["method"]
        if "name" in said["params"]:
            told["mcp-name"] = said["params"]["name"]
    return told


@dataclass
class MCPHouse:
    """`ask` sends one message; `house` is everything behind it."""

    house: House
    tools: Tools
    endpoint: MCPEndpoint

    async def post(self, body: bytes, headers: Mapping[str, str], **more: Any) -> Answer:
        return await self.house.ask("POST", "/mcp", headers=list(headers.items()), body=body, **more)

    async def ask(
        self, method: str, params: Mapping[str, Any] | None = None, *, era: str = MODERN, **more: Any
    ) -> Answer:
        body = message(method, params, era=era)
        return await self.post(body, headers_of(body, era) | dict(more.pop("headers", {})), **more)

    async def by_token(self, token: bytes, **more: Any) -> Answer:
        """`tools/list` with a token."""
        bearer = {"authorization": f"Bearer {token.decode('latin-1')}"}
        return await self.ask("tools/list", headers=bearer, key=None, **more)


@asynccontextmanager
async def mcp_house(rules: IssuerRules = RULES, **replaced: Any) -> AsyncIterator[MCPHouse]:
    """One with client keys and one issuer."""
    tools = Tools()

    async def record(_principal: Principal, _call: MCPCall) -> None:
        return

    endpoint = MCPEndpoint(
        lambda: (OwnTools(tools.handlers),), record, FakeClock(), version="1.2.3", max_body_bytes=4 << 20
    )
    protected = ProtectedResource(RESOURCE, (ISS,), tuple(sorted(rules.mapping.pass_scopes)), "tests")
    house = await build(**{"mcp": endpoint, "protected": protected} | replaced)
    house.clock.ns = NOW_S * 1_000_000_000
    issuers = [TrustedIssuer(rules, SetKeys(usual_keys()), None)]
    house.authenticate.tokens = VerifyTokens(issuers, Revocations(), house.books, house.clock)  # type: ignore[arg-type]
    try:
        yield MCPHouse(house, tools, endpoint)
    finally:
        await endpoint.close()
