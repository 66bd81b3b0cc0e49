"""Every refusal: its status, its shape, its repair; the next request is served and the log knows."""

import json
import socket
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import pytest
from tests.e2e.conftest import Answered, Site, make_site
from tests.e2e.documents import Author, document, with_schema

MIB = 1024 * 1024
MARKDOWN, JSON = {"content-type": "text/markdown"}, {"content-type": "application/json"}
CHAT = {"model": "gpt-4o-mini", "max_tokens": 8, "messages": [{"role": "user", "content": "hello"}]}
HELLO = document("result = 'hello'")
ONE_INTEGER = '{"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}'
API = """
[apis.weather]
base_url = "http://127.0.0.1:1"
"""
STRICT = """
[documents]
signatures = "required"
[sandbox]
backend = "none"
"""


@dataclass(frozen=True)
class Request:
    """One request: who sends what where."""

    method: str
    path: str
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    who: str = "ada"


@dataclass
class Callers:
    """A gateway, its clients' keys and what it refused: (who, reason), where who is "" if nobody knows."""

    site: Site
    keys: Mapping[str, str]
    refused: Counter[tuple[str, str]] = field(default_factory=Counter)

    def send(self, request: Request) -> Answered:
        sent = dict(request.headers)
        if request.who:
            sent["x-api-key"] = self.keys[request.who]
        return self.site.call(request.method, request.path, request.body, sent)

    def refuse(self, request: Request) -> Answered:
        """Send what must be refused; then the next request must be served."""
        answer = self.send(request)
        told = answer.json.get("error", answer.json)
        code = told.get("code") or told["type"].removeprefix("urn:macroslow:problem:")
        known = request.who if code not in BEFORE_AUTHENTICATION else NOBODY
        self.refused[known, code] += 1
        assert self.send(Request("GET", "/v1/models")).status == 200
        return answer


def execute(raw: bytes, headers: Mapping[str, str] = MARKDOWN, who: str = "ada") -> Request:
    return Request("POST", "/execute", raw, headers, who)


def chat(who: str = "ada", headers: Mapping[str, str] = JSON, path: str = "", **members: object) -> Request:
    return Request("POST", "/v1/chat/completions" + path, json.dumps(CHAT | members).encode(), headers, who)


@pytest.fixture(scope="module")
def callers(tmp_path_factory, emulator_url, clean_environment) -> Iterator[Callers]:
    """An ordinary gateway, with a revoked signer and a signer for another origin."""
    site = make_site(tmp_path_factory.mktemp("refusals"), emulator_url, clean_environment, API)
    site.start()
    keys = {
        "ada": site.client("ada"),
        "narrow": site.client("narrow", scopes=["inference:chat"]),
        "ungranted": site.client("ungranted", grants=["gateway://*"]),
        "poor": site.client("poor", budget_usd_micros=2),
        "hurried": site.client("hurried", requests_per_minute=1),
    }
    OTHERS.trusted_by(site, "others", "agent://others")
    REVOKED.trusted_by(site, "revoked", "agent://tester")
    site.ask("signers.revoke", name="revoked")
    yield Callers(site, keys)
    if site.server is not None:
        site.stop()


OTHERS, REVOKED, STRANGER, TRUSTED = Author.new(), Author.new(), Author.new(), Author.new()
NEEDS_WEATHER = '"gateway://local", "api://weather"'
REQUIRES_WEATHER = HELLO.replace(b"permissions:", b'requires: {apis: ["weather"]}\npermissions:')
BROKEN_YAML = HELLO.replace(b"type: workflow", b"type: [workflow")
MANY_PROBLEMS = HELLO.replace(b"type: workflow\n", b"").replace(b"origin: agent://tester", b"origin: me")
NO_SCHEMA = with_schema(HELLO, '{"type": "no such type"}')
WANTS_N = with_schema(HELLO, ONE_INTEGER)
WITH_BAD_N = json.dumps({"document": WANTS_N.decode(), "inputs": {"n": "one"}}).encode()
JWT = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJl"
BAD_KEY = "msk_AAAAAAAAAAAA_BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB"
NOBODY = ""

BEFORE_AUTHENTICATION = {"unauthorized", "origin-refused", "method-not-allowed"}

# What is sent, the status, the problem's code, and a word that its text or repair must have.
TABLE: dict[str, tuple[Request, int, str, str]] = {
    "wrong content type": (
        execute(HELLO, {"content-type": "text/plain"}),
        415, "unsupported-media-type", "text/markdown"),
    "document over 1 MiB": (execute(HELLO + b"x" * MIB), 413, "too-large", "1048576"),
    "body over the cap": (execute(b"x" * (9 * MIB)), 413, "too-large", "8388608"),
    "broken UTF-8": (execute(HELLO.replace(b"A test", b"A \xff test")), 400, "invalid-document", "UTF-8"),
    "broken YAML": (execute(BROKEN_YAML), 400, "invalid-document", "line"),
    "broken front matter": (execute(MANY_PROBLEMS), 400, "invalid-document", "type"),
    "broken schema": (execute(NO_SCHEMA), 400, "invalid-document", "Input_Schema"),
    "inputs that do not fit": (execute(WITH_BAD_N, JSON), 400, "invalid-inputs", "n"),
    "broken JSON": (execute(b"{", JSON), 400, "bad-request", "JSON"),
    "no key": (execute(HELLO, who=NOBODY), 401, "unauthorized", "x-api-key"),
    "bad key": (execute(HELLO, MARKDOWN | {"x-api-key": BAD_KEY}, NOBODY), 401, "unauthorized", "not valid"),
    "JWT": (
        execute(HELLO, MARKDOWN | {"authorization": f"Bearer {JWT}"}, NOBODY),
        401, "unauthorized", "not valid"),
    "JWT beside a key": (
        execute(HELLO, MARKDOWN | {"authorization": f"Bearer {JWT}"}),
        401, "unauthorized", "not valid"),
    "key in query": (Request("GET", "/runs?api_key=" + BAD_KEY), 401, "unauthorized", "not valid"),
    "signer of another origin": (execute(OTHERS.sign(HELLO)), 403, "signature-refused", "signers trust"),
    "revoked signer": (execute(REVOKED.sign(HELLO)), 403, "signature-refused", "was revoked"),
    "unknown signer": (execute(STRANGER.sign(HELLO)), 403, "signature-refused", "not accepted"),
    "altered after signing": (
        execute(OTHERS.sign(HELLO).replace(b"hello", b"hallo")),
        403, "signature-refused", "not accepted"),
    "right not in the document": (
        execute(REQUIRES_WEATHER),
        403, "missing-right", 'execute: ["gateway://local", "api://weather"]'),
    "right not of the caller": (
        execute(document("1", execute=NEEDS_WEATHER), who="ungranted"),
        403, "missing-right", "--grant api://weather"),
    "right not of the operator": (
        execute(document("1", execute='"gateway://local", "api://stocks"')),
        403, "missing-right", "operator must configure api://stocks"),
    "another gateway's document": (
        execute(document("1", execute='"gateway://elsewhere"')),
        403, "missing-right", "gateway://local"),
    "missing scope": (execute(HELLO, who="narrow"), 403, "missing-scope", "--scope documents:execute"),
    "foreign host": (Request("GET", "/runs", None, {"host": "evil.example"}), 403, "origin-refused", "host"),
    "foreign origin": (
        Request("GET", "/runs", None, {"origin": "https://evil.example"}),
        403, "origin-refused", "origin"),
    "unknown run": (Request("GET", "/runs/" + "0" * 32), 404, "not-found", "run"),
    "unknown path": (Request("GET", "/admin", who=NOBODY), 404, "not-found", ""),
    "wrong method": (Request("GET", "/execute"), 405, "method-not-allowed", ""),
}  # fmt: skip

CHAT_TABLE: dict[str, tuple[Request, int, str, str]] = {
    "no key": (chat(NOBODY), 401, "unauthorized", "authentication_error"),
    "wrong content type": (chat(headers=MARKDOWN), 415, "unsupported-media-type", "invalid_request_error"),
    "unknown model": (chat(model="gpt-99"), 404, "model-not-found", "invalid_request_error"),
    "unknown member": (chat(unheard_of=1), 400, "invalid-model-request", "invalid_request_error"),
    "budget exhausted": (chat("poor"), 402, "budget-exhausted", "insufficient_quota"),
    "unknown path": (
        Request("POST", "/v1/no", b"{}", JSON, NOBODY),
        404, "not-found", "invalid_request_error"),
    "wrong method": (
        Request("GET", "/v1/chat/completions"),
        405, "method-not-allowed", "invalid_request_error"),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLE)
def test_a_refusal_says_what_where_and_how_to_mend_it(callers, name):
    request, status, code, word = TABLE[name]
    answer = callers.refuse(request)
    told = answer.json
    assert (answer.status, told["status"]) == (status, status), told
    assert told["type"] == f"urn:macroslow:problem:{code}"
    assert answer.headers["content-type"] == "application/problem+json"
    assert told["docs"] == f"docs/problems.md#{code}"
    assert told["request_id"] == answer.headers["x-request-id"]
    assert {"title", "step", "detail", "fix", "problems"} <= told.keys()
    assert word in json.dumps(told, ensure_ascii=False).replace('\\"', '"')


@pytest.mark.parametrize("name", CHAT_TABLE)
def test_a_refusal_on_v1_has_the_providers_shape(callers, name):
    request, status, code, kind = CHAT_TABLE[name]
    answer = callers.refuse(request)
    assert answer.status == status, answer.body
    assert (answer.json["error"]["code"], answer.json["error"]["type"]) == (code, kind)
    assert {"message", "param"} <= answer.json["error"].keys()
    assert answer.headers["x-request-id"]


def test_all_that_is_wrong_with_a_document_is_told_at_once(callers):
    problems = callers.refuse(execute(MANY_PROBLEMS)).json["problems"]
    assert {problem["field"] for problem in problems} >= {"type", "origin"}
    assert all(problem["line"] and problem["message"] and problem["fix"] for problem in problems)


def test_bad_credentials_look_alike(callers):
    told = [callers.refuse(TABLE[name][0]).json | {"request_id": ""} for name in ("bad key", "JWT")]
    assert told[0] == told[1]


def test_an_exhausted_budget_says_its_numbers_and_that_waiting_is_no_use(callers):
    answer = callers.refuse(chat("poor"))
    told = answer.json["error"]
    assert told["limit_usd_micros"] == 2
    assert told["spent_usd_micros"] == told["held_usd_micros"] == 0
    assert told["needed_usd_micros"] > 2
    assert told["budget"]
    assert answer.headers["x-should-retry"] == "false"


def test_a_key_has_its_requests_a_minute_and_is_told_when_to_come_again(callers):
    assert callers.send(chat("hurried")).status == 200
    answer = callers.refuse(chat("hurried"))
    assert answer.status == 429
    assert 1 <= int(answer.headers["retry-after"]) <= 60
    assert answer.json["error"]["limit"] == "requests"
    assert answer.json["error"]["count"] == 1


def test_a_chunked_body_that_never_ends_is_cut_at_the_cap(callers):
    host, _, port = callers.site.url.removeprefix("http://").partition(":")
    lines = (
        "POST /execute HTTP/1.1", f"host: {host}", f"x-api-key: {callers.keys['ada']}",
        "content-type: text/markdown", "transfer-encoding: chunked", "", "",
    )  # fmt: skip
    piece = b"%x\r\n%b\r\n" % (MIB, b"x" * MIB)
    with socket.create_connection((host, int(port)), timeout=20) as client:
        client.sendall("\r\n".join(lines).encode())
        sent = 0
        try:
            while sent < 64:
                client.sendall(piece)
                sent += 1
        except OSError:
            pass  # the server has hung up
        assert 8 <= sent < 64, "it was cut off"
    callers.refused["ada", "too-large"] += 1
    assert callers.send(Request("GET", "/v1/models")).status == 200


def test_every_refusal_is_in_the_log_under_who_was_refused(callers):
    callers.site.stop()  # which writes the counts
    entries = callers.site.entries()
    callers.site.start()  # for those that come after this test
    logged: Counter[tuple[str, str]] = Counter()
    for entry in entries:
        fields = entry["fields"]
        if entry["type"] == "refused":
            assert {"request_id", "route", "status", "key_id"} <= fields.keys()
            logged[fields["principal"], fields["reason"]] += 1
        elif entry["type"] == "refusals-summary":
            who = NOBODY if entry["subject"] == "gateway" else entry["subject"]
            reason = fields["reason"] if not fields["reason"].startswith("credential-") else "unauthorized"
            logged[who, reason] += fields["count"]
    assert logged == callers.refused


@pytest.fixture(scope="module")
def strict(tmp_path_factory, emulator_url, clean_environment) -> Iterator[Callers]:
    """A gateway that takes signed documents only and has no sandbox."""
    site = make_site(tmp_path_factory.mktemp("strict"), emulator_url, clean_environment, STRICT)
    site.start()
    TRUSTED.trusted_by(site, "trusted", "agent://tester")
    yield Callers(site, {"ada": site.client("ada")})
    site.stop()


def test_where_signatures_are_required_an_unsigned_document_is_refused_with_the_command_to_sign(strict):
    for path in ("/execute", "/validate"):
        answer = strict.refuse(Request("POST", path, HELLO, MARKDOWN))
        assert (answer.status, answer.json["type"]) == (403, "urn:macroslow:problem:signature-refused")
        assert "macroslow maml sign" in answer.json["fix"]


def test_without_a_sandbox_code_is_refused_and_everything_else_works(strict):
    signed = TRUSTED.sign(HELLO)
    answer = strict.refuse(execute(signed))
    assert (answer.status, answer.json["type"]) == (503, "urn:macroslow:problem:sandbox-unavailable")
    assert answer.json["fix"]
    assert strict.send(Request("POST", "/validate", signed, MARKDOWN)).json["valid"]
    assert strict.send(chat()).status == 200
    assert strict.send(Request("GET", "/runs")).json["runs"] == []
