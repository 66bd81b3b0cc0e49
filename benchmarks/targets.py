"""The gateways that are measured: each started before the same upstreams, each with its own request.

Ours has everything on that it has by default: authentication, admission, metering, ledger, log and
metrics, its state on disk. Peers run as they come, one worker each, without a database of their own.
"""

import json
import os
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import harness
import peers
from harness import GATEWAY_CORE, LOAD_CORE, Process, spawned, wait_for_port

from macroslow import control

CLIENT_KEY: Final = "sk-bench-0123456789abcdef"
PLAIN, STREAM, SLOW = "bench-plain", "bench-stream", "bench-slow"
CHUNK_MS: Final = 5
SLOW_CHUNK_MS: Final = 500
BUDGET_USD_MICROS: Final = 10**12  # a million dollars: no request of a benchmark is ever refused

SETTLE_LIMIT_S: Final = 20.0

_ANSWER: Final = json.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "finish_reason": "stop",
                "logprobs": None,
                "message": {"role": "assistant", "content": "pong " * 60, "refusal": None},
            }
        ],
        "usage": {"prompt_tokens": 60, "completion_tokens": 60, "total_tokens": 120},
    }
)
_NGINX: Final = """
worker_processes 1; daemon off; master_process off; pid nginx.pid; error_log stderr warn;
events { worker_connections 4096; }
http {
  access_log off; keepalive_requests 1000000000; keepalive_timeout 300s; server_tokens off;
  client_body_temp_path body; proxy_temp_path proxied;
  fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;
  @SERVER@
}
"""


@dataclass(frozen=True, slots=True)
class Upstreams:
    """Base URLs of the providers, by the model that each serves."""

    urls: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Target:
    """One gateway that serves. `models` are its names for ours; `url` takes chat completions."""

    name: str
    process: Process
    url: str
    models: Mapping[str, str]
    key: str = CLIENT_KEY
    paths: Mapping[str, str] | None = None

    def request(self, model: str, **members: object) -> tuple[str, dict[str, str], bytes]:
        """URL, headers and body of the one request that everybody gets, about 0.5 kB."""
        body = {
            "model": self.models[model],
            "messages": [
                {"role": "system", "content": "You are terse."},
                {"role": "user", "content": "Say pong. " * 30},
            ],
            "temperature": 0.2,
            "max_tokens": 64,
            **members,
        }
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self.key}"}
        url = self.url + (self.paths[model] if self.paths else "")
        return url, headers, json.dumps(body, separators=(",", ":")).encode()

    def check(self, model: str, expected: bytes, **members: object) -> None:
        """Send one request and look at its answer; RuntimeError if it is not what was expected."""
        url, headers, body = self.request(model, **members)
        sent = urllib.request.Request(url, body, headers)
        with urllib.request.urlopen(sent, timeout=30) as answer:
            got = answer.read()
        if expected not in got:
            raise RuntimeError(f"{self.name} answered {got[:200]!r}")


def _same(given: Upstreams) -> dict[str, str]:
    return {model: model for model in given.urls}


@contextmanager
def upstreams(folder: Path) -> Iterator[Upstreams]:
    """nginx for plain answers, and two streams: chunks a few milliseconds apart, and half a second apart."""
    ports = {model: harness.free_port() for model in (PLAIN, STREAM, SLOW)}
    server = (
        f"server {{ listen 127.0.0.1:{ports[PLAIN]} backlog=4096; default_type application/json; "
        f"location / {{ return 200 '{_ANSWER}'; }} }}"
    )
    stream = [sys.executable, str(harness.HERE / "upstream.py")]
    with (
        _nginx("upstream", server, LOAD_CORE, folder / "upstream") as plain,
        spawned("stream", [*stream, str(ports[STREAM]), str(CHUNK_MS)], LOAD_CORE, folder) as quick,
        spawned("slow", [*stream, str(ports[SLOW]), str(SLOW_CHUNK_MS)], LOAD_CORE, folder) as slow,
    ):
        for process, port in zip((plain, quick, slow), ports.values(), strict=True):
            wait_for_port(process, port)
        yield Upstreams({model: f"http://127.0.0.1:{port}/v1" for model, port in ports.items()})


@contextmanager
def _nginx(name: str, server: str, core: int, folder: Path) -> Iterator[Process]:
    folder.mkdir()
    (folder / "nginx.conf").write_text(_NGINX.replace("@SERVER@", server))
    command = ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")]
    with spawned(name, command, core, folder) as process:
        yield process


@contextmanager
def nginx(folder: Path, given: Upstreams) -> Iterator[Target]:
    """nginx `proxy_pass` with kept-alive upstream connections, comparing one header with the key."""
    port = harness.free_port()
    pools, locations = "", ""
    for model, url in given.urls.items():
        address = url.removeprefix("http://").removesuffix("/v1")
        pools += f"upstream {model} {{ server {address}; keepalive 2048; keepalive_requests 1000000000; }}\n"
        buffering = "on" if model == PLAIN else "off"
        locations += f"location /{model}/ {{ proxy_buffering {buffering}; proxy_pass http://{model}/; }}\n"
    server = f"""{pools}
      server {{
        listen 127.0.0.1:{port} backlog=4096;
        proxy_http_version 1.1; proxy_set_header Connection "";
        proxy_set_header Authorization "Bearer upstream";
        if ($http_authorization != "Bearer {CLIENT_KEY}") {{ return 401; }}
        {locations}
      }}"""
    with _nginx("nginx", server, GATEWAY_CORE, folder / "nginx") as process:
        wait_for_port(process, port)
        paths = {model: f"/{model}/v1/chat/completions" for model in given.urls}
        yield Target("nginx", process, f"http://127.0.0.1:{port}", _same(given), paths=paths)


@dataclass(frozen=True, slots=True)
class Site:
    """A gateway of ours in a folder of its own, and the operator's way to it."""

    target: Target
    folder: Path
    key_id: str = ""

    def ask(self, verb: str, **arguments: object) -> Any:
        """One verb over the control socket, as commands do it."""
        return control.call(self.folder / ".macroslow" / "control.sock", verb, arguments)

    def calls(self) -> int:
        """Rows of calls in the ledger, once no reservation of the benchmark's key is open."""
        until_s = time.monotonic() + SETTLE_LIMIT_S
        while self.ask("keys.show", key_id=self.key_id)["held_usd_micros"]:
            if time.monotonic() > until_s:
                raise RuntimeError("reservations stay open")
            time.sleep(0.02)
        return sum(row["calls"] for row in self.ask("usage", by="model")["rows"])


@contextmanager
def ours(folder: Path, given: Upstreams, command: tuple[str, ...] = ("-m", "macroslow")) -> Iterator[Site]:
    """The gateway as `macroslow serve` starts it; `command` is what Python is told to run."""
    site = folder / "macroslow"
    site.mkdir(parents=True)
    (site / "macroslow.toml").write_text(
        "\n".join(_provider(model, url) for model, url in given.urls.items())
    )
    (site / ".env").write_text("UPSTREAM_KEY=sk-upstream-4k9Xw2Tq7LmZc8VbN3pR6sYd1fGh5jKt\n")
    (site / ".env").chmod(0o600)
    serve = [sys.executable, *command, "serve", "--listen", "127.0.0.1:0", "--json"]
    with spawned("macroslow", serve, GATEWAY_CORE, site) as process:
        line = process.popen.stdout.readline()
        if not line:
            raise RuntimeError((site / "macroslow.log").read_text())
        url = json.loads(line)["url"] + "/v1/chat/completions"
        nobody = Site(Target("macroslow", process, url, _same(given)), site)
        made = nobody.ask("keys.create", principal="bench", budget_usd_micros=BUDGET_USD_MICROS)
        yield Site(Target("macroslow", process, url, _same(given), key=made["key"]), site, made["id"])


def _provider(model: str, url: str) -> str:
    return f"""
[providers.{model}]
base_url = "{url}"
key = "env:UPSTREAM_KEY"
models = ["{model}"]

[models.{model}]
input_usd = 0.15
output_usd = 0.60
"""


@contextmanager
def tensorzero(folder: Path, given: Upstreams) -> Iterator[Target]:
    """TensorZero (Rust), embedded in its wheel: it parses and rebuilds, checks no key, records nothing."""
    folder = folder / "tensorzero"
    folder.mkdir()
    text = "[gateway]\nobservability.enabled = false\n"
    for model, url in given.urls.items():
        text += f'[models.{model}]\nrouting = ["up"]\n[models.{model}.providers.up]\ntype = "openai"\n'
        text += f'model_name = "{model}"\napi_base = "{url}/"\napi_key_location = "none"\n'
    (folder / "tensorzero.toml").write_text(text)
    command = [
        str(peers.python("tensorzero")),
        str(harness.HERE / "tensorzero_gateway.py"),
        "tensorzero.toml",
    ]
    quiet = {"TENSORZERO_LOG": "error", "RUST_LOG": "error", "OPENAI_API_KEY": "upstream"}
    with spawned("tensorzero", command, GATEWAY_CORE, folder, environment=quiet) as process:
        base = process.popen.stdout.readline().strip().rstrip("/")
        if not base:
            raise RuntimeError((folder / "tensorzero.log").read_text())
        models = {model: f"tensorzero::model_name::{model}" for model in given.urls}
        yield Target("tensorzero", process, f"{base}/chat/completions", models)


@contextmanager
def litellm(folder: Path, given: Upstreams) -> Iterator[Target]:
    """LiteLLM's proxy, one worker: a master key, no retries, no database (so no budgets, no records)."""
    folder, port = folder / "litellm", harness.free_port()
    folder.mkdir()
    models = [
        {
            "model_name": model,
            "litellm_params": {"model": f"openai/{model}", "api_base": url, "api_key": "upstream"},
        }
        for model, url in given.urls.items()
    ]
    settings = {
        "model_list": models,
        "general_settings": {"master_key": CLIENT_KEY},
        "litellm_settings": {"telemetry": False, "num_retries": 0, "callbacks": []},
        "router_settings": {"num_retries": 0},
    }
    (folder / "config.yaml").write_text(json.dumps(settings))  # JSON is YAML
    bin_folder = peers.folder("litellm") / "bin"
    command = [str(bin_folder / "litellm"), "--config", "config.yaml", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--num_workers", "1"]
    quiet = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR", "LITELLM_MODE": "PRODUCTION"}
    quiet["PATH"] = f"{bin_folder}{os.pathsep}{os.environ['PATH']}"
    with spawned("litellm", command, GATEWAY_CORE, folder, environment=quiet) as process:
        wait_for_port(process, port, 120)
        yield Target("litellm", process, f"http://127.0.0.1:{port}/v1/chat/completions", _same(given))


PEERS: Final = {"tensorzero": tensorzero, "litellm": litellm}
