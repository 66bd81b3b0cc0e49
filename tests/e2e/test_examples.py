"""Every example runs as it stands: with its signature and its inputs, against a real API and model."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import Answered, Site, make_site
from tests.e2e.upstream import Asked, Said, Upstream, serving

from macroslow.crypto import documents

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
SECRET = "weather-T4kq9Zs7Lx2Vm8Rb5Nw3"
API = """
[apis.openweathermap]
base_url = "{url}"
secret = "env:WEATHER_KEY"
placement = "query:appid"
paths = ["/data/2.5/"]
"""
INPUTS: dict[str, dict[str, object]] = {
    path.name.replace("inputs.json", "maml.md"): json.loads(path.read_text())
    for path in EXAMPLES.glob("*.inputs.json")
}


@dataclass
class Examples:
    """A gateway that trusts the examples' author, and the weather service."""

    site: Site
    api: Upstream
    signer: str
    key: str

    def send(self, raw: bytes, inputs: object, path: str = "/execute") -> Answered:
        body = json.dumps({"document": raw.decode(), "inputs": inputs}).encode()
        sent = {"x-api-key": self.key, "content-type": "application/json"}
        return self.site.call("POST", path, body, sent)

    def run(self, name: str) -> Any:
        answer = self.send(read(name), INPUTS[name]).json
        assert answer["status"] == "success", answer
        return answer


def read(name: str) -> bytes:
    return (EXAMPLES / name).read_bytes()


def weather(asked: Asked) -> Said:
    """What the service says of São Paulo to whoever has the secret; its errors quote the secret."""
    if f"appid={SECRET}" not in asked.target.partition("?")[2].split("&"):
        return Said(401, b"{}")
    report = {"name": "São Paulo", "main": {"temp": 71.6}, "weather": [{"description": "light rain"}]}
    return Said(200, json.dumps(report).encode())


@pytest.fixture(scope="module")
def examples(tmp_path_factory, emulator_url, clean_environment) -> Iterator[Examples]:
    with serving(weather) as api:
        folder = tmp_path_factory.mktemp("examples")
        site = make_site(folder, emulator_url, clean_environment, API.format(url=api.url))
        with (folder / ".env").open("a") as dotenv:
            dotenv.write(f"WEATHER_KEY={SECRET}\n")
        site.start()
        trusted = site.ask(
            "signers.trust",
            name="author",
            public_jwks=read("author.pub").decode(),
            origins=["agent://hello", "agent://weather"],
        )
        yield Examples(site, api, trusted["key_id"], site.client("ada"))
        site.stop()


def test_every_example_is_tried_here():
    assert {path.name for path in EXAMPLES.glob("*.maml.md")} == set(INPUTS)


@pytest.mark.parametrize("name", INPUTS)
def test_an_example_is_valid_runs_signed_and_its_answer_is_signed(examples, name):
    assert examples.send(read(name), INPUTS[name], "/validate").json["valid"]
    answer = examples.run(name)
    assert answer["signer"] == examples.signer
    assert answer["warnings"] == []
    assert {output["status"] for output in answer["outputs"]} == {"ok"}
    assert answer["signature"]
    assert answer["receipt"]


@pytest.mark.parametrize("name", INPUTS)
def test_an_example_without_its_signature_or_with_surprising_inputs_is_refused(examples, name):
    unsigned = examples.send(documents.split(read(name))[0], INPUTS[name])
    assert (unsigned.status, unsigned.json["step"]) == (403, "signature")
    surprised = examples.send(read(name), INPUTS[name] | {"surprise": 1})
    assert (surprised.status, surprised.json["type"]) == (400, "urn:macroslow:problem:invalid-inputs")


def test_hello_calls_a_model_through_the_sdk_and_is_charged(examples):
    answer = examples.run("hello.maml.md")
    assert "Ada" in answer["result"]["greeting"]
    used = answer["usage"]["by_model"]["gpt-4o-mini"]
    assert used["calls"] == 1
    assert used["input_tokens"] + used["output_tokens"] == answer["result"]["tokens"]
    assert used["usd_micros"] > 0


def test_weather_reports_what_the_service_said_and_the_service_got_the_secret_alone(examples):
    examples.api.asked.clear()
    answer = examples.run("weather.maml.md")
    assert answer["result"] == {
        "city": "São Paulo",
        "temperature": 72,
        "report": "São Paulo: light rain, 72 °F.",
    }
    (asked,) = examples.api.asked
    assert asked.target == f"/data/2.5/weather?q=S%C3%A3o+Paulo&units=imperial&appid={SECRET}"
    assert not {"authorization", "x-api-key", "cookie"} & asked.headers.keys()
    assert examples.key not in str(asked)
    assert SECRET not in json.dumps(answer)
