"""The adapter against servers that are made with the official SDK, in both eras."""

import pytest
from tests.adapters.mcp_http.sdk import Real, serving

from macroslow.adapters.mcp_http import Endpoint, MCPOverHTTP
from macroslow.errors import UpstreamRefusedError, UpstreamUnavailableError
from macroslow.secretstore.secret import Secret

ERAS = {
    "modern": {"modern": True},
    "handshake": {"modern": False},
    "sessions": {"modern": False, "sessions": True},
}
MIB = 1024 * 1024


def client(real: Real, headers: dict[str, Secret] | None = None) -> MCPOverHTTP:
    return MCPOverHTTP("real", Endpoint("real", real.url, headers or {}), max_result_bytes=MIB)


@pytest.mark.parametrize("era", ERAS)
async def test_everything_that_a_server_offers_is_found(era: str) -> None:
    async with serving(**ERAS[era]) as real:
        server = client(real)
        found = await server.discover()
        await server.close()
    assert found.identity.name == "real"
    assert found.identity.protocol == ("2026-07-28" if era == "modern" else "2025-11-25")
    assert [tool["name"] for tool in found.tools] == ["add", "slow"]
    assert [prompt["name"] for prompt in found.prompts] == ["greet"]
    assert [resource["uri"] for resource in found.resources] == ["file:///notes.txt"]


@pytest.mark.parametrize("era", ERAS)
async def test_a_call_is_one_request(era: str) -> None:
    async with serving(**ERAS[era]) as real:
        server = client(real)
        await server.discover()
        real.requests.clear()
        result = await server.call_tool("add", {"a": 1, "b": 2}, timeout_s=10)
        await server.get_prompt("greet", {"who": "x"}, timeout_s=10)
        await server.read_resource("file:///notes.txt", timeout_s=10)
        await server.close()
    assert result["structuredContent"] == {"sum": 3}
    assert len(real.requests) == 3


async def test_a_modern_request_says_in_its_headers_what_it_is() -> None:
    async with serving() as real:
        server = client(real)
        await server.discover()
        real.requests.clear()
        await server.call_tool("add", {"a": 1, "b": 2}, timeout_s=10)
        await server.close()
    ((method, headers),) = real.requests
    assert method == "POST"
    assert headers["mcp-protocol-version"] == "2026-07-28"
    assert headers["mcp-method"] == "tools/call"
    assert headers["mcp-name"] == "add"


async def test_progress_is_passed_on() -> None:
    heard: list[tuple[float, float | None, str]] = []

    async def told(*step: object) -> None:
        heard.append(step)  # type: ignore[arg-type]

    async with serving(modern=False, sessions=True) as real:
        server = client(real)
        await server.discover()
        await server.call_tool("slow", {}, timeout_s=10, progress=told)
        await server.close()
    assert heard == [(1.0, 3.0, "step 1"), (2.0, 3.0, "step 2"), (3.0, 3.0, "step 3")]


@pytest.mark.parametrize("era", ERAS)
async def test_n2_nothing_but_the_operators_headers_and_the_protocols_own_is_sent(era: str) -> None:
    async with serving(**ERAS[era]) as real:
        server = client(real, {"authorization": Secret("our-own-key"), "x-tenant": Secret("tenant-1")})
        await server.discover()
        await server.call_tool("add", {"a": 1, "b": 2}, timeout_s=10)
        await server.close()
    allowed = {
        "host", "user-agent", "accept", "accept-encoding", "content-type", "content-length",
        "authorization", "x-tenant", "mcp-protocol-version", "mcp-method", "mcp-name", "mcp-session-id",
    }  # fmt: skip
    assert real.requests
    for _, headers in real.requests:
        assert set(headers) <= allowed
        assert headers["authorization"] == "Bearer our-own-key"
        assert headers["user-agent"] == "macroslow"


async def test_a_session_that_the_server_forgot_is_begun_anew() -> None:
    real = Real()
    async with serving(real, modern=False, sessions=True):
        server = client(real)
        await server.discover()
    async with serving(real, modern=False, sessions=True):
        result = await server.call_tool("add", {"a": 1, "b": 2}, timeout_s=10)
        await server.close()
    assert result["structuredContent"] == {"sum": 3}


async def test_n26_another_server_in_the_place_of_a_forgotten_session_is_asked_nothing() -> None:
    real = Real()
    async with serving(real, modern=False, sessions=True):
        server = client(real)
        await server.discover()
    real.version = "6.6.6"
    async with serving(real, modern=False, sessions=True):
        with pytest.raises(UpstreamUnavailableError, match="identity changed"):
            await server.call_tool("add", {"a": 1, "b": 2}, timeout_s=10)
        await server.changed()  # says that a look is worth while
        assert (await server.discover()).identity.version == "6.6.6"
        await server.close()


async def test_a_server_that_is_not_there_is_said_so() -> None:
    async with serving() as real:
        pass
    server = client(real)
    with pytest.raises(UpstreamUnavailableError, match="gave no answer"):
        await server.discover()
    await server.close()


async def test_an_error_of_the_server_is_told_in_its_words() -> None:
    async with serving() as real:
        server = client(real)
        await server.discover()
        with pytest.raises(UpstreamRefusedError):
            await server.call_tool("add", {"a": 1}, timeout_s=10)
        await server.close()
