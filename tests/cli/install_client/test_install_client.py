"""`install-client`: what each client reads, merged into what is there, and never a key."""

import base64
import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.cli.conftest import Ran

from macroslow.cli.install_client._clients import CLIENTS, Server
from macroslow.cli.install_client._files import with_entry
from macroslow.errors import ConflictError

each_client = pytest.mark.parametrize("client", CLIENTS)
HTTP = Server("macroslow", "http://127.0.0.1:8000/mcp")
STDIO = Server("macroslow", "", ("/opt/macroslow", "serve", "--stdio"))
FILES = {
    "claude": ".mcp.json",
    "vscode": ".vscode/mcp.json",
    "cursor": ".cursor/mcp.json",
    "codex": "codex/config.toml",
    "inspector": "mcp.json",
}


def parsed(client: str, text: str) -> Any:
    return tomllib.loads(text) if client == "codex" else json.loads(text)


@pytest.fixture
def install(macroslow: Callable[..., Ran], tmp_path: Path) -> Callable[..., Ran]:
    """The command in a configured folder of its own, which is home too."""
    (tmp_path / "macroslow.toml").touch()

    def ran(*arguments: str) -> Ran:
        environ = {"CODEX_HOME": str(tmp_path / "codex"), "HOME": str(tmp_path)}
        return macroslow("install-client", *arguments, environ=environ)

    return ran


@each_client
@pytest.mark.parametrize("how", [(), ("--stdio",)], ids=["http", "stdio"])
def test_what_is_printed_and_what_is_written_are_the_same(
    install: Callable[..., Ran], tmp_path: Path, client: str, how: tuple[str, ...]
) -> None:
    file = tmp_path / FILES[client]
    shown = install(client, *how)
    assert shown.returncode == 0, shown.stderr
    assert not file.exists()
    written = install(client, *how, "--write")
    assert (written.returncode, f"wrote  {file}" in written.stdout) == (0, True)
    assert file.read_text() in shown.stdout
    assert str(file) in shown.stdout


@each_client
def test_no_client_gets_a_key_but_is_told_where_it_is(install: Callable[..., Ran], client: str) -> None:
    done = install(client)
    assert "msk_" not in done.stdout.replace("(msk_…)", "").replace("msk_%5Cu2026", "")
    assert "The key is not in it" in done.stdout
    reference = {"vscode": "${input:macroslow-key}", "inspector": "$MACROSLOW_API_KEY"}
    assert reference.get(client, "MACROSLOW_API_KEY") in done.stdout


def test_vscode_hides_what_its_user_types() -> None:
    (asked,) = CLIENTS["vscode"].inputs(HTTP)
    assert (asked["type"], asked["password"], asked["id"]) == ("promptString", True, "macroslow-key")
    assert CLIENTS["vscode"].inputs(STDIO) == ()


@each_client
@pytest.mark.parametrize("server", [HTTP, STDIO], ids=["http", "stdio"])
def test_all_else_in_the_file_stays(client: str, server: Server) -> None:
    kind = CLIENTS[client]
    if client == "codex":
        before = (
            '# mine\nmodel = "o3"\n\n[mcp_servers.other]\ncommand = "x"  # why\n\n[tui]\ntheme = "dark"\n'
        )
    else:
        before = json.dumps({"z": 1, kind.table: {"other": {"url": "http://x/"}}, "a": [None, "ä"]})
    after = with_entry(kind, before, "macroslow", kind.entry(server), kind.inputs(server), force=False)
    whole = parsed(client, after)
    assert whole[kind.table].pop("macroslow") == kind.entry(server)
    whole.pop("inputs", None)
    assert whole == parsed(client, before)
    if client == "codex":
        assert after.startswith(before.rstrip())
    else:
        assert [*whole] == ["z", kind.table, "a"]


@each_client
def test_another_server_of_that_name_is_replaced_only_by_force(
    install: Callable[..., Ran], tmp_path: Path, client: str
) -> None:
    file = tmp_path / FILES[client]
    assert install(client, "--write", "--url", "http://127.0.0.1:1/mcp").returncode == 0
    before = file.read_text()
    refused = install(client, "--write")
    assert (refused.returncode, "another server called macroslow" in refused.stderr) == (1, True)
    assert file.read_text() == before
    assert install(client, "--write", "--name", "second").returncode == 0
    forced = install(client, "--write", "--force")
    assert forced.returncode == 0
    servers = parsed(client, file.read_text())[CLIENTS[client].table]
    assert {name: one["url"] for name, one in servers.items()} == dict.fromkeys(
        ("macroslow", "second"), "http://127.0.0.1:8000/mcp"
    )
    assert file.with_name(f"{file.name}.bak").read_text() == before
    assert f"{file.name}.bak1 (as it was before)" in forced.stdout


@each_client
def test_what_says_so_already_is_left_as_it_is(
    install: Callable[..., Ran], tmp_path: Path, client: str
) -> None:
    assert install(client, "--write").returncode == 0
    again = install(client, "--write")
    assert (again.returncode, "it says so already" in again.stdout) == (0, True)
    assert not [*tmp_path.rglob("*.bak*")]


@pytest.mark.parametrize(
    ("client", "text"),
    [
        ("vscode", '{\n  // mine\n  "servers": {}\n}'),
        ("claude", "[]"),
        ("cursor", '{"mcpServers": []}'),
        ("claude", '{"mcpServers": '),
        ("vscode", '{"inputs": {}}'),
        ("codex", "mcp_servers = 1"),
        ("codex", "[mcp_servers"),
        ("codex", 'mcp_servers = { other = { url = "http://x/" } }'),
    ],
)
def test_a_file_that_is_not_understood_is_not_touched(
    install: Callable[..., Ran], tmp_path: Path, client: str, text: str
) -> None:
    file = tmp_path / FILES[client]
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    done = install(client, "--write")
    assert (done.returncode, "add it by hand" in done.stderr, str(file) in done.stderr) == (1, True, True)
    assert file.read_text() == text
    assert not [*tmp_path.rglob("*.bak*")]


@pytest.mark.parametrize(
    "table",
    [
        '[mcp_servers.macroslow]\nurl = "http://x/"\n\n[mcp_servers.macroslow.tools]\na = 1\n',
        '[ mcp_servers . "macroslow" ]  # mine\ncommand = "x"\nargs = ["[not.a.header]"]\n',
    ],
)
def test_a_table_of_codex_is_replaced_whole(table: str) -> None:
    kind = CLIENTS["codex"]
    before = f'a = 1\n\n{table}\n[mcp_servers.other]\nurl = "http://y/"\n'
    after = with_entry(kind, before, "macroslow", kind.entry(HTTP), (), force=True)
    assert tomllib.loads(after) == {
        "a": 1,
        "mcp_servers": {"other": {"url": "http://y/"}, "macroslow": kind.entry(HTTP)},
    }


TOML_LINES = st.sampled_from(
    [
        "a = 1",
        "[mcp_servers.x]",
        "[mcp_servers.macroslow]",
        "[b]",
        "[[c]]",
        "# [d]",
        'e = """',
        "[f]",
        '"""',
        "",
    ]
)


@given(st.lists(TOML_LINES, max_size=12).map("\n".join))
def test_whatever_toml_there_is_stays_or_is_refused(text: str) -> None:
    kind = CLIENTS["codex"]
    try:
        after = with_entry(kind, text, "macroslow", kind.entry(HTTP), (), force=True)
    except ConflictError:
        return
    expected = tomllib.loads(text)
    expected.setdefault("mcp_servers", {})["macroslow"] = kind.entry(HTTP)
    assert tomllib.loads(after) == expected


def test_the_links_hold_the_same_entries(install: Callable[..., Ran]) -> None:
    cursor = json.loads(install("cursor", "--json").stdout)
    query = parse_qs(urlsplit(cursor["also"]["link"]).query)
    assert json.loads(base64.b64decode(query["config"][0])) == cursor["entry"]
    assert query["name"] == ["macroslow"]
    vscode = json.loads(install("vscode", "--json").stdout)
    said = json.loads(unquote(vscode["also"]["link"].partition("?")[2]))
    assert said == {"name": "macroslow", **vscode["entry"], "inputs": vscode["inputs"]}


def test_a_backup_is_for_its_owner_alone(install: Callable[..., Ran], tmp_path: Path) -> None:
    (tmp_path / ".mcp.json").write_text('{"mcpServers": {"other": {"headers": {"x-api-key": "secret"}}}}')
    assert install("claude", "--write").returncode == 0
    assert (tmp_path / ".mcp.json.bak").stat().st_mode & 0o777 == 0o600


def test_a_link_to_a_file_stays_a_link(install: Callable[..., Ran], tmp_path: Path) -> None:
    kept = tmp_path / "dotfiles.json"
    kept.write_text("{}")
    (tmp_path / ".mcp.json").symlink_to(kept)
    assert install("claude", "--write").returncode == 0
    assert (tmp_path / ".mcp.json").is_symlink()
    assert "macroslow" in kept.read_text()


@pytest.mark.parametrize(
    "arguments",
    [("claude", "--name", "a b"), ("claude", "--name", ""), ("nobody",), ("claude", "--name", "x" * 65)],
)
def test_what_no_client_could_take_is_a_usage_error(
    install: Callable[..., Ran], arguments: tuple[str, ...]
) -> None:
    assert install(*arguments).returncode == 2


@pytest.mark.parametrize("url", ["ftp://x/mcp", "http://user:pw@x/mcp", "mcp", "http://x/mcp?key=1"])
def test_an_address_that_is_none_is_refused(install: Callable[..., Ran], url: str) -> None:
    refused = install("claude", "--url", url)
    assert (refused.returncode, "--url" in refused.stderr) == (2, True)


@pytest.mark.parametrize("url", ["https://gw.example", "https://gw.example/", "https://gw.example/mcp"])
def test_an_address_alone_is_that_of_a_gateway(install: Callable[..., Ran], url: str) -> None:
    entry = json.loads(install("cursor", "--url", url, "--json").stdout)["entry"]
    assert entry["url"] == "https://gw.example/mcp"


def test_a_program_has_no_address(install: Callable[..., Ran]) -> None:
    refused = install("claude", "--stdio", "--url", "https://gw.example/mcp")
    assert (refused.returncode, "--url" in refused.stderr) == (2, True)


@pytest.mark.parametrize("command", [("install-client", "claude", "--stdio"), ("serve", "--stdio")])
def test_where_nothing_is_configured_no_other_gateway_is_begun(
    process: Callable[..., Ran], tmp_path: Path, command: tuple[str, ...]
) -> None:
    refused = process(*command)
    assert (refused.returncode, "macroslow init" in refused.stderr) == (78, True)
    assert not [*tmp_path.iterdir()]


def test_the_configuration_is_written_without_detours(install: Callable[..., Ran], tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    told = install("claude", "--stdio", "--config", "x/../macroslow.toml", "--json")
    assert json.loads(told.stdout)["entry"]["args"][-1] == str(tmp_path / "macroslow.toml")


def test_who_gives_a_program_no_key_is_told_whom_it_acts_as(install: Callable[..., Ran]) -> None:
    assert "no budget of its own" in install("claude", "--stdio").stdout


def test_a_file_that_cannot_be_written_is_named_with_its_cause(install: Callable[..., Ran]) -> None:
    refused = install("claude", "--write", "--file", "/proc/foo/x")
    assert (refused.returncode, "/proc/foo/x cannot be written: " in refused.stderr) == (2, True)
    assert "Traceback" not in refused.stderr


def test_help_says_which_file_is_usual(install: Callable[..., Ran]) -> None:
    said = install("claude", "--help").stdout
    assert [each for each in CLIENTS.values() if each.file().name not in said] == []


def test_the_address_is_the_configured_one(install: Callable[..., Ran], tmp_path: Path) -> None:
    (tmp_path / "macroslow.toml").write_text('[mcp]\nresource = "https://gw.example/mcp"\n')
    assert json.loads(install("cursor", "--json").stdout)["entry"]["url"] == "https://gw.example/mcp"
    (tmp_path / "macroslow.toml").write_text('[server]\nlisten = "127.0.0.1:0"\n')
    unknown = install("cursor")
    assert (unknown.returncode, "--url" in unknown.stderr) == (2, True)
    started = json.loads(install("cursor", "--stdio", "--json").stdout)["entry"]
    assert started["args"][-2:] == ["--config", str(tmp_path / "macroslow.toml")]
