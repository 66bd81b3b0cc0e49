"""The gate in-process: the order of its checks, and that every answer has what every answer must have."""

import asyncio
import gc
import logging
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from tests.web.fakes import Answer, House, build, call

from macroslow.adapters.system import SystemEntropy
from macroslow.authn.api_keys import checksum
from macroslow.authn.principal import Principal, TokenPrincipal, together
from macroslow.authz import scopes
from macroslow.errors import (
    BudgetExhaustedError,
    NotFoundError,
    OverloadedError,
    RateLimitedError,
    UpstreamUnavailableError,
)
from macroslow.metering.ledger import Usage
from macroslow.services.calls.call_model import ModelAnswer, ModelStream
from macroslow.services.identity.authenticate import Authenticate
from macroslow.services.identity.manage_keys import NewKey
from macroslow.tlog.event import EventType
from macroslow.web import attention
from macroslow.web.administration import admin_routes
from macroslow.web.attention import Attention
from macroslow.web.gate import Gate, GateSettings
from macroslow.web.messages import Message, Receive, Scope, Send
from macroslow.web.protected_resource import ProtectedResource
from macroslow.web.routes import CHAT_BYTES, LOG_PATHS, PUBLIC_PATHS, ROUTES, Route
from macroslow.web.visit import CACHE_HEADER, POLICY_HEADER, SECURITY_HEADERS, Visit

CHAT = "/v1/chat/completions"
SECURED = [route for route in ROUTES if route.path not in PUBLIC_PATHS]


@pytest.fixture
async def house() -> House:
    return await build()


def concrete(route: Route) -> str:
    return route.path.replace("{id}", "r1").replace("{path...}", "0/000.p/5")


def dressed(answer: Answer, policy: bytes = b"", *, log: bool = False) -> None:
    """What every answer has; `policy` is that of a route which has its own, and the log's may be kept."""
    kept = answer.headers["cache-control"] if answer.status == 200 and log else ""
    for name, value in SECURITY_HEADERS:
        expected = policy if policy and name == POLICY_HEADER else value
        expected = kept.encode() if kept and name == CACHE_HEADER else expected
        assert answer.headers[name.decode()] == expected.decode()
    assert len(answer.headers["x-request-id"]) == 24
    assert "server" not in answer.headers


def test_the_headers_that_protect_a_browser_are_these_and_no_weaker() -> None:
    assert dict(SECURITY_HEADERS) == {
        b"cache-control": b"no-store",
        b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'",
        b"cross-origin-opener-policy": b"same-origin",
        b"permissions-policy": b"camera=(), geolocation=(), microphone=()",
        b"referrer-policy": b"no-referrer",
        b"x-content-type-options": b"nosniff",
        b"x-frame-options": b"DENY",
        b"x-xss-protection": b"0",
    }


# Who.


@pytest.mark.parametrize("route", SECURED, ids=lambda route: f"{route.method} {route.path}")
async def test_every_route_but_the_public_ones_wants_a_credential_and_its_scope(
    route: Route, house: House
) -> None:
    body = b"{}" if route.cap_bytes else b""
    content_type = "application/json"
    unknown = await house.ask(route.method, concrete(route), key=None, body=body, content_type=content_type)
    assert unknown.status == 401
    wants = ', scope="mcp:connect"' if route.path == "/mcp" else ""
    assert unknown.headers["www-authenticate"] == 'Bearer realm="macroslow"' + wants
    dressed(unknown, route.policy)
    assert route.scope is not None
    poor = await house.new_key("poor", scopes=scopes.CLIENT - {route.scope} - route.or_scopes)
    lacking = await house.ask(route.method, concrete(route), key=poor, body=body, content_type=content_type)
    assert lacking.status == 403
    assert route.scope.encode() in lacking.body
    told = f'Bearer realm="macroslow", error="insufficient_scope", scope="{route.scope}"'
    assert lacking.headers["www-authenticate"] == told
    dressed(lacking, route.policy)
    assert unknown.body_reads == lacking.body_reads == 0
    allowed = await house.ask(
        route.method, concrete(route), body=b'{"document":"x"}' if body else b"", content_type=content_type
    )
    assert allowed.status in {200, 202}
    dressed(allowed, route.policy, log=route.path in LOG_PATHS)


async def test_the_public_routes_answer_without_a_credential_and_say_little() -> None:
    house = await build(protected=ProtectedResource(issuers=("https://id.example",)))
    for path in sorted(PUBLIC_PATHS):
        answer = await house.ask("GET", path, key=None)
        assert answer.status == 200
        dressed(answer)
    house.application.lifecycle.stop()
    assert (await house.ask("GET", "/health/live", key=None)).status == 200
    not_ready = await house.ask("GET", "/health/ready", key=None)
    assert (not_ready.status, not_ready.json) == (503, {"status": "not ready"})
    assert (await house.ask("GET", "/health")).json["reasons"] == ["shutting down"]


async def test_while_the_log_has_no_room_new_work_waits_and_the_rest_goes_on() -> None:
    reasons = ["less than 256 MiB are free on the disk of /state"]
    house = await build(ready=lambda: reasons)
    for route in ROUTES:
        answer = await house.ask(
            route.method,
            concrete(route),
            body=b'{"document":"x"}' if route.cap_bytes else b"",
            content_type="application/json" if route.cap_bytes else "",
        )
        refused = route.work or route.path in {"/health", "/health/ready"}
        assert (answer.status == 503) == refused, route.path
        if route.work:
            assert answer.headers["retry-after"] == "5"
            assert b"disk" not in answer.body
    assert {route.path for route in ROUTES if route.work} == {
        "/execute",
        "/mcp",
        "/v1/chat/completions",
        "/v1/embeddings",
        "/v1/messages",
        "/v1/responses",
    }
    assert (await house.ask("GET", "/health")).json["reasons"] == reasons
    assert (await house.ask("GET", "/health/live", key=None)).status == 200
    reasons.clear()
    assert (await house.ask("POST", "/mcp", body=b"{}", content_type="application/json")).status == 200


async def test_who_is_unknown_is_told_that_and_not_how_the_log_is() -> None:
    house = await build(ready=lambda: ["full"])
    answer = await house.ask("POST", "/mcp", body=b"{}", content_type="application/json", key=None)
    assert answer.status == 401


async def test_bad_credentials_get_answers_that_differ_in_the_request_id_alone(house: House) -> None:
    wrong = house.key[:-1] + ("0" if house.key[-1] != "0" else "1")
    revoked = await house.keys.create(NewKey("alice"))
    await house.keys.revoke(revoked.record.id)
    seen = []
    for key in (wrong, revoked.text, "sk-x", "' OR 1=1 --", "\x01\x7f", "é", ""):
        answer = await house.ask("GET", "/runs", headers=[("x-api-key", key)], key=None)
        assert answer.status == 401
        assert answer.headers["www-authenticate"] == 'Bearer realm="macroslow", error="invalid_token"'
        request_id = answer.headers["x-request-id"]
        headers = tuple(
            sorted((name, value) for name, value in answer.headers.items() if name != "x-request-id")
        )
        seen.append((headers, answer.body.replace(request_id.encode(), b"ID")))
    assert len(set(seen)) == 1


async def test_a_refused_caller_is_not_read(house: House) -> None:
    for headers in (
        [],
        [("x-api-key", "msk_nope")],
        [("host", "evil.example")],
        [("origin", "https://evil.example")],
    ):
        answer = await house.ask("POST", CHAT, key=None, headers=headers, body=b"x" * 100)
        assert answer.status in {401, 403}
        assert answer.body_reads == 0
        assert answer.headers["connection"] == "close"


async def test_failures_of_an_address_are_limited_and_good_keys_of_it_are_not() -> None:
    house = await build(GateSettings(failures_per_minute=3))
    statuses = [(await house.ask("GET", "/runs", key=None)).status for _ in range(5)]
    assert statuses == [401, 401, 401, 429, 429]
    assert (await house.ask("GET", "/runs")).status == 200
    assert (await house.ask("GET", "/runs", key=None, client=("10.0.0.9", 1))).status == 401
    house.clock.pass_s(20)
    assert (await house.ask("GET", "/runs", key=None)).status == 401


async def test_a_key_has_so_many_requests_under_way_at_once_and_no_more(house: House) -> None:
    key = await house.new_key("alice", concurrent_requests=2)
    house.runs.event_gate.clear()
    streams = [asyncio.create_task(house.ask("GET", "/runs/r1/events", key=key)) for _ in range(2)]
    await asyncio.sleep(0)
    refused = await house.ask("GET", "/runs", key=key)
    assert (refused.status, refused.headers["retry-after"]) == (429, "1")
    assert refused.json["limit"] == "concurrent requests"
    assert (await house.ask("GET", "/runs")).status == 200
    house.runs.event_gate.set()
    assert [answer.status for answer in await asyncio.gather(*streams)] == [200, 200]
    assert (await house.ask("GET", "/runs", key=key)).status == 200


async def test_a_key_of_another_network_is_refused_like_any_bad_one(house: House) -> None:
    key = await house.new_key("alice", addresses=("10.0.0.0/8",))
    assert (await house.ask("GET", "/runs", key=key, client=("10.0.0.9", 1))).status == 200
    for client in (("192.0.2.1", 1), None):
        assert (await house.ask("GET", "/runs", key=key, client=client)).status == 401


async def test_an_address_that_goes_on_guessing_is_told_of_once_an_hour() -> None:
    house = await build(GateSettings(failures_per_minute=2))
    for _ in range(6):
        await house.ask("GET", "/runs", key=None, client=("192.0.2.7", 1))
    assert house.seen.guessing == ["192.0.2.7"]
    for minute in range(120):
        house.clock.pass_s(30)
        await house.ask("GET", "/runs", key=None, client=("2001:db8::1", minute))
        for port in range(4):
            await house.ask("GET", "/runs", key=None, client=("192.0.2.7", port))
    assert house.seen.guessing == ["192.0.2.7", "192.0.2.7"]


@pytest.mark.parametrize(
    "query",
    ["api_key=KEY", "x=1&API-KEY=KEY", "access_token=KEY", "q=KEY", "KEY=1", "q=a%20KEY%20b", "q=%6DTAIL"],
)
async def test_a_key_in_the_query_is_refused_and_shown_nowhere(
    house: House, query: str, caplog: pytest.LogCaptureFixture
) -> None:
    secret = house.key.rpartition("_")[2]
    asked = query.replace("KEY", house.key).replace("TAIL", house.key[1:])
    with caplog.at_level(logging.DEBUG):
        answer = await house.ask("GET", f"/runs?{asked}")
    assert answer.status == 401
    await house.security.flush(closing=True)
    page = (await house.ask("GET", "/metrics")).body.decode()
    assert 'reason="credential-in-query"' in page
    for place in (answer.body.decode(), str(answer.headers), caplog.text, page, repr(house.books.events)):
        assert secret not in place


async def test_the_keyed_hash_is_computed_for_every_key_that_could_be_one(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that time tells neither which ids exist nor what became of them."""
    hashed: list[str] = []
    authenticate = house.authenticate
    hasher = authenticate._hasher
    monkeypatch.setattr(authenticate, "_hasher", lambda key: hashed.append(key.id) or hasher(key))
    other = await build()
    revoked, far = await house.new_key("alice"), await house.new_key("alice", addresses=("10.0.0.0/8",))
    expired = await house.new_key("alice", expires_ns=house.clock.ns + 1)
    await house.keys.revoke(revoked[4:16])
    house.clock.pass_s(1)
    wrong = f"{house.key[:17]}{other.key[17:60]}"
    wrong += checksum(wrong)
    told = set()
    for key in (other.key, wrong, revoked, far, expired):
        answer = await house.ask("GET", "/runs", key=key)
        request_id = answer.headers["x-request-id"].encode()
        told.add((answer.status, answer.body.replace(request_id, b"ID")))
    assert len(told) == 1
    assert hashed == [key[4:16] for key in (other.key, wrong, revoked, far, expired)]


# How often.


async def test_answers_say_how_a_key_with_a_limit_stands(house: House) -> None:
    """draft-ietf-httpapi-ratelimit-headers-11: Lists of Strings with parameters (RFC 9651)."""
    key = await house.new_key("bob", requests_per_minute=60)
    told = [(await house.ask("GET", "/runs", key=key)).headers for _ in range(3)]
    assert {headers["ratelimit-policy"] for headers in told} == {'"key";q=60;w=60'}
    assert [headers["ratelimit"] for headers in told] == [
        '"key";r=59;t=1', '"key";r=58;t=2', '"key";r=57;t=3'
    ]  # fmt: skip
    house.clock.pass_s(1.5)
    assert (await house.ask("GET", "/runs", key=key)).headers["ratelimit"] == '"key";r=57;t=3'
    for _ in range(57):
        last = await house.ask("GET", "/runs", key=key)
    assert (last.status, last.headers["ratelimit"]) == (200, '"key";r=0;t=60')
    odd = await house.new_key("bob", requests_per_minute=7)
    answers = [await house.ask("GET", "/runs", key=odd) for _ in range(8)]
    assert [one.headers["ratelimit"].split(";")[1] for one in answers] == [
        "r=6", "r=5", "r=4", "r=3", "r=2", "r=1", "r=0", "r=0"
    ]  # fmt: skip
    refused = await house.ask("GET", "/runs", key=key)
    assert (refused.status, refused.headers["ratelimit"]) == (429, '"key";r=0;t=60')
    assert refused.headers["retry-after"] == "1"
    assert "ratelimit" not in (await house.ask("GET", "/runs")).headers
    assert "ratelimit" not in (await house.ask("GET", "/health/live", key=key)).headers


async def test_neighbours_in_one_ipv6_network_share_their_failures() -> None:
    house = await build(GateSettings(failures_per_minute=1))
    first = await house.ask("GET", "/runs", key=None, client=("2001:db8::1", 1))
    second = await house.ask("GET", "/runs", key=None, client=("2001:db8::ffff:2", 1))
    other = await house.ask("GET", "/runs", key=None, client=("2001:db8:0:1::1", 1))
    assert [first.status, second.status, other.status] == [401, 429, 401]


async def test_a_key_is_limited_by_its_own_rate(house: House) -> None:
    key = await house.new_key("bob", requests_per_minute=2)
    answers = [await house.ask("GET", "/runs", key=key) for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert answers[2].headers["retry-after"] == "30"
    assert answers[2].json["count"] == 2
    assert (await house.ask("GET", "/runs")).status == 200
    house.clock.pass_s(30)
    assert (await house.ask("GET", "/runs", key=key)).status == 200


async def test_two_keys_of_one_principal_see_the_same_runs_and_another_principal_none(house: House) -> None:
    second = await house.new_key("alice")
    assert (await house.ask("GET", "/runs/r1", key=second)).status == 200
    for path in ("/runs/r1", "/runs/r1/document", "/runs/r1/receipt", "/runs/r1/history", "/runs/r1/events"):
        foreign = await house.ask("GET", path, key=house.other_key)
        unknown = await house.ask("GET", path.replace("r1", "r2"), key=house.other_key)
        assert (foreign.status, unknown.status) == (404, 404)
        same = foreign.body.replace(foreign.headers["x-request-id"].encode(), b"")
        assert same == unknown.body.replace(unknown.headers["x-request-id"].encode(), b"")


# Where.


@pytest.mark.parametrize(
    "path",
    [
        "/nope", "/", "", "//runs", "/runs/", "/runs//", "/./runs", "/x/../runs", "/runs/..", "/runs/.",
        "/runs/%2e%2e", "/%72uns", "/runs%2fr1", "/runs/r1%2Fdocument", "/runs/r1/../r2",
        "/runs/r1/document/", "/runs/r1;x", "/Runs", "/runs/r1\x00", "/runs/\xff", "/runs/" + "a" * 129,
        "/runs/.hidden",
        "/health/live/..", "/health/live%00",
        "/v1/chat/completions/", "/v1//chat/completions", "/mcp/", "/mcp/x", "*", "http://127.0.0.1/runs",
    ],
)  # fmt: skip
@pytest.mark.parametrize("key", ["", None])
async def test_a_path_that_is_not_exactly_a_route_does_not_exist(
    path: str, key: str | None, house: House
) -> None:
    answer = await house.ask("GET", path, key=key)
    assert answer.status == 404
    dressed(answer)


async def test_a_wrong_method_is_told_the_right_ones(house: House) -> None:
    answer = await house.ask("GET", "/execute")
    assert (answer.status, answer.headers["allow"]) == (405, "POST, OPTIONS")
    assert (await house.ask("DELETE", "/runs/r1")).headers["allow"] == "GET, HEAD, OPTIONS"
    assert (await house.ask("GET", "/mcp")).status == 405
    assert (await house.ask("TRACE", "/runs")).status == 405


async def test_options_lists_methods_and_grants_no_origin(house: House) -> None:
    answer = await house.ask("OPTIONS", "/runs", key=None)
    assert (answer.status, answer.headers["allow"], answer.body) == (204, "GET, HEAD, OPTIONS", b"")
    assert "content-length" not in answer.headers
    assert not [name for name in answer.headers if name.startswith("access-control")]
    preflight = await house.ask("OPTIONS", "/runs", key=None, headers=[("origin", "https://evil.example")])
    assert preflight.status == 403


async def test_head_is_get_with_its_own_authentication(house: House) -> None:
    assert (await house.ask("HEAD", "/runs", key=None)).status == 401
    get, head = await house.ask("GET", "/runs"), await house.ask("HEAD", "/runs")
    assert head.headers["content-length"] == get.headers["content-length"]


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "127.0.0.1@evil.example",
        "localhost:80:80", "localhost:http", "[::1", "127.0.0.1/", "127.0.0.1#x", "localhost:999999",
        "127.1", "0x7f000001", "2130706433",
    ],
)  # fmt: skip
async def test_a_foreign_host_is_refused(host: str, house: House) -> None:
    assert (await house.ask("GET", "/runs", headers=[("host", host)])).status == 403


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1", "[::1]:8000", "[::1]"])
async def test_loopback_names_are_served_on_any_port(host: str, house: House) -> None:
    assert (await house.ask("GET", "/runs", headers=[("host", host)])).status == 200


async def test_no_host_or_two_are_refused(house: House) -> None:
    key = (b"x-api-key", house.key.encode())
    host = (b"host", b"127.0.0.1")
    assert (await call(house.gate, "GET", "/runs", [key])).status == 400
    assert (await call(house.gate, "GET", "/runs", [key, host, host])).status == 400
    assert (await call(house.gate, "GET", "/runs", [key, (b"host", b"")])).status == 400


async def test_only_an_origin_of_the_same_host_is_taken(house: House) -> None:
    for origin, status in [
        ("http://127.0.0.1:8000", 200), ("https://127.0.0.1:8000", 200), ("http://127.0.0.1:8001", 403),
        ("http://evil.example", 403), ("null", 403), ("", 403), ("http://127.0.0.1:8000.evil.example", 403),
    ]:  # fmt: skip
        assert (await house.ask("GET", "/runs", headers=[("origin", origin)])).status == status, origin


@pytest.mark.parametrize(
    "twice", ["authorization", "content-type", "content-length", "x-api-key", "origin", "x-macroslow-tag"]
)
async def test_headers_that_decide_something_come_once(twice: str, house: House) -> None:
    headers = [(b"host", b"localhost"), (twice.encode(), b"1"), (twice.encode(), b"1")]
    assert (await call(house.gate, "POST", CHAT, headers)).status == 400


async def test_two_lengths_are_no_length(house: House) -> None:
    base = [
        (b"host", b"localhost"),
        (b"x-api-key", house.key.encode()),
        (b"content-type", b"application/json"),
    ]
    for extra in (
        [(b"content-length", b"2"), (b"transfer-encoding", b"chunked")],
        [(b"transfer-encoding", b"gzip, chunked")],
        [(b"content-length", b"-1")],
        [(b"content-length", b"1e3")],
        [(b"content-length", "²".encode())],
        [(b"content-length", b"9" * 30)],
    ):
        assert (await call(house.gate, "POST", CHAT, base + extra, b"{}")).status == 400


async def test_other_protocols_are_refused(house: House) -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    await house.gate({"type": "websocket", "path": "/mcp", "headers": []}, receive, send)
    assert sent == [{"type": "websocket.close", "code": 1008}]


async def test_lifespan_is_answered(house: House) -> None:
    messages = iter(["lifespan.startup", "lifespan.shutdown"])
    sent: list[str] = []

    async def receive() -> Message:
        return {"type": next(messages)}

    async def send(message: Message) -> None:
        sent.append(message["type"])

    await house.gate({"type": "lifespan"}, receive, send)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


# Bodies.


async def test_only_the_routes_content_types_are_read(house: House) -> None:
    for content_type in (
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "",
        "é",
    ):
        answer = await house.ask("POST", CHAT, body=b"{}", content_type=content_type)
        assert answer.status == 415
        assert answer.body_reads == 0
    for content_type in ("application/json; charset=utf-8", "Application/JSON"):
        assert (await house.ask("POST", CHAT, body=b"{}", content_type=content_type)).status == 200
    packed = await house.ask("POST", CHAT, body=b"{}", headers=[("content-encoding", "gzip")])
    assert packed.status == 415


async def test_a_declared_body_over_the_cap_is_refused_unread_with_the_number(house: House) -> None:
    answer = await house.ask("POST", CHAT, body=b"x", headers=[("content-length", str(CHAT_BYTES + 1))])
    assert answer.status == 413
    assert answer.body_reads == 0
    assert str(CHAT_BYTES) in answer.json["error"]["message"]
    assert answer.json["error"]["limit_bytes"] == CHAT_BYTES
    with_body = await house.ask("GET", "/runs", body=b"x")
    assert with_body.status == 413


@pytest.mark.parametrize("path", [CHAT, "/execute", "/validate", "/mcp"])
async def test_no_route_takes_a_larger_body_than_the_operator_allows(path: str) -> None:
    house = await build(GateSettings(max_body_bytes=1024))
    assert (await house.ask("POST", path, body=b" " * 1024)).status != 413
    answer = await house.ask("POST", path, body=b" " * 1025)
    assert (answer.status, answer.body_reads) == (413, 0)
    assert b"1024" in answer.body


def pieces(*bodies: bytes, then: str = "wait") -> Receive:
    """A caller that sends pieces, and then waits or hangs up."""
    messages = [{"type": "http.request", "body": body, "more_body": True} for body in bodies]

    async def receive() -> Message:
        if messages:
            return messages.pop(0)
        if then == "wait":
            await asyncio.get_running_loop().create_future()
        return {"type": "http.disconnect"}

    return receive


def chat_headers(house: House, *extra: tuple[bytes, bytes]) -> list[tuple[bytes, bytes]]:
    key = (b"x-api-key", house.key.encode())
    return [(b"host", b"localhost"), key, (b"content-type", b"application/json"), *extra]


CHUNKED = (b"transfer-encoding", b"chunked")


async def test_a_chunked_body_over_the_cap_is_refused_when_it_gets_there(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("macroslow.web.bodies.LINGER_S", 0.01)
    receive = pieces(*[b"x" * 65536] * 129)
    answer = await call(house.gate, "POST", CHAT, chat_headers(house, CHUNKED), receive=receive)
    assert answer.status == 413
    assert answer.headers["connection"] == "close"
    assert not house.seen.chats


async def test_a_slow_body_is_refused_and_its_bytes_are_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("macroslow.web.bodies.LINGER_S", 0.01)
    house = await build(GateSettings(body_deadline_s=0.05, bytes_in_flight=65536))
    answer = await call(house.gate, "POST", CHAT, chat_headers(house, CHUNKED), receive=pieces(b"{"))
    assert answer.status == 408
    assert (await house.ask("POST", CHAT, body=b"{}")).status == 200


async def test_a_body_that_is_refused_is_refused_once_however_long_its_rest_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither its deadline nor a hang-up counts while the rest is read away."""
    monkeypatch.setattr("macroslow.web.bodies.LINGER_S", 0.1)
    monkeypatch.setattr(attention, "LOOK_EVERY_S", 0.005)
    house = await build(GateSettings(body_deadline_s=0.02, max_body_bytes=1024))
    receive = pieces(b"x" * 1025)
    answer = await call(house.gate, "POST", CHAT, chat_headers(house, CHUNKED), receive=receive)
    assert (answer.status, len(answer.chunks)) == (413, 2)
    page = (await house.ask("GET", "/metrics")).body.decode()
    assert 'macroslow_refusals_total{reason="too-large"} 1.0' in page
    assert "request-timeout" not in page


async def test_bodies_in_flight_share_a_budget_taken_before_reading() -> None:
    arrived, leave = asyncio.Event(), asyncio.Event()

    async def slow(*_: object, **__: object) -> ModelAnswer:
        arrived.set()
        await leave.wait()
        return ModelAnswer(200, {}, b"{}", Usage(0, 0, 0), 0)

    house = await build(GateSettings(bytes_in_flight=1000), call_model=slow)
    first = asyncio.create_task(house.ask("POST", CHAT, body=b"x" * 600))
    await arrived.wait()
    refused = await house.ask("POST", CHAT, body=b"x" * 600)
    assert (refused.status, refused.headers["retry-after"], refused.body_reads) == (503, "1", 0)
    leave.set()
    assert (await first).status == 200
    assert (await house.ask("POST", CHAT, body=b"x" * 600)).status == 200


async def test_one_principal_holds_a_share_of_the_bytes_in_flight_and_no_more() -> None:
    arrived, leave = asyncio.Event(), asyncio.Event()

    async def slow(*_: object, **__: object) -> ModelAnswer:
        arrived.set()
        await leave.wait()
        return ModelAnswer(200, {}, b"{}", Usage(0, 0, 0), 0)

    house = await build(GateSettings(bytes_in_flight=4000, max_body_bytes=600), call_model=slow)
    first = asyncio.create_task(house.ask("POST", CHAT, body=b"x" * 600))
    await arrived.wait()
    twin = await house.new_key("alice")
    for key in (house.key, twin):
        assert (await house.ask("POST", CHAT, key=key, body=b"x" * 600)).status == 503
    leave.set()
    assert (await house.ask("POST", CHAT, key=house.other_key, body=b"x" * 600)).status == 200
    assert (await first).status == 200
    assert (await house.ask("POST", CHAT, key=twin, body=b"x" * 600)).status == 200


async def test_a_caller_that_hangs_up_while_sending_gets_no_answer_and_leaves_nothing(house: House) -> None:
    receive = pieces(b"{", then="hang up")
    answer = await call(house.gate, "POST", CHAT, chat_headers(house, CHUNKED), receive=receive)
    assert answer.status == 0
    assert not house.seen.chats
    assert b"macroslow_body_bytes_in_flight 0.0" in (await house.ask("GET", "/metrics")).body


# Answers.


async def test_a_chat_reaches_its_use_case_with_body_request_id_and_tag(house: House) -> None:
    answer = await house.ask("POST", CHAT, body=b'{"a":1}', headers=[("x-macroslow-tag", "team/x")])
    ((principal, body, request_id, tag),) = house.seen.chats
    assert (principal.name, body, tag) == ("alice", b'{"a":1}', "team/x")
    assert request_id == answer.headers["x-request-id"]
    assert answer.headers["x-macroslow-cost-usd"] == "0.000012"


async def test_refusals_on_v1_have_the_providers_shape_and_their_numbers() -> None:
    async def broke(*_: object, **__: object) -> ModelAnswer:
        raise BudgetExhaustedError(
            "no room",
            budget="key/x",
            limit_usd_micros=5,
            spent_usd_micros=4,
            held_usd_micros=0,
            needed_usd_micros=2,
        )

    async def limited(*_: object, **__: object) -> ModelAnswer:
        raise RateLimitedError("too many", limit="tokens", count=9, period_s=60, retry_after_s=3.5)

    house = await build(call_model=broke)
    answer = await house.ask("POST", CHAT, body=b"{}")
    assert (answer.status, answer.json["error"]["code"]) == (402, "budget-exhausted")
    house = await build(call_model=limited)
    answer = await house.ask("POST", CHAT, body=b"{}")
    assert (answer.status, answer.headers["retry-after"]) == (429, "4")
    assert (await house.ask("GET", "/v1/nope")).json["error"]["type"] == "invalid_request_error"


async def test_an_unforeseen_exception_is_a_500_that_says_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def broken(*_: object, **__: object) -> dict[str, object]:
        raise ZeroDivisionError("sk-canary-1234")

    house = await build(execute_document=broken)
    answer = await house.ask("POST", "/execute", body=b"x", content_type="text/markdown")
    assert answer.status == 500
    dressed(answer)
    assert b"canary" not in answer.body
    assert b"ZeroDivision" not in answer.body
    (record,) = caplog.records
    assert answer.headers["x-request-id"] in record.getMessage()
    assert "ZeroDivisionError" in record.getMessage()
    assert "canary" not in caplog.text
    assert (await house.ask("GET", "/runs")).status == 200


async def test_the_request_id_is_ours_and_a_sane_one_of_the_callers_is_only_logged(house: House) -> None:
    for given, logged in (("abc-1", "abc-1"), ("a\nb", None), ("x" * 65, None)):
        answer = await house.ask("GET", "/runs/none", headers=[("x-request-id", given)])
        assert answer.headers["x-request-id"] != given
        await house.security.flush()
        event = house.books.events[-1]
        assert event.fields["request_id"] == answer.headers["x-request-id"]
        assert event.fields.get("client_request_id") == logged


async def test_refusals_of_a_known_caller_are_entries_and_of_strangers_counts(house: House) -> None:
    poor = await house.new_key("poor", scopes=frozenset({scopes.RUNS_READ}))
    house.books.events.clear()
    await house.ask("GET", "/metrics", key=poor)
    for _ in range(50):
        await house.ask("GET", "/runs", key=None)
        await house.ask("GET", "/nope", key=None)
    await house.ask("POST", "/health/live", key=None)
    await house.security.flush(closing=True)
    entry, *counts = house.books.events
    assert (entry.type, entry.subject, entry.fields["reason"]) == (EventType.REFUSED, "poor", "missing-scope")
    assert (entry.fields["route"], entry.fields["status"]) == ("/metrics", 403)
    assert {event.fields["reason"]: event.fields["count"] for event in counts} == {
        "credential-missing": 50, "not-found": 50, "method-not-allowed": 1
    }  # fmt: skip


async def test_who_asks_why_a_key_is_refused_finds_the_request_and_the_reason(house: House) -> None:
    ended = await house.keys.create(NewKey("bob"))
    await house.keys.revoke(ended.record.id)
    house.books.events.clear()
    answers = [await house.ask("GET", "/v1/models", key=ended.text) for _ in range(20)]
    await house.security.flush(closing=True)
    *entries, summary = house.books.events
    assert [entry.fields["request_id"] for entry in entries] == [
        answer.headers["x-request-id"] for answer in answers[: len(entries)]
    ]
    assert {(entry.subject, entry.fields["key_id"], entry.fields["reason"]) for entry in entries} == {
        ("bob", ended.record.id, "credential-revoked")
    }
    assert (summary.type, summary.subject) == (EventType.REFUSALS_SUMMARY, "bob")
    assert summary.fields["count"] == 20 - len(entries) > 0  # type: ignore[operator]


async def test_metrics_count_requests_refusals_and_the_ledgers_usage(house: House) -> None:
    await house.ask("GET", "/runs/none")
    await house.ask("GET", "/runs", key=None)
    await house.ask("GET", "/" + "x" * 50, key=None)
    text = (await house.ask("GET", "/metrics")).body.decode()
    assert 'macroslow_requests_total{route="/runs/{id}",status="4xx"} 1.0' in text
    assert 'macroslow_requests_total{route="none",status="4xx"} 1.0' in text
    assert 'macroslow_refusals_total{reason="credential-missing"} 1.0' in text
    assert 'macroslow_model_tokens_total{direction="output",model="gpt-5"} 20.0' in text
    assert 'macroslow_model_usd_micros_total{model="gpt-5"} 30.0' in text


async def test_mcp_gets_the_principal_and_the_body_under_the_same_headers(house: House) -> None:
    answer = await house.ask("POST", "/mcp", body=b'{"jsonrpc":"2.0"}')
    assert answer.status == 200
    dressed(answer)
    ((principal, body),) = house.seen.mcp
    assert (principal.name, body) == ("alice", b'{"jsonrpc":"2.0"}')
    unknown = await house.ask("POST", "/mcp", key=None, body=b"{}")
    assert unknown.status == 401
    assert unknown.json["jsonrpc"] == "2.0"


async def test_a_mounted_application_that_breaks_is_a_500(caplog: pytest.LogCaptureFixture) -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise RuntimeError("sk-canary")

    house = await build(mcp=broken)
    answer = await house.ask("POST", "/mcp", body=b"{}")
    assert answer.status == 500
    dressed(answer)
    assert b"canary" not in answer.body
    assert "canary" not in caplog.text


async def test_a_mounted_application_that_refuses_is_believed(house: House) -> None:
    async def closed(scope: Scope, receive: Receive, send: Send) -> None:
        raise OverloadedError("the gateway is shutting down")

    house = await build(mcp=closed)
    answer = await house.ask("POST", "/mcp", body=b"{}")
    assert (answer.status, answer.json["error"]["data"]["detail"]) == (503, "the gateway is shutting down")
    dressed(answer)


# Hang-up.


async def test_a_caller_that_hangs_up_cancels_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "LOOK_EVERY_S", 0.01)
    cancelled = asyncio.Event()

    async def endless(*_: object, **__: object) -> ModelAnswer:
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            cancelled.set()
            raise
        raise AssertionError

    house = await build(call_model=endless)
    messages: list[Message] = [{"type": "http.request", "body": b"{}", "more_body": False}]

    async def receive() -> Message:
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    headers = chat_headers(house, (b"content-length", b"2"))
    answer = await call(house.gate, "POST", CHAT, headers, receive=receive)
    assert answer.status == 0
    assert cancelled.is_set()
    current = asyncio.current_task()
    assert current is not None
    assert not current.cancelling()


async def test_a_stream_is_sent_as_it_comes_and_closed_when_its_caller_leaves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(attention, "LOOK_EVERY_S", 0.01)
    closed = asyncio.Event()
    leaving = asyncio.Event()

    async def chunks() -> AsyncIterator[bytes]:
        try:
            yield b"data: 1\n\n"
            leaving.set()
            await asyncio.get_running_loop().create_future()
        finally:
            closed.set()

    async def stream(*_: object, **__: object) -> ModelStream:
        return ModelStream({"content-type": "text/event-stream"}, chunks())  # type: ignore[arg-type]

    house = await build(call_model=stream)
    messages: list[Message] = [{"type": "http.request", "body": b"{}", "more_body": False}]

    async def receive() -> Message:
        if messages:
            return messages.pop(0)
        await leaving.wait()
        return {"type": "http.disconnect"}

    headers = chat_headers(house, (b"content-length", b"2"))
    answer = await call(house.gate, "POST", CHAT, headers, receive=receive)
    assert answer.chunks == [b"data: 1\n\n"]
    assert closed.is_set()


@pytest.mark.parametrize(
    ("reason", "told"), [("", "it is away"), ("ECONNREFUSED", "it is away (ECONNREFUSED)")]
)
async def test_a_failure_upstream_is_told_once(
    reason: str, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def failing(*_: object, **__: object) -> ModelStream:
        raise UpstreamUnavailableError("it is away", upstream="up", reason=reason)

    house = await build(call_model=failing)
    await house.ask("POST", CHAT, body=b"{}")
    assert [record.getMessage().partition(": ")[2] for record in caplog.records] == [told]


async def test_a_stream_that_breaks_off_is_left_incomplete(caplog: pytest.LogCaptureFixture) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"data: 1\n\n"
        raise ValueError("sk-canary")

    async def stream(*_: object, **__: object) -> ModelStream:
        return ModelStream({"content-type": "text/event-stream"}, chunks())  # type: ignore[arg-type]

    house = await build(call_model=stream)
    answer = await house.ask("POST", CHAT, body=b"{}")
    assert answer.chunks == [b"data: 1\n\n"]  # no empty last piece
    assert "canary" not in caplog.text


async def test_a_caller_that_takes_nothing_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "LOOK_EVERY_S", 0.001)
    monkeypatch.setattr(attention, "STALL_S", 0.05)

    async def chunks() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 1000

    async def stream(*_: object, **__: object) -> ModelStream:
        return ModelStream({}, chunks())  # type: ignore[arg-type]

    house = await build(call_model=stream)
    messages: list[Message] = [{"type": "http.request", "body": b"{}", "more_body": False}]

    async def receive() -> Message:
        if not messages:
            await asyncio.get_running_loop().create_future()
        return messages.pop(0)

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            await asyncio.get_running_loop().create_future()  # the socket's buffer is full and stays so

    scope = {
        "type": "http", "method": "POST", "raw_path": CHAT.encode(), "query_string": b"",
        "headers": chat_headers(house, (b"content-length", b"2")), "client": None, "state": {},
    }  # fmt: skip
    async with asyncio.timeout(5):
        await house.gate(scope, receive, send)


async def test_a_cancellation_from_outside_stays_one(house: House) -> None:
    working = asyncio.Event()

    async def endless(*_: object, **__: object) -> dict[str, object]:
        working.set()
        await asyncio.get_running_loop().create_future()
        raise AssertionError

    house = await build(execute_document=endless)
    asking = asyncio.create_task(house.ask("POST", "/execute", body=b"x", content_type="text/markdown"))
    await working.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking


async def test_the_runs_events_are_sent_as_they_happen(house: House) -> None:
    answer = await house.ask("GET", "/runs/r1/events")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.body.count(b"event: run\n") == 2
    assert answer.body.endswith(b'"state":"success"}\n\n')
    assert house.runs.closed_streams == 1


async def test_a_quiet_stream_shows_that_it_is_alive(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("macroslow.web.handlers.runs.HEARTBEAT_S", 0.01)
    house.runs.event_gate.clear()
    beat = asyncio.Event()
    headers = [(b"host", b"localhost"), (b"x-api-key", house.key.encode())]
    scope = {
        "type": "http", "method": "GET", "raw_path": b"/runs/r1/events", "query_string": b"",
        "headers": headers, "client": None, "state": {},
    }  # fmt: skip

    async def send(message: Message) -> None:
        if message.get("body") == b": still here\n\n":
            beat.set()

    serving = asyncio.create_task(house.gate(scope, pieces(), send))
    async with asyncio.timeout(5):
        await beat.wait()
        house.runs.event_gate.set()
        await serving


async def test_a_documents_bytes_come_back_as_a_file(house: House) -> None:
    answer = await house.ask("GET", "/runs/r1/document")
    assert answer.body == b"---\noriginal\r\nbytes \xff"
    assert answer.headers["content-disposition"].startswith("attachment")


async def test_not_found_from_a_use_case_is_a_problem(house: House) -> None:
    async def missing() -> bytes:
        raise NotFoundError("no checkpoint")

    house = await build(checkpoint=missing)
    answer = await house.ask("GET", "/log/checkpoint")
    assert answer.status == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json["request_id"] == answer.headers["x-request-id"]


def gate_of(house: House, *, administrators: bool) -> Gate:
    """The gate of one of the two listeners, over the same house."""
    return Gate(
        house.application,
        admin_routes(perform) if administrators else ROUTES,
        house.authenticate,
        house.security,
        house.clock,
        SystemEntropy(),
        GateSettings(administrators=administrators),
    )


@pytest.mark.parametrize("administrators", [False, True])
async def test_a_token_is_none_of_an_administrator_s_and_lends_an_administrators_key_nothing(
    house: House, administrators: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever an issuer may say: administration is for keys alone, on a listener of their own."""
    everything = Principal("alice", "key/a", "a", scopes=scopes.ALL)
    subject = TokenPrincipal("jwt/main/eve", "jwt/main/eve", scopes=scopes.ALL, issuer="main", subject="eve")
    client = replace(subject, scopes=scopes.CLIENT)
    gate = gate_of(house, administrators=administrators)
    for shown, opens in [
        (everything, administrators),
        (subject, False),
        (together(everything, subject), False),
        (together(everything, client), False),
        (together(replace(everything, scopes=scopes.CLIENT), client), not administrators),
    ]:

        async def shows(*_: object, who: Principal = shown) -> Principal:
            return who

        monkeypatch.setattr(Authenticate, "__call__", shows)
        asked = [("POST", "/admin/keys.list")] if administrators else [("GET", "/v1/models")]
        for method, path in asked:
            answer = await call(gate, method, path, [(b"host", b"127.0.0.1")])
            assert answer.status == (200 if opens else 401), shown


@pytest.mark.parametrize(("administrators", "section"), [(False, "[server]"), (True, "[administration]")])
async def test_a_foreign_host_is_told_the_section_that_lists_those_of_its_listener(
    house: House, administrators: bool, section: str
) -> None:
    gate = gate_of(house, administrators=administrators)
    path = "/admin/keys.list" if administrators else "/v1/models"
    answer = await call(gate, "POST", path, [(b"host", b"gateway.example")])
    assert answer.status == 403
    assert f"add the name to {section} allowed_hosts".encode() in answer.body


async def perform(verb: str, arguments: object, by: Principal) -> object:
    return {"verb": verb, "by": by.name}


async def test_an_administrators_key_counts_as_a_failed_attempt_among_clients() -> None:
    """Or whoever has used up an address's attempts could tell it from a bad one."""
    house = await build(GateSettings(failures_per_minute=2))
    key = await house.new_key("root", scopes=frozenset({scopes.ADMIN_KEYS}))
    assert [(await house.ask("GET", "/runs", key=key)).status for _ in range(3)] == [401, 401, 429]


async def test_a_request_that_is_over_is_gone_without_a_collection(house: House) -> None:
    gc.collect()
    gc.disable()
    try:
        for _ in range(5):
            assert (await house.ask("GET", "/runs")).status == 200
        left = [each for each in gc.get_objects() if isinstance(each, Visit | Attention)]
    finally:
        gc.enable()
    assert not left
