"""The description is OpenAPI 3.1, has every route, and says of each what the table says."""

import gzip
import json
import re
from pathlib import Path

import jsonschema_rs
import pytest
from tests.web.fakes import build

from macroslow.authz import scopes
from macroslow.web.administration import admin_routes
from macroslow.web.openapi import describe, path_of
from macroslow.web.openapi_page import POLICY, page
from macroslow.web.route_pages import PAGES
from macroslow.web.routes import ROUTES, Route

DESCRIPTION = describe(ROUTES, "0")
VECTORS = Path(__file__).parent.parent / "vectors"


def test_it_is_openapi_3_1_by_the_initiatives_own_schema() -> None:
    rules = json.loads(gzip.decompress((VECTORS / "openapi_3_1_schema.json.gz").read_bytes()))
    jsonschema_rs.validate(rules, DESCRIPTION)
    broken = {**DESCRIPTION, "paths": {"no-slash": {}}}
    assert not jsonschema_rs.is_valid(rules, broken)


def test_each_schema_in_it_is_one_and_each_reference_leads_somewhere() -> None:
    for schema in DESCRIPTION["components"]["schemas"].values():
        jsonschema_rs.meta.validate(schema)
    named = set(re.findall(r"#/components/schemas/(\w+)", json.dumps(DESCRIPTION)))
    assert named == set(DESCRIPTION["components"]["schemas"])


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_each_route_is_in_it_as_the_table_has_it(route: Route) -> None:
    operation = DESCRIPTION["paths"][path_of(route.path)][route.method.lower()]
    opening = [] if route.scope is None else [route.scope, *sorted(route.or_scopes)]
    wanted = [{kind: [scope]} for kind in ("key", "bearer") for scope in opening]
    assert operation["security"] == wanted
    assert operation.get("x-max-body-bytes", 0) == route.cap_bytes
    assert set(operation.get("requestBody", {"content": {}})["content"]) == route.content_types
    assert ("401" in operation["responses"]) == (route.scope is not None)
    assert [each["name"] for each in operation["parameters"] if each["in"] == "path"] == re.findall(
        r"{(\w+)", route.path
    )


def test_it_has_nothing_that_is_not_in_the_table() -> None:
    described = {(m.upper(), path) for path, methods in DESCRIPTION["paths"].items() for m in methods}
    assert described == {(route.method, path_of(route.path)) for route in ROUTES}
    assert {(route.method, route.path) for route in ROUTES} == set(PAGES)
    ids = [each["operationId"] for methods in DESCRIPTION["paths"].values() for each in methods.values()]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize(
    ("path", "schema"),
    [
        ("/nope", "Problem"),
        ("/v1/nope", "OpenAIError"),
        ("/v1/messages", "AnthropicError"),
        ("/mcp", "JSONRPCError"),
    ],
)
async def test_errors_are_as_they_are_described(path: str, schema: str) -> None:
    house = await build()
    answer = await house.ask("GET", path)
    rules = {**DESCRIPTION["components"]["schemas"][schema], "components": DESCRIPTION["components"]}
    assert answer.status in {404, 405}
    assert jsonschema_rs.is_valid(rules, answer.json)
    assert not jsonschema_rs.is_valid(rules, {})


@pytest.mark.parametrize(
    ("method", "path"),
    [(r.method, r.path) for r in ROUTES if r.path.startswith("/v1/") and r.method == "POST"],
)
def test_examples_of_bodies_are_what_the_gateway_reads(method: str, path: str) -> None:
    content = DESCRIPTION["paths"][path]["post"]["requestBody"]["content"]["application/json"]
    assert jsonschema_rs.is_valid(content["schema"], content["example"])


async def test_it_is_served_to_who_may_read_it() -> None:
    house = await build()
    answer = await house.ask("GET", "/openapi.json")
    assert answer.json == json.loads(json.dumps(DESCRIPTION))
    narrow = await house.new_key("bob", scopes=frozenset({scopes.INFERENCE_CHAT}))
    for path in ("/openapi.json", "/docs"):
        assert (await house.ask("GET", path, key=None)).status == 401
        assert (await house.ask("GET", path, key=narrow)).status == 403


async def test_the_page_loads_nothing_and_only_its_own_style_is_allowed() -> None:
    house = await build()
    answer = await house.ask("GET", "/docs")
    text = answer.body.decode()
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-security-policy"].encode() == POLICY
    assert POLICY.startswith(b"default-src 'none'; style-src 'sha256-")
    assert b"unsafe" not in POLICY
    assert not re.search(
        r"<script|<link|<img|<iframe|<form|\bsrc=|\bhref=|\bon\w+=|style=|@import|url\(", text
    )
    for route in ROUTES:
        assert f">{path_of(route.path).replace('&', '&amp;')}</code>" in text
    assert [route.path for route in ROUTES if route.policy] == ["/docs"]
    for other in ("/openapi.json", "/runs", "/nope"):
        headers = (await house.ask("GET", other)).headers
        assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"


def test_what_a_description_says_is_text_to_the_page() -> None:
    hostile = json.loads(json.dumps(DESCRIPTION).replace("Own runs", "<script>`<b>` & '\\\""))
    assert "<script>" not in page(hostile)
    assert "<b>" not in page(hostile)


def test_administration_over_tcp_is_not_in_the_clients_description() -> None:
    async def perform(*_: object) -> object:
        raise AssertionError

    assert not {r.path for r in admin_routes(perform) if r.scope} & set(DESCRIPTION["paths"])
