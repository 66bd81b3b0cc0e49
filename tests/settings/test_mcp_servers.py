"""[mcp.servers.NAME]: who is named, by what, and what is refused."""

from typing import Any

import pytest
from pydantic import ValidationError

from macroslow.settings import Settings


def settings(name: str = "files", **members: Any) -> Settings:
    return Settings.model_validate(
        {"mcp": {"servers": {name: {"url": "https://mcp.example/mcp", **members}}}}
    )


@pytest.mark.parametrize("name", ["connect", "a__b", "a" * 33, "A", "-a", "a.b", ""])
def test_names_that_could_be_taken_for_something_else_are_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        settings(name)


@pytest.mark.parametrize(
    "url",
    ["ftp://x/", "https://a@x/", "https://x/#y", "http://mcp.example/", "x", "https://", "https://x/\u00e4"],
)
def test_urls_that_are_none_or_would_be_overheard_are_refused(url: str) -> None:
    with pytest.raises(ValidationError):
        settings(url=url)


@pytest.mark.parametrize("url", ["https://x/mcp/", "http://127.0.0.1:1/mcp", "https://x/mcp?tenant=1"])
def test_urls_stay_as_they_are_written(url: str) -> None:
    assert settings(url=url).mcp.servers["files"].url == url


@pytest.mark.parametrize(
    "name", ["host", "mcp-session-id", "mcp-protocol-version", "content-length", "accept"]
)
def test_headers_of_the_protocol_are_not_the_operators(name: str) -> None:
    with pytest.raises(ValidationError):
        settings(headers={name: "env:X"})


def test_a_credential_is_a_reference_and_wanted_by_its_place() -> None:
    with pytest.raises(ValidationError):
        settings(headers={"authorization": "Bearer plain"})
    (wanted,) = settings(headers={"authorization": "env:X"}).secrets()
    assert wanted.setting == "mcp.servers.files.headers.authorization"


def test_a_tool_needs_its_servers_scope_or_its_own() -> None:
    one = settings(rules={"write": {"scope": "mcp:files-write"}}).mcp.servers["files"]
    assert one.scope_of("files", "read") == "mcp:files"
    assert one.scope_of("files", "write") == "mcp:files-write"


@pytest.mark.parametrize("scope", ["mcp:connect", "documents:execute", "mcp:*", ""])
def test_a_rule_names_no_scope_of_ours(scope: str) -> None:
    with pytest.raises(ValidationError):
        settings(rules={"write": {"scope": scope}})
