"""The administrators' listener of a real server: who reaches it, with what, and how far a key's rights go."""

import json
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from tests.e2e.conftest import Answered, Site, make_site
from tests.ports import held_port

CHAT = {"model": "gpt-4o-mini", "max_tokens": 8, "messages": [{"role": "user", "content": "hello"}]}
CONTROL = {"principal": "root/control", "budget_usd_micros": 1000}
RIGHTS = ["admin:keys", "inference:chat", "usage:read"]


def post(url: str, body: object, **headers: str) -> Answered:
    raw = json.dumps(body).encode()
    sent = {"content-type": "application/json"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    request = urllib.request.Request(url, raw, sent, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return Answered(answer.status, dict(answer.headers), answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return Answered(error.code, dict(error.headers), error.read())


@dataclass
class Door:
    """The listener, and an administrator's key."""

    site: Site
    url: str
    key: str

    def ask(self, verb: str, key: str = "", **arguments: object) -> Answered:
        return post(f"{self.url}/admin/{verb}", arguments, x_api_key=key or self.key)

    def data(self, verb: str, key: str = "", **arguments: object) -> Any:
        answer = self.ask(verb, key, **arguments)
        assert answer.status == 200, answer.body
        return answer.json


@pytest.fixture(scope="module")
def door(tmp_path_factory, emulator_url: str, clean_environment: dict[str, str]) -> Iterator[Door]:
    with held_port() as port:
        more = f'[administration]\nlisten = "127.0.0.1:{port}"\n'
        site = make_site(tmp_path_factory.mktemp("door"), emulator_url, clean_environment, more)
        site.start()
        key = site.client("root", scopes=RIGHTS, budget_usd_micros=2_000_000, requests_per_minute=500)
        yield Door(site, f"http://127.0.0.1:{port}", key)
        site.stop()


def test_a_key_that_an_administrator_makes_works_and_falls_with_it(door: Door) -> None:
    boss = door.site.client("boss", scopes=RIGHTS, budget_usd_micros=1_000_000)
    made = door.data("keys.create", boss, principal="boss/agent", budget_usd_micros=500_000)
    assert sorted(made["scopes"]) == ["inference:chat", "usage:read"]
    chat = f"{door.site.url}/v1/chat/completions"
    assert post(chat, CHAT, x_api_key=made["key"]).status == 200
    assert [key["id"] for key in door.data("keys.list", boss)["keys"]] == [made["id"]]
    door.site.ask("keys.revoke", key_id=door.site.ask("keys.show", key_id=made["id"])["maker"])
    assert post(chat, CHAT, x_api_key=made["key"]).status == 401
    assert door.ask("keys.list", boss).status == 401


@pytest.mark.parametrize(
    "wish",
    [
        {"scopes": ["audit:read"]},
        {"scopes": ["admin:audit"]},
        {"grants": ["api://*", "gateway://*", "quantum://*"]},
        {"budget_usd_micros": 2_000_001},
        {"requests_per_minute": 501},
        {"requests_per_minute": None},
        {"weight": 2},
        {"team": "lab"},
        {"maker": ""},
        {"id": "x"},
        {"secret_hmac": "00"},
        {"legacy": True},
    ],
    ids=json.dumps,
)
def test_a_key_makes_none_that_may_do_more_than_itself(door: Door, wish: dict[str, object]) -> None:
    """CVE-2026-47101, CVE-2026-47102: a key minted with wider routes than its maker; a caller's own role."""
    arguments = {"principal": "root/agent", "budget_usd_micros": 1000} | wish
    assert door.ask("keys.revoke", key_id=door.data("keys.create", **CONTROL)["id"]).status == 200
    answer = door.ask("keys.create", **arguments)
    assert answer.status in {400, 402}, answer.body
    assert not [
        key
        for key in door.site.ask("keys.list")["keys"]
        if key["principal"] == "root/agent" and key["maker"] == door_id(door)
    ]


def door_id(door: Door) -> str:
    return next(key["id"] for key in door.site.ask("keys.list")["keys"] if key["principal"] == "root")


def test_other_peoples_keys_are_as_unknown_as_none(door: Door) -> None:
    other = door.site.ask("keys.create", principal="victim")["id"]
    for verb in ("keys.show", "keys.rotate", "keys.revoke", "keys.set"):
        theirs, nobodys = door.ask(verb, key_id=other), door.ask(verb, key_id="none")
        assert (theirs.status, nobodys.status) == (404, 404)
        assert theirs.json["detail"].replace(other, "none") == nobodys.json["detail"]
    assert door.ask("keys.revoke", key_id=door_id(door)).status == 404, "nor itself"
    assert door.site.ask("keys.show", key_id=other)["state"] == "in force"


def test_an_administrators_key_opens_nothing_on_the_clients_listener(door: Door) -> None:
    for path in ("/v1/chat/completions", "/execute", "/mcp"):
        answer = post(door.site.url + path, CHAT, x_api_key=door.key)
        assert answer.status == 401
        assert "not valid" in answer.body.decode()
    assert post(f"{door.site.url}/admin/keys.list", {}, x_api_key=door.key).status == 404


def test_a_clients_key_opens_nothing_here(door: Door) -> None:
    client = door.site.client("client")
    assert door.ask("keys.list", client).status == 403
    assert post(f"{door.url}/v1/chat/completions", CHAT, x_api_key=client).status == 404
    assert post(f"{door.url}/admin/keys.list", {}).status == 401


@pytest.mark.parametrize(
    "verb", ["run", "keys.adopt", "keys.revoke_all", "audit.verify", "perform", "__class__"]
)
def test_what_is_not_in_the_table_does_not_exist(door: Door, verb: str) -> None:
    """CVE-2026-42271: no route starts anything; a document runs through the clients' listener alone."""
    assert door.ask(verb).status == 404


def test_scopes_are_asked_for_one_by_one(door: Door) -> None:
    for verb in ("signers.list", "usage", "audit.tail"):
        assert door.ask(verb).status == 403
    auditor = door.site.client("auditor", scopes=["admin:audit"])
    assert door.data("audit.tail", auditor, count=1)["entries"]
    assert door.ask("keys.list", auditor).status == 403


def test_a_web_page_and_a_foreign_name_reach_nothing(door: Door) -> None:
    """CVE-2025-49596, CVE-2025-64443: administration on loopback is no matter of trust in loopback."""
    url = f"{door.url}/admin/keys.list"
    assert post(url, {}, x_api_key=door.key, origin="https://evil.example").status == 403
    assert post(url, {}, x_api_key=door.key, host="evil.example").status == 403
    request = urllib.request.Request(url, b"{}", {"content-type": "text/plain", "x-api-key": door.key})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=30)
    with refused.value as error:
        assert error.code == 415


def test_what_is_done_is_told_in_the_servers_log(door: Door) -> None:
    made = door.data("keys.create", principal="root/told", budget_usd_micros=1)
    line = next(
        line
        for line in door.site.said.splitlines()
        if "route=keys.create" in line and "principal=root" in line
    )
    assert "verdict=allowed" in line
    assert made["key"] not in door.site.said


def test_who_is_not_on_the_list_of_addresses_is_cut_off(
    tmp_path, emulator_url: str, clean_environment: dict[str, str]
) -> None:
    with held_port() as port:
        more = f'[administration]\nlisten = "127.0.0.1:{port}"\nallow = ["192.0.2.0/24"]\n'
        site = make_site(tmp_path / "far", emulator_url, clean_environment, more)
        site.start()
        with socket.create_connection(("127.0.0.1", port), 60) as caller:
            try:
                caller.sendall(b"GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n")
                said = caller.recv(1)
            except ConnectionError:
                said = b""
        assert said == b""
        site.stop()


def test_beyond_loopback_it_is_encrypted_or_it_is_not(tmp_path, emulator_url: str, clean_environment) -> None:
    more = '[administration]\nlisten = "0.0.0.0:0"\n'
    site = make_site(tmp_path / "open", emulator_url, clean_environment, more)
    refused = site.command("serve", "--listen", "127.0.0.1:0")
    assert refused.returncode == 78
    assert "tls" in refused.stderr.lower()
