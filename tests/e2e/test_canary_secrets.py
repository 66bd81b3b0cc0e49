"""Every kind of secret that a gateway is given, through every error path: none is in anything that it says.

What it says: answers and their headers, its own log as text and as JSON, the audit log, metrics, traces,
webhooks, what its commands print, and the files of its state folder. A secret that its caller wrote where
none belongs (a name, a tag, a document) is the caller's own text, and not looked for here.
"""

import base64
import hashlib
import hmac
import json
import secrets
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPSConnection
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
from tests.e2e.canaries import holds, secret_of, unpacked
from tests.e2e.conftest import PROVIDER_KEY, Site, make_site, wait_until
from tests.e2e.documents import document
from tests.e2e.upstream import Asked, Said, Upstream, serving
from tests.ports import held_port
from tests.web.test_tls import write_pair

pytestmark = [pytest.mark.sweep, pytest.mark.timeout(600)]

CONFIGURATION = """
models = ["gpt-4o-mini"]

[providers.echo]
base_url = "{echo}/v1"
usage_key = "env:USAGE_KEY"
models = ["echo"]
[[providers.echo.keys]]
key = "env:FIRST_KEY"
[[providers.echo.keys]]
key = "env:SECOND_KEY"
[models.echo]
input_usd = 1
output_usd = 1

[apis.weather]
base_url = "{echo}"
secret = "env:API_SECRET"
placement = "query:appid"

[images.unsplash]
base_url = "{echo}"
key = "env:UNSPLASH_ACCESS_KEY"
[images.pixabay]
base_url = "{echo}"
key = "env:PIXABAY_API_KEY"

[auth]
byok = "echo"
[auth.issuers.trial]
preset = "development"
[auth.issuers.shared]
issuer = "https://id.example/"
secret = "env:SHARED_SECRET"
audiences = ["gateway"]
pass_scopes = ["inference:chat", "usage:read", "documents:execute"]
[[alerts.webhooks]]
url = "{hook}"
secret = "env:WEBHOOK_SECRET"
[telemetry]
endpoint = "{collector}"
headers = {{ authorization = "env:COLLECTOR_SECRET" }}

[queue]
max_wait_s = 0.1
[upstream]
attempts = 1
[server]
log_level = "debug"
log_format = "{log_format}"
[server.tls]
certificate = "chain.pem"
key = "key.pem"
[administration]
listen = "127.0.0.1:{port}"
"""
VERBS = ("keys.create", "keys.list", "keys.show", "keys.set", "keys.rotate", "keys.revoke", "audit.tail")
COMMANDS = (
    ("doctor", "--json"),
    ("config", "show"),
    ("secrets", "check"),
    ("usage", "--csv", "--by", "provider"),
    ("usage", "reconcile"),
)
CHAT = {"model": "gpt-4o-mini", "max_tokens": 9, "messages": [{"role": "user", "content": "hello"}]}


def indiscreet(asked: Asked) -> Said:
    """A provider, and an API, that fails as its request says, and quotes all of it, key and all."""
    members = json.loads(asked.body) if asked.body else {}
    everything = {"error": {"message": json.dumps(dict(asked.headers)), "code": asked.target}}
    headers = {"content-type": "application/json"} | {
        f"x-your-{name}": value for name, value in asked.headers.items() if name.endswith(("n", "y"))
    }
    return Said(int(members.get("max_tokens", 400)), json.dumps(everything).encode(), headers)


@dataclass
class Gateway:
    """A gateway, all that it said by where it said it, and its secrets by their kinds."""

    site: Site
    administration: str
    echo: Upstream
    secrets: dict[str, str]
    said: dict[str, bytes] = field(default_factory=dict)
    credentials: dict[str, str] = field(default_factory=dict)

    def ask(
        self, name: str, method: str, path: str, headers: Mapping[str, str], body: bytes = b"", url: str = ""
    ) -> int:
        """One request; what came is kept whole."""
        parts = urlsplit(url or self.site.url)
        context = ssl.create_default_context(cafile=str(self.site.folder / "chain.pem"))
        connection = HTTPSConnection(parts.hostname or "", parts.port, timeout=60, context=context)
        with closing(connection), suppress(HTTPException, ConnectionError):
            connection.request(method, path, body or None, {"content-type": "application/json", **headers})
            answer = connection.getresponse()
            head = repr((answer.status, answer.getheaders())).encode()
            self.said[f"{name} {len(self.said)}"] = head + answer.read()
            return answer.status
        return 0

    def chat(self, name: str, headers: Mapping[str, str], **members: object) -> int:
        return self.ask(name, "POST", "/v1/chat/completions", headers, json.dumps(CHAT | members).encode())

    def admin(self, verb: str, headers: Mapping[str, str], **arguments: object) -> int:
        body = json.dumps(arguments).encode()
        return self.ask(verb, "POST", f"/admin/{verb}", headers, body, self.administration)


def shared_token(key: str, **changed: object) -> str:
    """A token of the issuer that shares a secret with the gateway."""
    now_s = int(time.time())
    claims = {"iss": "https://id.example/", "aud": "gateway", "sub": "ann", "exp": now_s + 3600, "iat": now_s}
    claims |= {"scope": "inference:chat usage:read", "jti": secrets.token_hex(8)} | changed
    parts = [
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
        for part in ({"alg": "HS256", "typ": "JWT"}, claims)
    ]
    signed = hmac.digest(key.encode(), ".".join(parts).encode(), hashlib.sha256)
    return ".".join([*parts, base64.urlsafe_b64encode(signed).decode().rstrip("=")])


def given() -> dict[str, str]:
    """The secrets of the environment, by their variables."""
    values = {
        name: f"{name[:3].lower()}-{secrets.token_urlsafe(40)}"
        for name in (
            "FIRST_KEY", "SECOND_KEY", "USAGE_KEY", "API_SECRET", "SHARED_SECRET", "COLLECTOR_SECRET",
            "UNSPLASH_ACCESS_KEY", "PIXABAY_API_KEY",
        )
    }  # fmt: skip
    return values | {"WEBHOOK_SECRET": "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()}


@pytest.fixture(scope="module", params=["text", "json"])
def gateway(request, tmp_path_factory, emulator_url, clean_environment) -> Iterator[Gateway]:
    """One that has been through all of it, and has ended."""
    heard = Said(200, b"{}")
    with (
        held_port() as port,
        serving(indiscreet) as echo,
        serving(lambda _: heard) as hook,
        serving(lambda _: heard) as collector,
    ):
        values = given()
        more = CONFIGURATION.format(
            echo=echo.url, hook=hook.url, collector=collector.url, log_format=request.param, port=port
        )
        folder = tmp_path_factory.mktemp("secrets")
        site = make_site(folder, emulator_url, clean_environment | values, more)
        pem = write_pair(folder, "localhost").key.read_text().splitlines()
        known = values | {"PROVIDER_KEY": PROVIDER_KEY, "TLS_KEY": max(pem[1:-1], key=len)}
        made = Gateway(site, f"https://127.0.0.1:{port}", echo, known)
        site.start()
        be_served(made)
        be_refused(made)
        administer(made)
        look(made)
        wait_until(lambda: hook.asked and collector.asked)
        made.said["metrics of the provider"] = b""
        assert site.stop() == 0
        made.said["log"] = site.said.encode()
        made.said["webhooks"] = b"".join(asked.body for asked in hook.asked)
        made.said["traces"] = b"".join(asked.body for asked in collector.asked)
        for path in site.state.rglob("*"):
            if path.is_file():
                made.said[f"state: {path.relative_to(site.state)}"] = path.read_bytes()
        yield made


def be_served(made: Gateway) -> None:
    """Calls that go well, and calls whose provider fails and quotes them, by every kind of credential."""
    site, credentials = made.site, made.credentials
    client = site.ask("keys.create", principal="ann", day_usd_micros=100_000)
    credentials["client key"] = client["key"]
    scopes = ["admin:keys", "admin:audit", "inference:chat"]
    credentials["admin key"] = site.client("platform", scopes=scopes)
    turned = site.ask("keys.create", principal="bob")
    credentials["old secret"] = turned["key"]
    credentials["new secret"] = site.ask("keys.rotate", key_id=turned["id"], overlap_s=600)["key"]
    scopes = ["inference:chat", "documents:execute"]
    token = site.ask("jwt.mint", subject="eve", scopes=scopes, lifetime_s=3600)["token"]
    credentials["minted token"] = token
    credentials["shared token"] = shared_token(made.secrets["SHARED_SECRET"])
    credentials["own key"] = f"sk-own-{secrets.token_urlsafe(40)}"
    by_key = {"x-api-key": client["key"]}
    by_token = {"authorization": f"Bearer {token}"}
    by_own = by_token | {"x-api-key": credentials["own key"]}
    by_shared = {"authorization": f"Bearer {credentials['shared token']}"}
    for name in ("old secret", "new secret"):
        assert made.chat(name, {"authorization": f"Bearer {credentials[name]}"}) == 200
    for headers in (by_key, by_token, by_shared, by_key | by_token):
        assert made.chat("served", headers) == 200
        for status in (400, 401, 500):
            assert made.chat(f"provider {status}", headers, model="echo", max_tokens=status) >= 400
    for status in (400, 401, 403, 404, 413, 429, 500, 502, 503, 529):
        assert made.chat(f"own {status}", by_own, model="echo", max_tokens=status) >= 400
        made.chat(f"own stream {status}", by_own, model="echo", max_tokens=status, stream=True)
    assert made.chat("own key for another", by_own) == 400
    code = "import urllib.request, urllib.error\ntry:\n    urllib.request.urlopen(apis['weather'] + '/now')\n"
    code += (
        "except urllib.error.HTTPError as error:\n    print(error.headers, error.read())\nraise KeyError(1)"
    )
    run = document(code, execute='"gateway://local", "api://weather"')
    made.ask("run", "POST", "/execute", by_key | {"content-type": "text/markdown"}, run)
    assert b"KeyError" in made.said[[*made.said][-1]]
    for provider in ("unsplash", "pixabay", "any"):
        params = {"name": "search_images", "arguments": {"query": provider, "provider": provider}}
        call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        accepted = {"accept": "application/json, text/event-stream", "mcp-protocol-version": "2025-11-25"}
        assert made.ask("images", "POST", "/mcp", by_key | accepted, json.dumps(call).encode()) == 200
        assert b"refused the request with status 400" in made.said[[*made.said][-1]]


def be_refused(made: Gateway) -> None:
    """Every secret in every place of a request where credentials go, and some where they do not."""
    for value in [*made.credentials.values(), *made.secrets.values()]:  # some before too many have failed
        altered = value[:-6] + value[-6:].swapcase()
        for shown in (value, altered):
            for headers in (
                {"x-api-key": shown},
                {"authorization": f"Bearer {shown}"},
                {"authorization": f"Basic {shown}"},
                {"authorization": shown},
                {"api-key": shown},
                {"x-api-key": shown, "authorization": f"Bearer {made.credentials['minted token'][:-9]}"},
            ):
                if made.chat("credential", headers) == 200:
                    assert shown in made.credentials.values()
    for value in made.credentials.values():
        key = {"x-api-key": made.credentials["client key"]}
        made.ask("query", "GET", f"/v1/usage?api_key={quote(value)}", key)
        made.ask("query", "GET", f"/v1/usage?x={quote(value)}", key)
        made.ask("path", "GET", f"/{quote(value)}", key)
        made.ask("cookie", "GET", "/v1/usage", {"cookie": f"key={value}"})
        made.ask("host", "GET", "/v1/usage", {"host": value})
        made.ask("origin", "GET", "/v1/usage", key | {"origin": f"https://{value}"})
        made.ask("twice", "POST", "/v1/chat/completions", key | {"content-type": value}, b"{}")
    forged = made.credentials["shared token"]
    for changed in ({"exp": 1}, {"aud": "other"}, {"iss": "https://id.example/"}, {"sub": ""}, {"jti": 5}):
        token = shared_token(made.secrets["SHARED_SECRET"], **changed)
        made.chat("bad token", {"authorization": f"Bearer {token}"})
        made.said[f"explained {len(made.said)}"] = json.dumps(
            made.site.ask("jwt.explain", token=token)
        ).encode()
    for token in (forged, forged[:-3], made.credentials["minted token"], forged + "."):
        made.said[f"explained {len(made.said)}"] = json.dumps(
            made.site.ask("jwt.explain", token=token)
        ).encode()


def administer(made: Gateway) -> None:
    """Over TCP, by everybody, with keys where names of keys belong; and one who guesses until it is told."""
    for credential in made.credentials.values():
        for verb in VERBS:
            made.admin(verb, {"x-api-key": credential}, key_id="nobody")
            made.admin(verb, {"authorization": f"Bearer {credential}"}, key=credential)
    by = {"x-api-key": made.credentials["admin key"]}
    for credential in made.credentials.values():
        for verb in ("keys.show", "keys.revoke", "keys.rotate"):
            assert made.admin(verb, by, key_id=credential) == 404
        assert made.admin("keys.create", by, principal=credential) == 400


def look(made: Gateway) -> None:
    """What operators and clients read afterwards, and what commands print."""
    site = made.site
    watcher = site.client("watcher", scopes=["operations:read", "audit:read", "usage:read", "inference:chat"])
    made.credentials["watcher"] = watcher
    for path in ("/health", "/info", "/metrics", "/v1/usage", "/v1/models", "/openapi.json"):
        assert made.ask("watched", "GET", path, {"x-api-key": watcher}) == 200, path
    ids = [key["id"] for key in site.ask("keys.list")["keys"]]
    asked = [made.site.ask("keys.show", key_id=one) for one in ids]
    made.said["verbs"] = json.dumps(
        [*asked, site.log(), site.ask("usage", by="key"), site.ask("jwt.list")]
    ).encode()
    for command in COMMANDS:
        done = site.command(*command)
        made.said[f"command {' '.join(command)}"] = (done.stdout + done.stderr).encode()
    for name in ("shared token", "own key"):
        done = site.command("jwt", "explain", "-", input_text=made.credentials[name])
        made.said[f"command jwt explain: {name}"] = (done.stdout + done.stderr).encode()


def needles(made: Gateway) -> dict[str, str]:
    """What to look for of each secret: of a key what is no name, of a token what makes it one."""
    found = dict(made.secrets)
    for kind, text in made.credentials.items():
        found[kind] = secret_of(text) if text.startswith("msk_") else text.rpartition(".")[2]
    return found


def test_nothing_that_the_gateway_says_holds_a_secret(gateway: Gateway) -> None:
    assert len(gateway.said) > 300
    assert {name for name in gateway.said if name.startswith("state")} > {"state: lock"}
    found = sorted(
        {
            (name, kind)
            for name, content in gateway.said.items()
            for part in (content, *unpacked(content))
            for kind, text in needles(gateway).items()
            if holds(part, text)
        }
    )
    assert found == []


def test_each_way_of_saying_something_was_tried(gateway: Gateway) -> None:
    assert b"credentials.guessing" in gateway.said["webhooks"]
    assert b"credential-malformed" in gateway.said["log"]
    assert b"echo" in gateway.said["traces"]
    assert any(b"macroslow_" in said for name, said in gateway.said.items() if name.startswith("watched"))


def test_providers_are_shown_their_own_keys_and_nothing_else(gateway: Gateway) -> None:
    for asked in gateway.echo.asked:
        told = json.dumps([asked.target, dict(asked.headers)]).encode() + asked.body
        shown = {kind for kind, text in needles(gateway).items() if holds(told, text)}
        assert len(shown) == 1, asked.target
        images = {"UNSPLASH_ACCESS_KEY", "PIXABAY_API_KEY"}
        assert shown < {"FIRST_KEY", "SECOND_KEY", "USAGE_KEY", "API_SECRET", "own key", *images}


@pytest.mark.parametrize(
    ("member", "url"),
    [
        ("database", "postgresql://gate:{password}@127.0.0.1:9/books"),
        ("database", "mysql://gate:{password}@127.0.0.1:9/books"),
        ("rates", "redis://gate:{password}@127.0.0.1:9/0"),
    ],
)
def test_a_store_that_cannot_be_reached_does_not_make_its_password_known(
    tmp_path: Path, emulator_url: str, clean_environment, member: str, url: str
) -> None:
    password = secrets.token_hex(16)
    environment = clean_environment | {"STORE_URL": url.format(password=password)}
    more = f'[state]\n{member} = "env:STORE_URL"\n'
    if member == "rates":
        more += 'database = "env:DATABASE_URL"\n'
        environment["DATABASE_URL"] = f"postgresql://gate:{password}@127.0.0.1:9/books"
    site = make_site(tmp_path / "site", emulator_url, environment, more)
    for command in (
        ("serve", "--listen", "127.0.0.1:0"),
        ("doctor", "--json"),
        ("config", "show"),
        ("keys", "list"),
    ):
        done = site.command(*command)
        assert not holds((done.stdout + done.stderr).encode(), password), command
    for path in site.state.rglob("*"):
        assert not path.is_file() or not holds(path.read_bytes(), password), path


@pytest.mark.parametrize("broken", ["SHARED_SECRET", "WEBHOOK_SECRET", "key.pem", "chain.pem"])
def test_a_start_that_fails_for_a_secret_does_not_say_it(
    tmp_path: Path, emulator_url: str, clean_environment, broken: str
) -> None:
    values = given() | ({broken: f"short-{secrets.token_hex(8)}"} if broken.isupper() else {})
    nowhere = "http://127.0.0.1:9"
    more = CONFIGURATION.format(echo=nowhere, hook=nowhere, collector=nowhere, log_format="json", port=0)
    site = make_site(tmp_path / "site", emulator_url, clean_environment | values, more)
    text = write_pair(site.folder, "localhost").key.read_text()
    if broken.endswith("pem"):
        (site.folder / broken).write_text(text.replace("\n", "\nx", 1))
    done = site.command("serve", "--listen", "127.0.0.1:0")
    assert done.returncode == 78
    told = (done.stdout + done.stderr + site.command("doctor", "--json").stdout).encode()
    for value in (*values.values(), max(text.splitlines()[1:-1], key=len)):
        assert not holds(told, value)
