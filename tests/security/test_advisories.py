"""What broke comparable products, and the tests that show it does not happen here.

BY_TEST is the index: each advisory that can concern this product, and tests by file and name, here or where
their subject is. OF_NO_CONCERN says of the others why not.
"""

import ast
import json
import re
from functools import cache
from pathlib import Path

import pytest
from tests.web.fakes import House, build

from macroslow.authz import scopes
from macroslow.web.routes import ROUTES

TESTS = Path(__file__).parent.parent
HERE = "security/test_advisories.py"

BY_TEST: dict[str, list[str]] = {
    "CVE-2026-42208 / GHSA-r75f-5x8p-qvmc: SQL in a key, before authentication": [
        "web/test_serve.py::test_sql_and_control_characters_in_a_credential_are_a_plain_401",
        f"{HERE}::test_no_value_is_put_into_sql_between_quotes",
    ],
    "CVE-2026-42271, CVE-2026-30623: a command over the network": [
        "e2e/test_administration.py::test_what_is_not_in_the_table_does_not_exist",
        f"{HERE}::test_no_module_of_the_edge_can_start_evaluate_or_fetch_anything",
    ],
    "CVE-2026-42203 / GHSA-xqmj-j6mv-4862, GHSA-46cm-pfwv-cgf8: templates that are evaluated": [
        f"{HERE}::test_no_module_of_the_edge_can_start_evaluate_or_fetch_anything",
        f"{HERE}::test_a_template_in_a_members_place_is_text",
    ],
    "CVE-2026-40217: code in the web process": ["adapters/sandbox/test_hostile.py"],
    "CVE-2026-47101: a key mints more than itself": [
        "authz/test_subset.py",
        "services/identity/test_manage_keys.py",
    ],
    "CVE-2026-47102, CVE-2026-35029: a caller writes its own role": [
        f"{HERE}::test_a_caller_cannot_write_its_own_role_or_scopes",
        "authn/jwt/test_check.py",
        "e2e/test_administration.py",
    ],
    "CVE-2026-35030: a cache that takes one token for another": ["services/identity/test_verify_tokens.py"],
    "CVE-2026-49468 / GHSA-4xpc-pv4p-pm3w, CVE-2026-48710 / GHSA-86qp-5c8j-p5mr: a Host moves the path": [
        f"{HERE}::test_a_host_never_decides_which_path_is_authorised",
        "web/test_hostile_requests.py::test_each_shape_is_answered_as_the_corpus_says_and_others_are_served",
    ],
    "GHSA-69x8-hrgq-fjj8: a hash that serves as the password": [
        "services/identity/test_authenticate.py::test_the_stored_hash_is_no_key"
    ],
    "CVE-2024-6587 / GHSA-g26j-5385-hhw3: a caller's base URL gets the key": [
        f"{HERE}::test_a_destination_in_a_request_is_refused_or_means_nothing",
        "e2e/test_own_keys.py",
    ],
    "CVE-2024-8984 / GHSA-fh2c-86xm-pm2x: a multipart boundary that costs everything": [
        f"{HERE}::test_a_boundary_costs_no_more_than_its_bytes",
        "web/test_documents.py::test_a_form_without_a_usable_boundary_is_refused",
    ],
    "GHSA-5mg7-485q-xm76 (litellm 1.82.7): a malicious release": [
        f"{HERE}::test_everything_that_is_installed_is_locked_by_its_digest"
    ],
    "CVE-2025-66405, Portkey #1718: a header or a redirect chooses the upstream": [
        f"{HERE}::test_a_destination_in_a_request_is_refused_or_means_nothing",
        "adapters/model_api/test_provider.py::test_redirects_are_not_followed",
        "adapters/model_api/test_provider.py::test_a_destination_that_is_not_plain_is_refused",
        "adapters/http_api/test_client.py::test_redirects_are_not_followed",
        "adapters/jwks/test_fetched_keys.py::test_a_redirect_is_not_followed",
    ],
    "CVE-2026-29791 / GHSA-v2x6-wwfw-r2rq, CVE-2026-32871 / GHSA-vv7q-7jx5-f767: arguments become a path": [
        "workflow/test_outside.py::test_whatever_passes_stays_on_the_host_and_below_the_base",
        "adapters/model_api/test_usage_client.py::test_whatever_is_asked_stays_within_the_query",
    ],
    "CVE-2025-69196 / GHSA-5h2m-4q8j-pqpj: a token for another audience": ["authn/jwt/test_check.py"],
    "CVE-2025-64443, CVE-2025-66416 / GHSA-9h52-p55h-vw2f: DNS rebinding": [
        f"{HERE}::test_a_foreign_host_or_origin_opens_no_route",
        "web/test_gate.py::test_only_an_origin_of_the_same_host_is_taken",
        "e2e/test_administration.py::test_a_web_page_and_a_foreign_name_reach_nothing",
    ],
    "CVE-2026-55887 / GHSA-r2xf-7jw5-pjg6: metadata decides what runs with which rights": [
        "adapters/sandbox/test_hostile.py"
    ],
    "GHSA-g53w-w6mj-hrpp: a default secret": [f"{HERE}::test_there_is_no_default_secret_to_know"],
    "MSRC-112281, CVE-2026-52869, CVE-2026-52870 / GHSA-hvrp-rf83-w775: another's session, run or file": [
        f"{HERE}::test_what_belongs_to_one_principal_is_unknown_to_every_other",
        "e2e/test_kill_a_run.py::test_another_principals_run_is_an_unknown_run_everywhere",
    ],
    "CVE-2026-59950 / GHSA-vj7q-gjh5-988w: a WebSocket without an Origin": [
        "web/test_hostile_requests.py::test_each_shape_is_answered_as_the_corpus_says_and_others_are_served",
        f"{HERE}::test_a_websocket_is_refused_whatever_its_origin",
    ],
    "CVE-2025-53366: a malformed request ends the service": [
        "web/mcp/test_endpoint.py::test_hostile_bodies_are_answered_and_the_endpoint_goes_on",
        "security/test_mcp_transport.py::test_n13_a_hostile_body_is_answered_as_what_it_is",
        "security/test_mcp_fuzz.py",
    ],
    "CVE-2026-25536 / GHSA-345p-7cg4-v4c7: equal ids, crossed answers": [
        "mcp/test_own_tools.py::test_many_calls_at_once_keep_their_principals_apart",
        "security/test_mcp_transport.py::test_n15_equal_ids_of_two_clients_at_once_stay_apart",
    ],
    "CVE-2025-49596: a local service trusts whoever is local": [
        "e2e/test_administration.py::test_a_web_page_and_a_foreign_name_reach_nothing"
    ],
}

OF_NO_CONCERN: dict[str, str] = {
    "CVE-2026-27124 / GHSA-rww4-4w9c-7733, GHSA-c2jp-c369-7pvx": "no OAuth proxy and no consent page here",
    "GHSA-4gph-2hhr-5mwg": "a JSON-RPC body is parsed once, and none is passed on to another server",
    "CVE-2025-64340": "no helper writes a server's name into a shell",
    "CVE-2025-6514": "no metadata is opened by a program",
    "CVE-2025-54136": "no MCP server behind the gateway yet, so no tool that could change after approval",
}


@cache
def _names(file: str) -> set[str]:
    found = ast.walk(ast.parse((TESTS / file).read_text()))
    return {node.name for node in found if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


@pytest.mark.parametrize("advisory", BY_TEST)
def test_each_advisory_has_the_tests_that_the_index_names(advisory: str) -> None:
    for named in BY_TEST[advisory]:
        file, _, test = named.partition("::")
        names = _names(file)
        assert test in names if test else any(name.startswith("test_") for name in names), named


def test_no_advisory_is_both_tested_and_of_no_concern() -> None:
    ids = [re.findall(r"CVE-\d+-\d+|GHSA(?:-\w+){3}", text) for text in (*BY_TEST, *OF_NO_CONCERN)]
    assert not set().union(*ids[: len(BY_TEST)]) & set().union(*ids[len(BY_TEST) :])


# The edge, authentication and routing

SOURCES = Path(__file__).parent.parent.parent / "src" / "macroslow"
STARTS = {
    "subprocess",
    "pty",
    "os.system",
    "popen",
    "exec",
    "eval",
    "compile",
    "jinja2",
    "importlib",
    "pickle",
}
FETCHES = {"aiohttp", "urllib.request", "http.client", "requests", "httpx"}


@pytest.mark.parametrize(
    "path", sorted((SOURCES / "web").rglob("*.py")), ids=lambda path: str(path.relative_to(SOURCES))
)
def test_no_module_of_the_edge_can_start_evaluate_or_fetch_anything(path: Path) -> None:
    """CVE-2026-42271, CVE-2026-30623, CVE-2026-42203: commands, templates and URLs of a caller."""
    used: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            used |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            used |= {node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Call):
            used.add(ast.unparse(node.func))
    assert not used & (STARTS | FETCHES)


def test_no_value_is_put_into_sql_between_quotes() -> None:
    """CVE-2026-42208: values are bound; what is formatted into a statement are names of ours."""
    words = re.compile(r"\b(SELECT|INSERT|UPDATE|DELETE)\b.*\b(FROM|INTO|SET)\b", re.DOTALL)
    seen = 0
    for path in sorted(SOURCES.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr) and words.search(ast.unparse(node)):
                seen += 1
                texts = [part.value if isinstance(part, ast.Constant) else "\0" for part in node.values]
                assert not re.search("['\"]%?\0", "".join(map(str, texts))), path
    assert seen


@pytest.fixture
async def house() -> House:
    return await build()


async def test_a_websocket_is_refused_whatever_its_origin(house: House) -> None:
    """CVE-2026-59950: no WebSocket is spoken."""
    sent = []

    async def send(message) -> None:
        sent.append(message)

    await house.gate({"type": "websocket", "path": "/mcp", "headers": []}, None, send)  # type: ignore[arg-type]
    assert sent == [{"type": "websocket.close", "code": 1008}]


MOVED = [
    "127.0.0.1:8000/health/live?",
    "127.0.0.1/health/live#",
    "127.0.0.1:8000@evil",
    "evil@127.0.0.1",
    "127.0.0.1\\health\\live",
    "[::1",
    "127.0.0.1:8000:1",
    "127.0.0.1 /health/live",
    "",
]


@pytest.mark.parametrize("host", MOVED)
@pytest.mark.parametrize("path", ["/runs", "/execute", "/metrics", "/v1/chat/completions", "/mcp"])
async def test_a_host_never_decides_which_path_is_authorised(house: House, host: str, path: str) -> None:
    """CVE-2026-49468, CVE-2026-48710 (BadHost): what is authorised is the path of the request line."""
    for key in (None, ""):
        answer = await house.ask("GET", path, key=key, headers=[("host", host)])
        assert answer.status in {400, 403}
    assert not house.seen.mcp


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
async def test_a_foreign_host_or_origin_opens_no_route(house: House, route) -> None:
    """CVE-2025-64443, CVE-2025-66416: rebound names and other pages, on every route there is."""
    path = route.path.replace("{id}", "r1").replace("{path...}", "0/000.p/5")
    for headers in (
        [("host", "evil.example")],
        [("origin", "http://evil.example")],
        [("origin", "null")],
        [("origin", "http://127.0.0.1:8000.evil.example")],
        [("origin", "http://127.0.0.1:9999")],
    ):
        answer = await house.ask(route.method, path, headers=headers)
        assert answer.status == 403
        assert "access-control-allow-origin" not in answer.headers


ROLES = {"role": "admin", "scopes": ["admin:keys"], "principal": "mallory", "is_admin": True, "key_id": "k"}


@pytest.mark.parametrize(
    "route",
    [r for r in ROUTES if r.scope and not r.path.startswith("/v1/")],
    ids=lambda r: f"{r.method} {r.path}",
)
async def test_a_caller_cannot_write_its_own_role_or_scopes(house: House, route) -> None:
    """CVE-2026-47102, CVE-2026-35029: in the body, the query or headers."""
    key = await house.new_key("bob", scopes=frozenset({scopes.USAGE_READ}))
    path = route.path.replace("{id}", "r1").replace("{path...}", "0/000.p/5")
    headers = [(f"x-{name.replace('_', '-')}", "admin:keys") for name in ROLES]
    headers += [("x-forwarded-user", "alice"), ("x-remote-user", "alice"), ("x-scopes", route.scope)]
    body = json.dumps(ROLES).encode() if route.cap_bytes else b""
    answer = await house.ask(
        route.method, f"{path}?role=admin&scopes={route.scope}", key=key, headers=headers, body=body
    )
    assert answer.status == 403
    assert answer.json.get("scope", answer.json.get("error", {}).get("data", {}).get("scope")) == route.scope


PLACES = ["base_url", "api_base", "api_key", "proxy", "custom_llm_provider", "user_config", "organization"]


@pytest.mark.parametrize("place", PLACES)
async def test_a_destination_in_a_request_is_refused_or_means_nothing(house: House, place: str) -> None:
    """CVE-2024-6587, CVE-2025-66405: headers that other gateways read are ours alone and go nowhere."""
    value = "http://169.254.169.254/"
    names = [
        place.replace("_", "-"),
        f"x-{place.replace('_', '-')}",
        "x-portkey-custom-host",
        "x-forwarded-host",
    ]
    answer = await house.ask(
        "POST", f"/v1/messages?{place}={value}", body=b"{}", headers=[(name, value) for name in names]
    )
    assert answer.status in {200, 400, 401}
    for _, passed in house.seen.asked:
        assert value not in json.dumps(passed)


async def test_a_template_in_a_members_place_is_text(house: House) -> None:
    """CVE-2026-42203, GHSA-46cm-pfwv-cgf8: nothing that a caller writes is rendered."""
    payload = "{{ ''.__class__.__mro__[1].__subclasses__() }}${7*7}#{7*7}<%= 7*7 %>{0.__class__}%(x)s"
    body = json.dumps({"model": payload, "messages": []}).encode()
    assert (await house.ask("POST", "/v1/chat/completions", body=body)).status == 200
    assert house.seen.chats[0][1] == body
    for path in ("/execute", "/validate"):
        document = json.dumps({"document": payload, "inputs": {payload: payload}}).encode()
        assert (await house.ask("POST", path, body=document)).status == 200
    assert all(each.raw == payload.encode() for each in house.seen.submissions)


@pytest.mark.parametrize("boundary", ["-" * 69, "a" * 70, "--", "-", "\\r\\n", "a" * 5000])
async def test_a_boundary_costs_no_more_than_its_bytes(house: House, boundary: str) -> None:
    """CVE-2024-8984: a body of hardly anything but the boundary's letters is read in one pass."""
    body = b"--" + boundary.encode() + b"\r\n" + b"-" * 2_000_000
    answer = await house.ask(
        "POST", "/validate", body=body, content_type=f"multipart/form-data; boundary={boundary}"
    )
    assert answer.status in {400, 413, 415}


@pytest.mark.parametrize(
    "path", ["/runs/r1", "/runs/r1/events", "/runs/r1/document", "/runs/r1/history", "/runs/r1/receipt"]
)
async def test_what_belongs_to_one_principal_is_unknown_to_every_other(house: House, path: str) -> None:
    """CVE-2026-52869, CVE-2026-52870, MSRC-112281: another's id is no id, and is told like one."""
    assert (await house.ask("GET", path)).status == 200
    foreign = await house.ask("GET", path, key=house.other_key)
    unknown = await house.ask("GET", path.replace("r1", "r2"), key=house.other_key)
    told = [{**answer.json, "request_id": ""} for answer in (foreign, unknown)]
    assert (foreign.status, told[0]) == (unknown.status, told[1])
    assert foreign.status == 404


def test_there_is_no_default_secret_to_know() -> None:
    """GHSA-g53w-w6mj-hrpp: no field of the settings that is a secret has a value of its own."""
    schema = json.dumps(_settings_schema())
    assert not re.search(r'"(secret|password|pepper|token)\w*": \{[^{}]*"default": "[^"]+"', schema)


def _settings_schema() -> object:
    from macroslow.settings.model import Settings  # here: it is slow to import

    return Settings.model_json_schema()


def test_everything_that_is_installed_is_locked_by_its_digest() -> None:
    """litellm 1.82.7 and 1.82.8: a release that was not the project's."""
    for name in ("dev.txt", "runtime.txt"):
        text = (SOURCES.parent.parent / "requirements" / name).read_text().replace("\\\n", "")
        lines = [line for line in text.splitlines() if line and not line.startswith("#")]
        assert len(lines) > 20
        assert all("==" in line and "--hash=sha256:" in line for line in lines)
        assert "://" not in text
