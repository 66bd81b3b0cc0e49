"""A provider's key that a caller brings beside a token: who sees it, what it pays for, where it is not."""

import base64
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.e2e.conftest import PROVIDER_KEY, Answered, Site, make_site
from tests.e2e.documents import document
from tests.e2e.upstream import Asked, Said, Upstream, serving

OWN_KEY = "sk-proj-own-9f8e7d6c5b4a39281706f5e4d3c2b1a0"
OTHER_KEY = "sk-emulator-second-1a2b3c4d5e6f708192a3b4c5d6e7f809"
MORE = """
models = ["gpt-*"]

[providers.second]
base_url = "{second}/v1"
key = "env:SECOND_KEY"
models = ["o3"]

[auth]
byok = "openai"

[auth.issuers.trial]
preset = "development"
"""
CHAT = {"model": "gpt-4o-mini", "max_tokens": 8, "messages": [{"role": "user", "content": "hello"}]}
USAGE = {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}
ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "model": "gpt-4o-mini",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hi"}}],
    "usage": USAGE,
}
IN_A_BLOCK = """
import os
from openai import OpenAI
said = OpenAI().chat.completions.create(
    model="gpt-4o-mini", max_tokens=8, messages=[{"role": "user", "content": "hello"}]
)
seen = "\\n".join(f"{k}={v}" for k, v in os.environ.items())
result = {"said": said.choices[0].message.content, "environment": seen}
"""


def answer(asked: Asked) -> Said:
    """A provider that knows the keys, and repeats one that it does not know."""
    key = asked.headers.get("authorization", "").removeprefix("Bearer ")
    if key in {OWN_KEY, PROVIDER_KEY, OTHER_KEY}:
        return Said(200, json.dumps(ANSWER).encode())
    if key.endswith("loud"):
        return Said(400, json.dumps({"error": {"message": f"what is {key}?", "type": key}}).encode())
    return Said(401, json.dumps({"error": {"message": f"bad key {key}"}}).encode())


@dataclass
class Bench:
    """A gateway before two providers, and a token for it."""

    site: Site
    openai: Upstream
    second: Upstream
    token: str

    def ask(
        self,
        path: str,
        body: bytes,
        *,
        x_api_key: str = "",
        bearer: str | None = None,
        kind: str = "application/json",
    ) -> Answered:
        headers = {"content-type": kind}
        if x_api_key:
            headers["x-api-key"] = x_api_key
        if bearer is None or bearer:
            headers["authorization"] = f"Bearer {self.token if bearer is None else bearer}"
        request = urllib.request.Request(self.site.url + path, body, headers, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=60) as got:
                return Answered(got.status, dict(got.headers), got.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answered(error.code, dict(error.headers), error.read())

    def chat(self, key: str = "", model: str = "gpt-4o-mini", bearer: str | None = None) -> Answered:
        return self.ask(
            "/v1/chat/completions", json.dumps(CHAT | {"model": model}).encode(), x_api_key=key, bearer=bearer
        )

    @property
    def shown(self) -> list[str]:
        """The credentials that the first provider was shown since the last look."""
        keys = [asked.headers.get("authorization", "").removeprefix("Bearer ") for asked in self.openai.asked]
        self.openai.asked.clear()
        return keys


@pytest.fixture(scope="module")
def bench(tmp_path_factory, clean_environment: dict[str, str]) -> Iterator[Bench]:
    with serving(answer) as openai, serving(answer) as second:
        environment = clean_environment | {"SECOND_KEY": OTHER_KEY}
        more = MORE.format(second=second.url)
        site = make_site(tmp_path_factory.mktemp("own"), openai.url + "/v1", environment, more)
        site.start()
        token = site.ask(
            "jwt.mint", subject="ada", scopes=["inference:chat", "documents:execute"], lifetime_s=3600
        )
        yield Bench(site, openai, second, token["token"])
        assert site.stop() == 0


def test_the_callers_key_goes_to_the_provider_and_the_operators_does_not(bench: Bench) -> None:
    assert bench.chat(OWN_KEY).status == 200
    assert bench.shown == [OWN_KEY]
    assert bench.chat().status == 200
    assert bench.shown == [PROVIDER_KEY]


def test_it_is_booked_apart_from_what_the_operator_pays(bench: Bench) -> None:
    bench.chat(OWN_KEY)
    rows = {row["provider"]: row for row in bench.site.ask("usage", by="provider")["rows"]}
    assert rows["openai#own"]["calls"] >= 1
    (entry, *_) = reversed(bench.site.told("chat-completed"))
    assert entry["account"] == "openai#own"
    assert entry["usd_micros"] > 0


def test_no_other_provider_ever_gets_it(bench: Bench) -> None:
    """CVE-2024-6587: a key goes to its own destination or nowhere."""
    refused = bench.chat(OWN_KEY, "o3")
    assert refused.status == 400
    assert "for the provider openai" in refused.body.decode()
    assert bench.chat(model="o3").status == 200
    assert [asked.headers["authorization"] for asked in bench.second.asked] == [f"Bearer {OTHER_KEY}"]


@pytest.mark.parametrize(
    "key",
    [
        "msk_wrong",
        "MSK_wrong",
        "xmsk_wrong",
        "msk_000000000000_" + "a" * 49,
        "short",
        "two words here",
        "x" * 600,
        "ü" * 9,
    ],
)
def test_what_looks_like_a_key_of_ours_or_like_none_is_refused_and_goes_nowhere(
    bench: Bench, key: str
) -> None:
    bench.shown  # noqa: B018 - forget what was before
    assert (
        bench.ask(
            "/v1/chat/completions", json.dumps(CHAT).encode(), x_api_key=key.encode().decode("latin-1")
        ).status
        == 401
    )
    assert bench.shown == []


def test_a_token_of_ours_is_no_provider_s_key_though_others_keys_may_be_tokens(bench: Bench) -> None:
    """An SDK with one credential sends it in both headers: the provider would have it."""
    bench.shown  # noqa: B018
    header, claims, signature = bench.token.split(".")
    theirs = base64.urlsafe_b64encode(b'{"iss":"https://provider.example"}').decode().rstrip("=")
    other = bench.site.ask("jwt.mint", subject="bob", scopes=[], lifetime_s=60)["token"]
    for ours in (bench.token, other, f"{header}.{claims}.{signature[::-1][:80]}", f"{header}.{claims}."):
        assert bench.chat(ours).status == 401
    assert bench.shown == []
    bench.chat(f"{header}.{theirs}.{signature}")
    assert bench.shown == [f"{header}.{theirs}.{signature}"]


def test_without_a_valid_token_it_opens_nothing(bench: Bench) -> None:
    bench.shown  # noqa: B018
    own = bench.site.client("client")
    for bearer in ("", bench.token[:-4] + "AAAA", "eyJhbGciOiJub25lIn0.e30.", OWN_KEY, own):
        assert bench.chat(OWN_KEY, bearer=bearer).status == 401
    assert bench.shown == []


def test_a_client_key_beside_a_token_is_still_a_client_key(bench: Bench) -> None:
    assert bench.chat(bench.site.client("both")).status == 200
    assert bench.shown[-1] == PROVIDER_KEY


def test_a_key_that_the_provider_does_not_take_is_said_to_be_the_callers(bench: Bench) -> None:
    bad = "sk-proj-nobody-knows-this"
    refused = bench.chat(bad)
    assert refused.status == 502
    assert "the key that came with the request" in refused.body.decode()
    assert bad not in refused.body.decode()
    assert PROVIDER_KEY not in bench.shown, "the operator's key never stands in for it"
    assert bench.chat(OWN_KEY).status == 200, "and nobody else waits for it"


def test_a_provider_that_repeats_it_does_not_give_it_away(bench: Bench) -> None:
    loud = "sk-proj-this-one-is-loud"
    refused = bench.chat(loud)
    assert refused.status == 400
    assert loud not in refused.body.decode()


def test_a_documents_calls_go_by_it_and_the_document_never_sees_it(bench: Bench) -> None:
    bench.shown  # noqa: B018
    raw = document(IN_A_BLOCK, execute='"gateway://local", "api://openai"')
    done = bench.ask("/execute", raw, x_api_key=OWN_KEY, kind="text/markdown")
    assert done.status == 200, done.body
    assert done.json["result"]["said"] == "hi", done.json
    assert OWN_KEY not in done.body.decode()
    assert bench.shown == [OWN_KEY]


def test_it_is_nowhere_afterwards(bench: Bench) -> None:
    """Log, server's log, figures, and every file of the state folder."""
    assert bench.chat(OWN_KEY).status == 200
    assert OWN_KEY not in json.dumps(bench.site.log()) + bench.site.said
    files = [path for path in Path(bench.site.state).rglob("*") if path.is_file()]
    assert any(path.name.startswith("books.sqlite") for path in files)
    assert not [path for path in files if OWN_KEY.encode() in path.read_bytes()]
