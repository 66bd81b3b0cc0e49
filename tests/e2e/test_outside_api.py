"""An outside API through a run's egress: the gateway adds the secret, and nothing else gets in or out."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from tests.e2e.conftest import Site, make_site
from tests.e2e.documents import document
from tests.e2e.upstream import Asked, Said, Upstream, serving

WEATHER_SECRET = "weather-T4kq9Zs7Lx2Vm8Rb5Nw3"
BARE_SECRET = "bearer-Hd6jP0yFc3Ge7Xa1Ut9K"
APIS = """
[apis.openweathermap]
base_url = "{url}/base"
secret = "env:WEATHER_KEY"
placement = "query:appid"
paths = ["/data/"]
[apis.bare]
base_url = "{url}"
secret = "env:BARE_KEY"
"""
BOTH = '"gateway://local", "api://openweathermap", "api://bare"'
ECHO = "/base/data/echo"
REPORT = {"name": "Berlin", "main": {"temp": 21.4}, "weather": [{"description": "clear sky"}]}

# One connection a target, byte for byte as written: no HTTP library of the block's tidies it up.
RAW = """
import os, socket
from urllib.parse import urlsplit
way_out = urlsplit(apis["openweathermap"])
result = []
for target in inputs["targets"]:
    target = target.replace("APIS", way_out.path)
    with socket.create_connection((way_out.hostname, way_out.port), timeout=20) as connection:
        head = f"{inputs['method']} {way_out.path}{target} HTTP/1.1\\r\\nhost: x\\r\\n"
        connection.sendall((head + "connection: close\\r\\n\\r\\n").encode("latin-1"))
        answer = b""
        while more := connection.recv(65536):
            answer += more
    result.append([int(answer.split()[1]), answer.decode("latin-1")])
"""


def weather(asked: Asked) -> Said:
    """The API: answers, echoes what it was asked, or sends elsewhere."""
    if asked.target.startswith("/base/data/away"):
        return Said(302, b"{}", {"location": "/base/data/elsewhere"})
    if "echo" in asked.target:
        return Said(200, json.dumps({"url": asked.target, **asked.headers}).encode())
    return Said(200, json.dumps(REPORT).encode())


@dataclass
class Outside:
    """A gateway, the API that it may call and a client's key."""

    site: Site
    api: Upstream
    key: str

    def run(self, code: str, execute: str = BOTH, key: str = "", **inputs: object) -> Any:
        raw = document(code, execute=execute).decode()
        body = json.dumps({"document": raw, "inputs": inputs}).encode()
        sent = {"x-api-key": key or self.key, "content-type": "application/json"}
        return self.site.call("POST", "/execute", body, sent).json

    def ask(self, *targets: str, method: str = "GET") -> list[tuple[int, str]]:
        """Status and whole answer of each target, sent raw from within one run."""
        ran = self.run(RAW, targets=[*targets], method=method)
        assert ran["status"] == "success", ran
        return [(status, answer) for status, answer in ran["result"]]


@pytest.fixture(scope="module")
def outside(tmp_path_factory, emulator_url, clean_environment) -> Iterator[Outside]:
    with serving(weather) as api:
        site = make_site(
            tmp_path_factory.mktemp("outside"), emulator_url, clean_environment, APIS.format(url=api.url)
        )
        with (site.folder / ".env").open("a") as dotenv:
            dotenv.write(f"WEATHER_KEY={WEATHER_SECRET}\nBARE_KEY={BARE_SECRET}\n")
        site.start()
        yield Outside(site, api, site.client("ada"))
        site.stop()


def test_the_api_gets_the_operators_secret_and_nothing_of_the_callers(outside):
    code = """
import json, os
from urllib.request import Request, urlopen
assert os.environ["MAML_API_OPENWEATHERMAP"] == apis["openweathermap"]
sent = {"x-api-key": "mine", "cookie": "mine=1", "x-forwarded-for": "mine"}
with urlopen(Request(apis["openweathermap"] + "/data/2.5/weather?q=Berlin", headers=sent)) as answer:
    first = json.load(answer)
with urlopen(apis["bare"] + "/anything") as answer:
    result = [first["name"], json.load(answer)["name"]]
"""
    outside.api.asked.clear()
    assert outside.run(code)["result"] == ["Berlin", "Berlin"]
    by_query, by_header = outside.api.asked
    assert by_query.target == f"/base/data/2.5/weather?q=Berlin&appid={WEATHER_SECRET}"
    assert by_header.headers["authorization"] == f"Bearer {BARE_SECRET}"
    for asked in (by_query, by_header):
        assert not {"x-api-key", "cookie", "x-forwarded-for"} & asked.headers.keys()
        assert outside.key not in str(asked)
        assert "mine" not in str(asked)
    assert "authorization" not in by_query.headers


def test_every_call_is_in_the_log_and_neither_query_nor_secret_is(outside):
    (status, _) = outside.ask("/data/logged?q=canary-query")[0]
    assert status == 200
    entry = outside.site.told("api-called")[-1]
    assert (entry["api"], entry["path"], entry["outcome"]) == ("openweathermap", "/data/logged", "200")
    log = json.dumps(outside.site.log())
    for hidden in (WEATHER_SECRET, BARE_SECRET, "canary-query"):
        assert hidden not in log


def test_an_api_is_granted_by_document_caller_and_operator_or_not_at_all(outside):
    local, both = '"gateway://local"', '"gateway://local", "api://openweathermap"'
    narrow = outside.site.client("narrow", grants=["gateway://*"])
    outside.api.asked.clear()
    by_caller = outside.run("result = 1", both, narrow)
    assert (by_caller["status"], by_caller["uri"]) == (403, "api://openweathermap")
    assert "--grant api://openweathermap" in by_caller["fix"]
    by_operator = outside.run("result = 1", '"gateway://local", "api://unheard-of"')
    assert (by_operator["status"], by_operator["uri"]) == (403, "api://unheard-of")
    assert "operator must configure api://unheard-of" in by_operator["fix"]
    # What the document does not list, its code does not find.
    listed = outside.run(
        "result = [dict(apis), [n for n in __import__('os').environ if 'MAML_API' in n]]", local
    )
    assert listed["result"] == [{}, []]
    one = """
from urllib.error import HTTPError
from urllib.request import urlopen
try:
    urlopen(apis["openweathermap"].replace("openweathermap", "bare") + "/x")
except HTTPError as error:
    result = [error.code, error.read().decode()]
"""
    status, told = outside.run(one, both)["result"]
    assert status == 403
    assert "add api://bare to permissions.execute" in told
    assert outside.api.asked == []


TRICKS = [
    "/data/../admin", "/data/./x", "/data/%2e%2e/admin", "/data/%2E%2E/admin", "/data/..%2fadmin",
    "/data/%2f..", "/data/%5c..%5c", "/data/..;/admin", "/data/..;x=1/admin", "/data/\\..\\admin",
    "//evil.example/data/", "@evil.example/data/", ":1/data/", "/data/%00", "/data/%0d%0aX-Injected:%201",
    "/data/x?y=\x7f", "/data/\xe4", "/admin", "/dat", "", "/",
]  # fmt: skip


def test_no_path_trick_leaves_the_paths_that_the_operator_opened(outside):
    outside.api.asked.clear()
    answers = outside.ask(*TRICKS)
    assert [asked.target for asked in outside.api.asked] == []
    for trick, (status, _) in zip(TRICKS, answers, strict=True):
        assert status in {400, 403, 404}, trick


def test_a_line_end_in_a_target_makes_no_second_request(outside):
    outside.api.asked.clear()
    smuggled = "/data/x HTTP/1.1\r\nhost: x\r\n\r\nGET APIS/admin"
    outside.ask(smuggled)
    assert not any("admin" in asked.target for asked in outside.api.asked)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "CONNECT", "HEAD"])
def test_only_get_goes_out(outside, method):
    outside.api.asked.clear()
    ((status, _),) = outside.ask("/data/x", method=method)
    assert status in {400, 405}
    assert outside.api.asked == []


def test_redirects_are_not_followed_and_lead_nowhere(outside):
    outside.api.asked.clear()
    ((status, answer),) = outside.ask("/data/away")
    assert status == 302
    assert "elsewhere" not in answer, "the run is not told where to"
    assert len(outside.api.asked) == 1


def test_an_api_that_echoes_the_secret_does_not_tell_the_run(outside):
    ((status, answer),) = outside.ask("/data/echo?q=1")
    assert status == 200
    assert "/base/data/echo" in answer
    assert WEATHER_SECRET not in answer
    code = "from urllib.request import urlopen\nresult = urlopen(apis['bare'] + '/echo').read().decode()"
    told = outside.run(code)["result"]
    assert "Bearer" in told
    assert BARE_SECRET not in told


@pytest.mark.parametrize(
    "host", ["api.openweathermap.org", "93.184.216.34", "169.254.169.254", "127.0.0.1"], ids=str
)
def test_a_direct_connection_fails_at_once_and_names_the_line_to_write(outside, host):
    port = outside.api.url.rpartition(":")[2]
    code = (
        f"from urllib.request import urlopen\nresult = urlopen('http://{host}:{port}/data/').read().decode()"
    )
    outside.api.asked.clear()
    ran = outside.run(code, '"gateway://local"')
    assert ran["status"] == "failed"
    assert ran["duration_ms"] < 30_000
    if host != "127.0.0.1":
        said = ran["error"] + ran["outputs"][0]["stderr"]
        assert 'must list "api://NAME" under permissions.execute' in said
        assert host in said
    assert outside.api.asked == []
