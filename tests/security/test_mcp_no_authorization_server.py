"""No authorization server is here to be confused (N8 to N10): nobody is sent anywhere, nothing that a client
names is fetched, and no code, token or consent is given out. Issuers are others', and configured.
"""

import socket
from collections.abc import AsyncIterator

import pytest
from tests.authn.jwt.tokens import claims, token
from tests.security.mcp_house import RESOURCE, MCPHouse, mcp_house

from macroslow.web.routes import ROUTES

GOOD = {"aud": RESOURCE, "scope": "mcp:connect documents:validate"}
PATHS = (
    "/authorize",
    "/oauth/authorize",
    "/callback",
    "/oauth/callback",
    "/consent",
    "/login",
    "/register",
    "/token",
    "/oauth/token",
    "/.well-known/oauth-authorization-server",
    "/.well-known/oauth-authorization-server/mcp",
    "/.well-known/openid-configuration",
)
ASKED = "?response_type=code&client_id=https%3A%2F%2Fevil.example%2Fc&redirect_uri=https%3A%2F%2Fevil.example"


@pytest.fixture
async def mcp() -> AsyncIterator[MCPHouse]:
    async with mcp_house() as made:
        yield made


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("path", PATHS)
async def test_n8_n10_nothing_authorizes_redirects_or_gives_out_a_token(
    path: str, method: str, mcp: MCPHouse
) -> None:
    body = b"grant_type=authorization_code&code=c&code_verifier=v"
    sent = {"content-type": "application/x-www-form-urlencoded"} if method == "POST" else {}
    answer = await mcp.house.ask(
        method, path + ASKED, headers=list(sent.items()), body=body if method == "POST" else b""
    )
    assert answer.status == 404
    assert not {"location", "set-cookie", "refresh"} & set(answer.headers)


def test_n8_n10_no_route_is_one_of_an_authorization_server() -> None:
    words = ("authoriz", "token", "callback", "consent", "login", "register", "openid")
    found = {route.path for route in ROUTES if any(word in route.path for word in words)}
    assert found == {"/v1/messages/count_tokens"}


async def test_n9_a_client_that_is_a_url_is_a_text_that_nobody_fetches(mcp: MCPHouse) -> None:
    """Client ID Metadata Documents are for authorization servers: whatever a token calls its client stays
    unread.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        port = listener.getsockname()[1]
        url = f"http://127.0.0.1:{port}/client.json"
        named = {"client_id": url, "azp": url, "jku": url, "x5u": url}
        answer = await mcp.by_token(token(claims(**GOOD, **named)))
        assert answer.status == 200
        with pytest.raises(BlockingIOError):
            listener.accept()
