"""Other MCP servers behind a gateway: real processes, real sockets, a server made with the official SDK."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.adapters.mcp_http.sdk import Real, serving
from tests.e2e.conftest import Site, make_site

OURS = "tk-of-the-gateway-41c7"
CANARIES = ("canary-cookie-1", "canary-header-2", "canary-agent-3", "canary-name-4")
META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "canary-name-4", "version": "1"},
}


class House:
    """A gateway that serves, and the server behind it, which is this process's own."""

    def __init__(self, site: Site, real: Real) -> None:
        self.site = site
        self.real = real

    async def data(self, *arguments: str) -> Any:
        return await asyncio.to_thread(self.site.data, *arguments)

    async def approve(self) -> None:
        shown = await asyncio.to_thread(self.site.command, "mcp", "pins", "diff", "real", "--json")
        digest = json.loads(shown.stdout.splitlines()[-1])["digest"]
        await self.data("mcp", "pins", "approve", "real", "--digest", digest)

    async def ask(self, key: str, method: str, named: str = "", **params: object) -> Any:
        """One request of MCP, with headers that must go no further."""
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": META}}
        headers = {
            "x-api-key": key,
            "cookie": f"session={CANARIES[0]}",
            "x-custom": CANARIES[1],
            "user-agent": CANARIES[2],
            "content-type": "application/json",
            "accept": "application/json, text/event-stream",
            "mcp-protocol-version": "2026-07-28",
            "mcp-method": method,
            **({"mcp-name": named} if named else {}),
        }
        answered = await asyncio.to_thread(self.site.call, "POST", "/mcp", json.dumps(body).encode(), headers)
        return answered.json

    async def call(self, key: str, tool: str, **arguments: object) -> Any:
        return await self.ask(key, "tools/call", tool, name=tool, arguments=arguments)

    async def tools(self, key: str) -> list[str]:
        listed = await self.ask(key, "tools/list")
        return [one["name"] for one in listed["result"]["tools"] if "__" in one["name"]]

    async def key(self, name: str, *scopes: str) -> str:
        return await asyncio.to_thread(self.site.client, name, scopes=["mcp:connect", *scopes])


@pytest.fixture
async def house(tmp_path: Path, emulator_url: str, clean_environment: dict[str, str]) -> AsyncIterator[House]:
    async with serving() as real:
        site = make_site(tmp_path / "site", emulator_url, clean_environment | {"REAL_KEY": OURS})
        with (site.folder / "macroslow.toml").open("a") as file:
            file.write(
                f'\n[mcp.servers.real]\nurl = "{real.url}"\nheaders = {{ authorization = "env:REAL_KEY" }}\n'
            )
        await asyncio.to_thread(site.start)
        try:
            yield House(site, real)
        finally:
            if site.server is not None:
                await asyncio.to_thread(site.stop)


async def test_n26_nothing_is_offered_until_it_is_approved_and_then_in_that_form_alone(house: House) -> None:
    key = await house.key("ann", "mcp:real")
    assert await house.tools(key) == []
    assert "unknown tool" in (await house.call(key, "real__add", a=1, b=2))["error"]["message"]
    await house.approve()
    assert await house.tools(key) == ["real__add", "real__slow"]
    assert (await house.call(key, "real__add", a=1, b=2))["result"]["structuredContent"] == {"sum": 3}
    house.real.tools[0] = house.real.tools[0].model_copy(update={"description": "Adds, and tells."})
    listed = await asyncio.to_thread(house.site.command, "mcp", "pins", "diff", "real")
    assert listed.returncode == 1
    assert "Adds, and tells." in listed.stdout
    assert await house.tools(key) == ["real__slow"]
    refused = await house.call(key, "real__add", a=1, b=2)
    assert refused["result"]["isError"]
    assert "not what was approved" in refused["result"]["content"][0]["text"]


@pytest.mark.sweep
async def test_n2_nothing_of_a_caller_reaches_the_server_and_our_credential_reaches_nobody(
    house: House,
) -> None:
    key = await house.key("canary-principal-5", "mcp:real")
    await house.approve()
    house.real.requests.clear()
    house.real.bodies.clear()
    answered = await house.call(key, "real__add", a=1, b=2)
    assert answered["result"]["structuredContent"] == {"sum": 3}
    ((_, headers),) = house.real.requests  # one request a call
    assert headers["authorization"] == f"Bearer {OURS}"
    reached = json.dumps(headers) + house.real.bodies.decode()
    for secret in (*CANARIES, key, key[-20:], "canary-principal-5"):
        assert secret not in reached
    told = await asyncio.to_thread(house.site.log)
    assert OURS not in json.dumps([answered, told]) + house.site.said
    (entry,) = [one["fields"] for one in told if one["type"] == "mcp-forwarded"]
    assert (entry["principal"], entry["name"], entry["outcome"]) == ("canary-principal-5", "add", "ok")


@pytest.mark.sweep
async def test_approval_outlives_a_restart_and_a_key_without_the_scope_sees_nothing(house: House) -> None:
    await house.approve()
    ann, bob = await house.key("ann", "mcp:real"), await house.key("bob")
    await asyncio.to_thread(house.site.stop)
    await asyncio.to_thread(house.site.start)
    assert await house.tools(ann) == ["real__add", "real__slow"]
    assert await house.tools(bob) == []
    assert "unknown tool" in (await house.call(bob, "real__add", a=1, b=2))["error"]["message"]
