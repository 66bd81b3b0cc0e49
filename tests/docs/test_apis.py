"""The pages about HTTP and the model APIs hold what is served, what is refused, and with which limits."""

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest
from tests.docs.tables import leaves, page, rows, sections, words

from macroslow.adapters.model_api.provider import MAX_ANSWER_BYTES
from macroslow.errors import InvalidModelRequestError, MacroslowError
from macroslow.inference import CHAT_COMPLETIONS, EMBEDDINGS, MESSAGES, RESPONSES
from macroslow.inference.members import MEMBERS
from macroslow.inference.messages_members import MESSAGE_OPTIONAL, MESSAGE_REQUIRED
from macroslow.inference.operation import Operation
from macroslow.inference.request import MAX_TEXTS, ParsedRequest
from macroslow.inference.responses_members import RESPONSE_OPTIONAL, RESPONSE_REQUIRED
from macroslow.inference.sse import MAX_EVENT_BYTES
from macroslow.services.calls.answer_once import (
    KEPT_BYTES,
    KEPT_HOURS,
    KEPT_SHARE_BYTES,
    KEYS,
    KEYS_SHARE,
    MAX_KEPT_BYTES,
    UNDER_WAY_BYTES,
    UNDER_WAY_EACH_BYTES,
    UNDER_WAY_SHARE_BYTES,
)
from macroslow.web import connection, problems, reading, routes
from macroslow.web.gate import GateSettings
from macroslow.web.handlers.inference import PASSED_HEADERS
from macroslow.web.routes import ROUTES


def test_every_route_and_its_scope_stand_in_the_table() -> None:
    table = {
        (row[0], row[1].strip("`")): set(re.findall(r"[a-z]+:[a-z]+|^public$", row[2]))
        for row in rows(page("reference/http.md"))
        if len(row) == 4
    }
    table.pop(("method", "path"))
    assert table == {
        (route.method, route.path): {route.scope or "public", *route.or_scopes} for route in ROUTES
    }


def test_every_error_is_told_with_its_status_and_its_type() -> None:
    table = {
        code: (int(row[1]), *words(row[2]))
        for row in rows(sections("reference/http.md")["Errors"])
        if row[1].isdigit()
        for code in words(row[0])
    }
    internal = problems.SHAPES[MacroslowError]
    shapes = {cls.code: problems.SHAPES[cls] for cls in leaves() if "code" in vars(cls)}
    shapes = shapes | {problems.INTERNAL: internal}
    assert table == {code: (shape.status, shape.provider_type) for code, shape in shapes.items()}


def test_the_limits_of_http_are_those_in_force() -> None:
    told = sections("reference/http.md")["Limits"]
    mib, kib = routes.MIB, routes.KIB
    assert (8 * mib, 8 * mib) == (routes.DOCUMENT_BYTES, routes.CHAT_BYTES)
    assert "| 8 MiB, or `server.max_body_bytes`" in told
    assert f"| {routes.MCP_BYTES // mib} MiB; {routes.CALL_BYTES // kib} KiB |" in told
    head = (reading.MAX_TARGET_BYTES // kib, reading.MAX_HEAD_BYTES // kib, reading.MAX_HEADERS)
    assert "| {} KiB, {} KiB, {} |".format(*head) in told
    bounds, gate = connection.Bounds(), GateSettings()
    assert f"| {bounds.connections} |" in told
    assert f"| {bounds.head_s:g} s; `server.receive_timeout_s` |" in told
    assert f"| {gate.failures_per_minute} a minute |" in told
    assert f"| {gate.public_per_minute} a minute |" in told
    assert f"| {MAX_ANSWER_BYTES // mib} MiB; {MAX_EVENT_BYTES // mib} MiB |" in told
    assert f"| {MAX_TEXTS} |" in told


def test_what_is_said_of_kept_answers_is_so() -> None:
    told = sections("reference/http.md")["Do it once"]
    assert f"kept for {KEPT_HOURS} hours" in told
    assert f"longer than {MAX_KEPT_BYTES // routes.KIB} KiB" in told
    assert f"after {KEPT_SHARE_BYTES // routes.MIB} MiB of the principal's answers" in told
    assert f"or {KEPT_BYTES // routes.MIB} MiB of all answers" in told
    assert f"a principal may take {KEYS_SHARE:,} keys in {KEPT_HOURS} hours" in told
    assert f"all together {KEYS:,}" in told
    assert f"body and {UNDER_WAY_EACH_BYTES // routes.KIB} KiB" in told
    each, together = UNDER_WAY_SHARE_BYTES // routes.MIB, UNDER_WAY_BYTES // routes.MIB
    assert f"above {each} MiB of such requests of one principal, or {together} MiB in all" in told


def test_every_request_header_that_goes_to_a_provider_is_told() -> None:
    told = {word for row in rows(sections("reference/http.md")["Headers"]) for word in words(row[0])}
    assert {name.decode() for names in PASSED_HEADERS.values() for name in names} <= told


SERVED = {
    "Chat completions": set(MEMBERS),
    "Responses": {*RESPONSE_REQUIRED, *RESPONSE_OPTIONAL},
    "Embeddings": {"model", "input", "dimensions", "encoding_format", "user"},
    "Messages": {*MESSAGE_REQUIRED, *MESSAGE_OPTIONAL},
}


@pytest.mark.parametrize("api", SERVED)
def test_exactly_the_members_that_are_served_stand_in_the_table_of_their_api(api: str) -> None:
    told = [word for row in rows(sections("reference/model-apis.md")[api]) for word in words(row[0])]
    assert sorted(told) == sorted(SERVED[api])


_HI = [{"role": "user", "content": "Hi"}]
LEAST: Mapping[str, tuple[Operation, dict[str, Any]]] = {
    "Chat completions": (CHAT_COMPLETIONS, {"model": "m", "messages": _HI}),
    "Responses": (RESPONSES, {"model": "m", "input": "Hi"}),
    "Embeddings": (EMBEDDINGS, {"model": "m", "input": "Hi"}),
    "Messages": (MESSAGES, {"model": "m", "messages": _HI, "max_tokens": 1}),
}


def refused(api: str) -> tuple[list[str], list[str]]:
    """What the page gives as examples: members first, after a semicolon types of tools, items and parts."""
    text = sections("reference/model-apis.md")[api]
    said = re.search(r"^Refused, for example: ([^;]*);(.*?)\n\n", text, re.DOTALL | re.MULTILINE)
    assert said is not None
    return words(said[1]), [word.replace("…", "_20250101") for word in words(said[2])]


@pytest.mark.parametrize("api", ["Chat completions", "Responses", "Messages"])
def test_what_the_page_says_is_refused_is_refused_by_name(api: str) -> None:
    operation, least = LEAST[api]
    members, types = refused(api)
    tried = [(name, {name: "x"}) for name in members]
    tried += [(name, more) for name in types for more in ({"tools": [{"type": name}]}, of_type(api, name))]
    for name, more in tried:
        with pytest.raises(InvalidModelRequestError, match=rf"\b{name} is not served"):
            operation.parse(json.dumps({**least, **more}).encode())


def of_type(api: str, kind: str) -> dict[str, Any]:
    """Members that hold a part, a block or an item of this type."""
    if api == "Responses":
        return {"input": [{"type": kind, "id": "a"}]}
    return {"messages": [{"role": "user", "content": [{"type": kind}]}]}


def test_embeddings_take_what_the_page_says() -> None:
    operation, least = LEAST["Embeddings"]
    given = {**least, "dimensions": 3, "encoding_format": "base64", "user": "u"}
    parsed = operation.parse(json.dumps(given).encode())
    assert isinstance(parsed, ParsedRequest)
    assert set(parsed.members) == SERVED["Embeddings"]
