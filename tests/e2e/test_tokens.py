"""Tokens at a real server: a revoked one ends its streams, bad ones look alike, an older server is named."""

import json
import threading
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.authn.jwt.tokens import token
from tests.e2e.conftest import Site, emulating, make_site, wait_until

from macroslow.authn.jwt.token import read
from macroslow.services.identity import withdraw_ended

SLOW = ("--latency", "first_ms=50,per_token_ms=200")
SECRET = "9f8e7d6c5b4a39281706f5e4d3c2b1a0f0e1d2c3b4a59687"
ISSUERS = """
[auth.issuers.trial]
preset = "development"

[auth.issuers.shared]
issuer = "https://shared.example"
audiences = ["gateway"]
secret = "env:JWT_SECRET"
pass_scopes = ["usage:read"]
"""


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory, clean_environment: dict[str, str]) -> Iterator[Site]:
    """A gateway with two issuers, whose provider takes 80 s for a stream."""
    with emulating(clean_environment, *SLOW) as url:
        made = make_site(tmp_path_factory.mktemp("tokens"), url, clean_environment, ISSUERS)
        with (made.folder / ".env").open("a") as dotenv:
            dotenv.write(f"JWT_SECRET={SECRET}\n")
        made.start()
        yield made
        made.stop()


@pytest.fixture
def elsewhere() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as executor:
        yield executor


def minted(site: Site, subject: str) -> str:
    """A token that is let in: one of the second in which all were revoked is not yet."""

    def made() -> str:
        arguments = {"subject": subject, "scopes": ["inference:chat", "usage:read"], "lifetime_s": 600}
        text = str(site.ask("jwt.mint", **arguments)["token"])
        return text if site.ask("jwt.explain", token=text)["valid"] else ""

    wait_until(lambda: bool(made()))
    return made()


@dataclass
class Stream:
    """An answer that comes line by line."""

    lines: list[bytes] = field(default_factory=list)
    begun: threading.Event = field(default_factory=threading.Event)

    def read(self, site: Site, bearer: str) -> list[bytes]:
        body = {"model": "gpt-4o-mini", "stream": True, "messages": [{"role": "user", "content": "go on"}]}
        sent = {"authorization": f"Bearer {bearer}", "content-type": "application/json"}
        request = urllib.request.Request(
            f"{site.url}/v1/chat/completions", json.dumps(body | {"max_tokens": 400}).encode(), sent
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            while line := answer.readline():
                self.lines.append(line)
                self.begun.set()
        return [line for line in self.lines if line.startswith(b"data: ")]


def revoke_by_jti(site: Site, text: str) -> None:
    site.ask("jwt.revoke", who="trial", jti=read(text.encode()).text("jti"))


def revoke_itself(site: Site, text: str) -> None:
    site.ask("jwt.revoke_token", token=text)


def revoke_all_of_the_subject(site: Site, text: str) -> None:
    site.ask("jwt.revoke", who=f"jwt/trial/{read(text.encode()).text('sub')}")


def revoke_all_of_the_issuer(site: Site, text: str) -> None:
    site.ask("jwt.revoke", who="trial")


@pytest.mark.parametrize(
    ("revoke", "spares_others"),
    [
        (revoke_by_jti, True),
        (revoke_itself, True),
        (revoke_all_of_the_subject, True),
        (revoke_all_of_the_issuer, False),
    ],
)
def test_a_token_that_is_revoked_ends_its_stream_long_before_the_answer(
    slow: Site, elsewhere: ThreadPoolExecutor, revoke: Callable[[Site, str], None], spares_others: bool
) -> None:
    """What has ended is looked for ten times a second; that is the bound, and no stopwatch here."""
    assert withdraw_ended.EVERY_S <= 0.5
    mine, other = minted(slow, f"{revoke.__name__}-ada"), minted(slow, f"{revoke.__name__}-bob")
    streams = {text: Stream() for text in (mine, other)}
    ends = {text: elsewhere.submit(stream.read, slow, text) for text, stream in streams.items()}
    assert all(stream.begun.wait(20) for stream in streams.values())
    revoke(slow, mine)
    last = ends[mine].result(20)[-1].removeprefix(b"data: ")
    assert json.loads(last)["error"]["code"] == "unauthorized"
    if spares_others:
        count = len(streams[other].lines)
        wait_until(lambda: len(streams[other].lines) > count + 2)
        slow.ask("jwt.revoke_token", token=other)
    assert b"unauthorized" in ends[other].result(20)[-1]
    refused = slow.call("GET", "/v1/usage", headers={"authorization": f"Bearer {mine}"})
    assert refused.status == 401


def shared(**changed: Any) -> dict[str, Any]:
    """The claims of a good token of the issuer with a secret. None removes one."""
    whole = {
        "iss": "https://shared.example",
        "sub": "ada",
        "aud": "gateway",
        "exp": 2**33,
        "jti": "a",
    } | changed
    return {name: value for name, value in whole.items() if value is not None}


def signed(claims: Mapping[str, Any], secret: str = SECRET, **header: Any) -> str:
    return token(dict(claims), algorithm="HS256", key=secret.encode(), kid=None, header=header).decode()


def bad_credentials(site: Site) -> dict[str, dict[str, str]]:
    """The headers of one credential for each reason to refuse one, by the reason."""
    key = site.client("eve", scopes=["usage:read"])
    ended = site.client("eve", scopes=["usage:read"])
    site.ask("keys.revoke", key_id=ended[4:16])
    site.ask("jwt.revoke", who="shared", jti="revoked")
    bearers = {
        "jwt-form": "a.b.c",
        "jwt-issuer": signed(shared(iss="https://other.example")),
        "jwt-algorithm": signed(shared(), alg="none"),
        "jwt-type": signed(shared(), typ="dpop+jwt"),
        "jwt-signature": signed(shared(), secret=SECRET[::-1]),
        "jwt-expiry": signed(shared(exp=1)),
        "jwt-not-before": signed(shared(nbf=2**33 - 1)),
        "jwt-issued": signed(shared(iat=2**33 - 1)),
        "jwt-audience": signed(shared(aud="other")),
        "jwt-subject": signed(shared(sub=None)),
        "jwt-rights": signed(shared(scope=7)),
        "jwt-revoked": signed(shared(jti="revoked")),
        "credential-malformed": key[:-1],
        "credential-revoked": ended,
        "credential-other-kind": "opaque",
    }
    sent = {reason: {"authorization": f"Bearer {text}"} for reason, text in bearers.items()}
    return sent | {"credential-ambiguous": {"authorization": f"Bearer {key}", "x-api-key": ended}}


@pytest.mark.parametrize(("method", "path"), [("GET", "/runs"), ("GET", "/v1/usage"), ("POST", "/mcp")])
def test_all_bad_credentials_are_refused_with_the_same_bytes(slow: Site, method: str, path: str) -> None:
    told = {}
    cases = bad_credentials(slow)
    for reason, headers in cases.items():
        answer = slow.call(method, path, headers=headers)
        number = answer.headers.pop("x-request-id").encode()
        answer.headers.pop("date", None)
        told[reason] = (answer.status, sorted(answer.headers.items()), answer.body.replace(number, b"-"))
    assert {each[0] for each in told.values()} == {401}
    assert len({json.dumps(each[1]) for each in told.values()}) == 1
    assert len({each[2] for each in told.values()}) == 1
    good = slow.call(
        "GET", "/v1/usage", headers={"authorization": f"Bearer {signed(shared(scope='usage:read'))}"}
    )
    assert good.status == 200


def test_the_running_gateway_says_yes_to_the_secret_of_a_key_and_not_to_one_that_was_rotated_away(
    slow: Site,
) -> None:
    made = slow.ask("keys.create", principal="rotating")
    newer = slow.ask("keys.rotate", key_id=made["id"], overlap_s=0)
    for text, code in ((newer["key"], 0), (made["key"], 1)):
        done = slow.command("can", "-", "inference:chat", input_text=text)
        assert done.returncode == code, done.stdout + done.stderr
        assert text not in done.stdout + done.stderr
        status = slow.call("GET", "/v1/usage", headers={"authorization": f"Bearer {text}"}).status
        assert (status == 200) is (code == 0)


def test_a_gateway_that_is_older_than_its_configuration_is_named_as_such(
    emulator_url: str, clean_environment: dict[str, str], tmp_path: Path
) -> None:
    site = make_site(tmp_path / "older", emulator_url, clean_environment)
    site.start()
    file = site.folder / "macroslow.toml"
    file.write_text(file.read_text() + '[auth.issuers.trial]\npreset = "development"\n')
    asked = {
        ("jwt", "mint", "ada"): None,
        ("jwt", "explain", "-"): "a.b.c",
        ("can", "-", "usage:read"): "a.b.c",
        ("jwt", "revoke", "trial"): None,
    }
    for command, given in asked.items():
        done = site.command(*command, input_text=given)
        assert (done.returncode, done.stdout) == (78, "")
        assert done.stderr.startswith("macroslow: the running gateway does not know [auth.issuers.trial]:")
        assert "start it again" in done.stderr
    site.stop()
    assert site.command("jwt", "mint", "ada").returncode == 0
