"""Real identity providers: their access tokens open a gateway, and only as far as the operator said.

`oidc-provider` (client credentials, RFC 9068 tokens) and moto's Cognito (access tokens without `aud`), each a
process of its own.
"""

import base64
import hashlib
import json
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import ROOT
from tests.e2e.conftest import Answered, Site, make_site, wait_until
from tests.node import ISSUER, SDKS, commands_of

pytestmark = pytest.mark.sweep

AUDIENCE = "https://gateway.example"
CLIENT = "agents"
SECRET = "only-for-this-test-0123456789abcdef"
COGNITO = SDKS / "cognito"
PASSWORD = "Aa1!only-for-this-test"


@dataclass
class Provider:
    """A running `oidc-provider`."""

    url: str
    process: subprocess.Popen[str]

    def token(self, scope: str = "inference:chat", resource: str = AUDIENCE) -> str:
        """An access token by client credentials (RFC 6749, section 4.4; RFC 8707)."""
        form = {"grant_type": "client_credentials", "scope": scope, "resource": resource}
        basic = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        body = urllib.parse.urlencode(form).encode()
        answer = fetch(f"{self.url}/token", body, {"authorization": f"Basic {basic}"})
        return str(answer["access_token"])

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(20)


def fetch(url: str, body: bytes, headers: Mapping[str, str]) -> Any:
    request = urllib.request.Request(url, data=body, headers=dict(headers))
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read())


@contextmanager
def provider(algorithm: str, environment: Mapping[str, str], port: int = 0) -> Iterator[Provider]:
    commands_of(ISSUER)
    process = subprocess.Popen(
        ["node", str(SDKS / "issuer.mjs"), str(port), algorithm],
        env=dict(environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    try:
        line = next(line for line in process.stdout if line.startswith("{"))
        yield Provider(json.loads(line)["issuer"], process)
    finally:
        process.kill()
        process.wait(20)
        process.stdout.close()


def issuer_section(url: str) -> str:
    return f"""
[auth.issuers.oidc]
issuer = "{url}"
jwks_url = "{url}/jwks"
plain_http = true
audiences = ["{AUDIENCE}"]
types = ["at+jwt"]
pass_scopes = ["inference:chat", "usage:read"]
budget_usd = 1

[auth.issuers.oidc.scopes]
agents = ["documents:validate"]
"""


@contextmanager
def serving(folder: Path, emulator_url: str, environment: Mapping[str, str], more: str) -> Iterator[Site]:
    made = make_site(folder, emulator_url, dict(environment), more)
    made.start()
    try:
        yield made
    finally:
        made.stop()


def chat(site: Site, credential: str, **headers: str) -> Answered:
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}]}
    sent = {"authorization": f"Bearer {credential}", "content-type": "application/json"} | headers
    return site.call("POST", "/v1/chat/completions", json.dumps(body).encode(), sent)


@pytest.fixture(scope="module")
def oidc(clean_environment: dict[str, str]) -> Iterator[Provider]:
    with provider("ES256", clean_environment) as running:
        yield running


@pytest.fixture(scope="module")
def gateway(
    tmp_path_factory: pytest.TempPathFactory,
    emulator_url: str,
    clean_environment: dict[str, str],
    oidc: Provider,
) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("oidc")
    with serving(folder, emulator_url, clean_environment, issuer_section(oidc.url)) as made:
        yield made


def test_a_client_s_token_pays_for_a_call_from_an_account_of_its_own(gateway: Site, oidc: Provider) -> None:
    answer = chat(gateway, oidc.token())
    assert answer.status == 200, answer.body
    assert answer.json["choices"]
    (told,) = gateway.told("chat-completed")[-1:]
    assert (told["principal"], told["key_id"]) == ("jwt/oidc/agents", "")
    own = gateway.call("GET", "/v1/usage", headers={"authorization": f"Bearer {oidc.token('usage:read')}"})
    assert own.json["principal"] == "jwt/oidc/agents"
    assert own.json["usd_micros"] > 0
    assert [one["limit_usd_micros"] for one in own.json["budgets"]] == [1_000_000]


def test_a_token_does_what_its_scopes_say_and_no_more(gateway: Site, oidc: Provider) -> None:
    refused = chat(gateway, oidc.token("usage:read"))
    assert (refused.status, refused.json["error"]["code"]) == (403, "missing-scope")
    sent = {"authorization": f"Bearer {oidc.token('agents')}", "content-type": "text/markdown"}
    assert gateway.call("POST", "/validate", b"no document", sent).status == 400
    assert gateway.call("POST", "/execute", b"no document", sent).status == 403


def test_a_token_for_another_server_is_refused_as_any_bad_credential(gateway: Site, oidc: Provider) -> None:
    other = chat(gateway, oidc.token(resource="https://other.example"))
    nonsense = chat(gateway, "a.b.c")
    unknown = chat(gateway, "msk_unknown")
    assert other.status == nonsense.status == unknown.status == 401
    assert other.json["error"]["message"] == nonsense.json["error"]["message"]


def test_explain_says_which_step_it_is(gateway: Site, oidc: Provider) -> None:
    good = gateway.command("jwt", "explain", "-", "--json", input_text=oidc.token())
    told = json.loads(good.stdout)
    assert (good.returncode, told["valid"], told["principal"]) == (0, True, "jwt/oidc/agents")
    bad = gateway.command("jwt", "explain", "-", input_text=oidc.token(resource="https://other.example"))
    assert bad.returncode == 1
    assert "BAD audience    'https://other.example'; wanted: one of https://gateway.example" in bad.stdout
    assert bad.stdout.count("BAD") == 1
    assert "refused at the step audience" in bad.stdout


def test_a_key_beside_a_token_pays_and_the_log_names_both(gateway: Site, oidc: Provider) -> None:
    made = gateway.ask("keys.create", principal="bot", scopes=["inference:chat"])
    answer = chat(gateway, oidc.token(), **{"x-api-key": made["key"]})
    assert answer.status == 200, answer.body
    told = gateway.told("chat-completed")[-1]
    assert (told["principal"], told["key_id"]) == ("jwt/oidc/agents", made["id"])
    assert gateway.ask("keys.show", key_id=made["id"])["spent_usd_micros"] > 0
    narrow = gateway.ask("keys.create", principal="bot", scopes=["usage:read"])
    assert chat(gateway, oidc.token(), **{"x-api-key": narrow["key"]}).status == 403
    gateway.ask("keys.revoke", key_id=made["id"])
    assert chat(gateway, oidc.token(), **{"x-api-key": made["key"]}).status == 401


def test_a_revoked_token_is_refused_at_once(gateway: Site, oidc: Provider) -> None:
    lost = oidc.token()
    assert chat(gateway, lost).status == 200
    revoked = gateway.command("jwt", "revoke", "-", "--reason", "lost", input_text=lost)
    assert revoked.returncode == 0, revoked.stderr
    assert chat(gateway, lost).status == 401
    assert chat(gateway, oidc.token()).status == 200
    (entry,) = gateway.told("jwt-revoked")
    assert entry["reason"] == "lost"


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "EdDSA"])
def test_each_algorithm_is_taken_and_an_issuer_that_goes_away_keeps_its_tokens(
    algorithm: str, tmp_path: Path, emulator_url: str, clean_environment: dict[str, str]
) -> None:
    with (
        provider(algorithm, clean_environment) as running,
        serving(tmp_path, emulator_url, clean_environment, issuer_section(running.url)) as site,
    ):
        token = running.token()
        assert chat(site, token).status == 200
        running.kill()
        assert chat(site, token).status == 200


def test_a_gateway_starts_while_its_issuer_is_away(
    tmp_path: Path, emulator_url: str, clean_environment: dict[str, str]
) -> None:
    with provider("ES256", clean_environment) as running:
        token, url = running.token(), running.url
    with serving(tmp_path, emulator_url, clean_environment, issuer_section(url)) as site:
        assert chat(site, token).status == 401
        assert chat(site, site.client("ann")).status == 200
        wait_until(lambda: "its keys could not be fetched" in site.said)


# Cognito


@pytest.fixture(scope="module")
def cognito(clean_environment: dict[str, str]) -> Iterator[str]:
    """The URL of moto's Cognito."""
    lock = hashlib.sha256((COGNITO / "requirements.txt").read_bytes()).hexdigest()
    mark = COGNITO / ".venv" / ".lock.sha256"
    if not mark.is_file() or mark.read_text().strip() != lock:
        pytest.skip(f"tests/clients/install has not installed what {COGNITO.relative_to(ROOT)} needs")
    process = subprocess.Popen(
        [str(COGNITO / ".venv/bin/python"), str(SDKS / "cognito.py")],
        env=clean_environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    try:
        line = next(line for line in process.stdout if line.startswith("{"))
        yield json.loads(line)["url"]
    finally:
        process.terminate()
        process.wait(20)
        process.stdout.close()


def aws(url: str, action: str, **arguments: object) -> Any:
    """One call of Cognito's API; the stand-in checks no signature."""
    scope = "Credential=x/20260101/eu-west-1/cognito-idp/aws4_request, SignedHeaders=host, Signature=0"
    headers = {
        "x-amz-target": f"AWSCognitoIdentityProviderService.{action}",
        "content-type": "application/x-amz-json-1.1",
        "authorization": f"AWS4-HMAC-SHA256 {scope}",
    }
    return fetch(url, json.dumps(arguments).encode(), headers)


def test_cognito_s_access_token_is_taken_and_its_id_token_is_not(
    cognito: str, tmp_path: Path, emulator_url: str, clean_environment: dict[str, str]
) -> None:
    pool = aws(cognito, "CreateUserPool", PoolName="people")["UserPool"]["Id"]
    clients = [
        aws(cognito, "CreateUserPoolClient", UserPoolId=pool, ClientName=name)["UserPoolClient"]["ClientId"]
        for name in ("agents", "others")
    ]
    aws(cognito, "CreateGroup", UserPoolId=pool, GroupName="agents")
    aws(cognito, "AdminCreateUser", UserPoolId=pool, Username="alice", TemporaryPassword="Aa1!before-it")
    aws(cognito, "AdminSetUserPassword", UserPoolId=pool, Username="alice", Password=PASSWORD, Permanent=True)
    aws(cognito, "AdminAddUserToGroup", UserPoolId=pool, Username="alice", GroupName="agents")
    ours, theirs = (
        aws(
            cognito,
            "InitiateAuth",
            ClientId=client,
            AuthFlow="USER_PASSWORD_AUTH",
            AuthParameters={"USERNAME": "alice", "PASSWORD": PASSWORD},
        )["AuthenticationResult"]
        for client in clients
    )
    section = f"""
[auth.issuers.cognito]
preset = "cognito"
region = "eu-west-1"
user_pool_id = "{pool}"
client_ids = ["{clients[0]}"]
jwks_url = "{cognito}/{pool}/.well-known/jwks.json"
plain_http = true
subject = "username"
scopes = {{ agents = ["inference:chat"] }}
"""
    with serving(tmp_path, emulator_url, clean_environment, section) as site:
        answer = chat(site, ours["AccessToken"])
        assert answer.status == 200, answer.body
        assert site.told("chat-completed")[-1]["principal"] == "jwt/cognito/alice"
        assert chat(site, ours["IdToken"]).status == 401
        assert chat(site, theirs["AccessToken"]).status == 401
        explained = site.command("jwt", "explain", "-", input_text=ours["IdToken"])
        assert (explained.returncode, "BAD claims" in explained.stdout) == (1, True)
