"""How much of a provider's limits a gateway gets through, and how often the provider has to refuse.

One emulated provider for each way of counting, one gateway before all of them, twenty clients that
together want three times what each provider allows, in calls of very different sizes. What was let
through and what was refused is counted by the provider. Peers get the same in the same run, from
providers of their own.
"""

import asyncio
import json
import os
import random
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp
import harness
import peers
from harness import GATEWAY_CORE, LOAD_CORE, spawned, table, wait_for_port
from targets import BUDGET_USD_MICROS, CLIENT_KEY, Site, Target

CLIENTS: Final = 20
DEMAND: Final = 3  # times what the limit allows
RPM, TPM = 600, 40_000  # small enough for one machine: so many calls wait at once
LATENCY: Final = "first_ms=300,per_token_ms=4"
UPSTREAM_KEY: Final = "sk-emulator-goodput"
WARM_KEY: Final = "sk-emulator-warm"  # has limits of its own
CALL_LIMIT_S: Final = 120.0

# Words in, words out, most tokens out, and how often.
SIZES: Final = (
    (40, 10, 100, 8),
    (150, 30, 200, 6),
    (400, 90, 500, 4),
    (900, 250, 1000, 2),
    (2000, 60, 2000, 1),
)


@dataclass(frozen=True, slots=True)
class Way:
    """One way of counting, and the model that stands for it here; "bucket" is what providers document."""

    name: str
    model: str
    limits: str
    burst: bool  # whether a minute's worth is there at the start besides what comes back


WAYS: Final = (
    Way("bucket", "gpt-4o", "algorithm=bucket", True),
    Way("fixed", "gpt-4o-mini", "algorithm=fixed,skew_ms=23000,lag_ms=500", False),
    Way("sliding", "gpt-4.1", "algorithm=sliding,lag_ms=200", False),
    Way("second", "gpt-4.1-mini", "algorithm=second", True),
    Way("max_tokens", "gpt-4.1-nano", "algorithm=bucket,charge=max_tokens", True),
)


@dataclass(frozen=True, slots=True)
class Spans:
    """Seconds from the first call: where measuring begins, and where it ends."""

    begin_s: float
    end_s: float


FULL: Final = Spans(120, 300)
QUICK: Final = Spans(0, 50)


@dataclass(slots=True)
class Tally:
    """What the clients saw of one way, within the span."""

    tokens: Counter[int] = field(default_factory=Counter)
    waited_s: list[float] = field(default_factory=list)
    refused: int = 0
    failed: Counter[int] = field(default_factory=Counter)  # by status; 0: none came


@dataclass(frozen=True, slots=True)
class Result:
    """One gateway, one way: as the provider counted it, and as the clients saw it."""

    share: float
    refused_upstream: int
    jain: float | None
    wait_p50_s: float | None
    wait_p99_s: float | None
    tally: Tally


@contextmanager
def providers(folder: Path, owner: str) -> Iterator[dict[str, str]]:
    """One emulator for each way; their base URLs without /v1 by the way's name."""
    with ExitStack() as stack:
        urls = {}
        for way in WAYS:
            spec = f"rpm={RPM},tpm={TPM},{way.limits}"
            command = [sys.executable, "-m", "macroslow", "emulator", "--listen", "127.0.0.1:0", "--json"]
            command += ["--limits", spec, "--latency", LATENCY]
            name = f"provider-{owner}-{way.name}"
            process = stack.enter_context(spawned(name, command, LOAD_CORE, folder))
            line = process.popen.stdout.readline()
            if not line:
                raise RuntimeError((folder / f"{name}.log").read_text())
            urls[way.name] = json.loads(line)["base_url"].removesuffix("/v1")
        yield urls


@contextmanager
def ours(folder: Path, urls: Mapping[str, str]) -> Iterator[tuple[str, list[str]]]:
    """The gateway with its defaults and the numbers that its operator knows; its URL and clients' keys."""
    site = folder / "macroslow"
    site.mkdir(parents=True)
    (site / "macroslow.toml").write_text("\n".join(_provider(way, urls[way.name]) for way in WAYS))
    (site / ".env").write_text(f"UPSTREAM_KEY={UPSTREAM_KEY}\n")
    (site / ".env").chmod(0o600)
    serve = [sys.executable, "-m", "macroslow", "serve", "--listen", "127.0.0.1:0", "--json"]
    with spawned("macroslow", serve, GATEWAY_CORE, site) as process:
        line = process.popen.stdout.readline()
        if not line:
            raise RuntimeError((site / "macroslow.log").read_text())
        url = json.loads(line)["url"] + "/v1/chat/completions"
        operator = Site(Target("macroslow", process, url, {}), site)
        keys = [
            operator.ask("keys.create", principal=f"client-{at}", budget_usd_micros=BUDGET_USD_MICROS)["key"]
            for at in range(CLIENTS)
        ]
        yield url, keys


def _provider(way: Way, url: str) -> str:
    return f"""
[providers.{way.name}]
base_url = "{url}/v1"
key = "env:UPSTREAM_KEY"
emulator = true
models = ["{way.model}"]
limits = {{ rpm = {RPM}, tpm = {TPM} }}
"""


@contextmanager
def litellm(folder: Path, urls: Mapping[str, str]) -> Iterator[tuple[str, list[str]]]:
    """LiteLLM's proxy with the same numbers, which it is told to enforce; without a database."""
    folder, port = folder / "litellm", harness.free_port()
    folder.mkdir(parents=True)
    models = [
        {
            "model_name": way.model,
            "litellm_params": {
                "model": f"openai/{way.model}",
                "api_base": f"{urls[way.name]}/v1",
                "api_key": UPSTREAM_KEY,
                "rpm": RPM,
                "tpm": TPM,
            },
        }
        for way in WAYS
    ]
    settings = {
        "model_list": models,
        "general_settings": {"master_key": CLIENT_KEY},
        "litellm_settings": {"telemetry": False, "callbacks": []},
        "router_settings": {"optional_pre_call_checks": ["enforce_model_rate_limits"]},
    }
    (folder / "config.yaml").write_text(json.dumps(settings))  # JSON is YAML
    bin_folder = peers.folder("litellm") / "bin"
    command = [str(bin_folder / "litellm"), "--config", "config.yaml", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--num_workers", "1"]
    quiet = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR", "LITELLM_MODE": "PRODUCTION"}
    quiet["PATH"] = f"{bin_folder}{os.pathsep}{os.environ['PATH']}"
    with spawned("litellm", command, GATEWAY_CORE, folder, environment=quiet) as process:
        wait_for_port(process, port, 120)
        yield f"http://127.0.0.1:{port}/v1/chat/completions", [CLIENT_KEY] * CLIENTS


def body(model: str, size: Sequence[int]) -> dict[str, Any]:
    """A call of this size."""
    words_in, words_out, most, _ = size
    content = "word " * words_in + f"\nAnswer with {words_out} words"
    return {"model": model, "messages": [{"role": "user", "content": content}], "max_tokens": most}


async def warm(urls: Mapping[str, str]) -> list[tuple[int, float]]:
    """One call to every provider; tokens and seconds of each size where nothing limits it."""
    found = []
    async with aiohttp.ClientSession() as session:
        for at, way in enumerate(WAYS):
            for size in SIZES:
                began_s = time.monotonic()
                url = f"{urls[way.name]}/v1/chat/completions"
                answer, status = await _post(session, url, WARM_KEY, body(way.model, size))
                if status != 200:
                    raise RuntimeError(f"the provider answered {status}")
                if at:
                    break  # one is enough to have everything loaded
                found.append((int(answer["usage"]["total_tokens"]), time.monotonic() - began_s))
    return found


async def _post(
    session: aiohttp.ClientSession, url: str, key: str, sent: Mapping[str, Any]
) -> tuple[dict[str, Any], int]:
    headers = {"Authorization": f"Bearer {key}"}
    async with session.post(url, json=sent, headers=headers) as answer:
        text = await answer.read()
        return (json.loads(text) if answer.status == 200 else {}), answer.status


@dataclass(frozen=True, slots=True)
class Load:
    """Twenty clients before one gateway: calls come when they are due, answered or not."""

    session: aiohttp.ClientSession
    url: str
    keys: Sequence[str]
    alone: Sequence[tuple[int, float]]
    spans: Spans

    async def way(self, way: Way) -> Tally:
        """Send calls of one way until the end of the span."""
        tally, began_s = Tally(), time.monotonic()
        async with asyncio.TaskGroup() as group:
            for client in range(CLIENTS):
                group.create_task(self._client(way, client, tally, began_s, group))
        return tally

    async def _client(
        self, way: Way, client: int, tally: Tally, began_s: float, group: asyncio.TaskGroup
    ) -> None:
        draw = random.Random(f"{way.name} {client}")
        weights = [often for *_, often in SIZES]
        mean = sum(t * often for (t, _), often in zip(self.alone, weights, strict=True)) / sum(weights)
        gap_s = mean * CLIENTS / (DEMAND * TPM / 60)
        due_s = draw.uniform(0, gap_s)
        while due_s < self.spans.end_s:
            await asyncio.sleep(max(0.0, began_s + due_s - time.monotonic()))
            [size] = draw.choices(range(len(SIZES)), weights)
            group.create_task(self._call(way, client, size, tally, began_s))
            due_s += draw.expovariate(1 / gap_s)

    async def _call(self, way: Way, client: int, size: int, tally: Tally, began_s: float) -> None:
        sent_s = time.monotonic()
        try:
            answer, status = await _post(
                self.session, self.url, self.keys[client], body(way.model, SIZES[size])
            )
        except (aiohttp.ClientError, TimeoutError):
            answer, status = {}, 0
        now_s = time.monotonic()
        if not self.spans.begin_s <= now_s - began_s < self.spans.end_s:
            return
        if status == 200:
            tally.tokens[client] += answer["usage"]["total_tokens"]
            tally.waited_s.append(max(0.0, now_s - sent_s - self.alone[size][1]))
        elif status == 429:
            tally.refused += 1
        else:
            tally.failed[status] += 1


async def charged(session: aiohttp.ClientSession, urls: Mapping[str, str]) -> dict[str, tuple[int, int]]:
    """Tokens charged and calls refused so far, by each provider."""
    found = {}
    for name, url in urls.items():
        async with session.get(f"{url}/emulator/stats") as answer:
            said = await answer.json()
        found[name] = (said["charged_tokens"], sum(said["rate_limited"].values()))
    return found


async def measure(
    url: str, keys: Sequence[str], urls: Mapping[str, str], alone: Sequence[tuple[int, float]], spans: Spans
) -> dict[str, Result]:
    """One gateway, all ways at once."""
    timeout = aiohttp.ClientTimeout(total=CALL_LIMIT_S)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
        load = Load(session, url, keys, alone, spans)
        tasks = {way.name: asyncio.create_task(load.way(way)) for way in WAYS}
        await asyncio.sleep(spans.begin_s)
        before = await charged(session, urls)
        await asyncio.sleep(spans.end_s - spans.begin_s)
        after = await charged(session, urls)
        tallies = {name: await task for name, task in tasks.items()}
        last = await charged(session, urls)  # refusals count to the very end
    return {
        way.name: _result(
            way, after[way.name][0] - before[way.name][0], last[way.name][1], tallies[way.name], spans
        )
        for way in WAYS
    }


def _result(way: Way, tokens: int, refused: int, tally: Tally, spans: Spans) -> Result:
    minutes = (spans.end_s - spans.begin_s) / 60 + (way.burst and not spans.begin_s)
    got = [tally.tokens[client] for client in range(CLIENTS)]
    return Result(
        share=tokens / (TPM * max(1.0, minutes)),
        refused_upstream=refused,
        jain=sum(got) ** 2 / (CLIENTS * sum(each**2 for each in got)) if any(got) else None,
        wait_p50_s=statistics.median(tally.waited_s) if tally.waited_s else None,
        wait_p99_s=harness.percentile(tally.waited_s, 99),
        tally=tally,
    )


def run(spans: Spans) -> dict[str, dict[str, Result] | None]:
    """All gateways that are there, one after the other."""
    found: dict[str, dict[str, Result] | None] = {"macroslow": None, "litellm": None}
    with harness.scratch() as folder:
        for name, gateway in (("macroslow", ours), ("litellm", litellm)):
            if name != "macroslow" and peers.python(name) is None:
                print(f"{name} is not installed, its figures are null: make bench-peers")
                continue
            with providers(folder / name, name) as urls, gateway(folder / name, urls) as (url, keys):
                print(f"{name}: {spans.end_s:.0f} s …", flush=True)
                found[name] = asyncio.run(measure(url, keys, urls, asyncio.run(warm(urls)), spans))
    return found


def report(found: Mapping[str, Mapping[str, Result] | None]) -> None:
    """The table, and the figures as JSON."""
    titles = [
        "gateway, way of counting",
        "share",
        "429 upstream",
        "Jain",
        "wait p50 s",
        "p99 s",
        "refused",
        "failed",
    ]
    rows, figures = [], {}
    for gateway, results in found.items():
        for name, each in (results or {}).items():
            clients = (each.wait_p50_s, each.wait_p99_s, each.tally.refused, each.tally.failed.total())
            rows.append([f"{gateway} {name}", each.share, each.refused_upstream, each.jain, *clients])
            prefix = "" if gateway == "macroslow" else "peer_"
            figures |= {
                f"{prefix}share_{name}": each.share,
                f"{prefix}429_{name}": each.refused_upstream,
                f"{prefix}jain_{name}": each.jain,
                f"{prefix}wait_p50_s_{name}": each.wait_p50_s,
                f"{prefix}wait_p99_s_{name}": each.wait_p99_s,
            }
    table(titles, rows)
    mine, peer = found["macroslow"] or {}, found["litellm"]
    harness.finish(
        {
            "share_of_limit": mine["bucket"].share,
            "upstream_429": sum(each.refused_upstream for each in mine.values()),
            "jain": min((each.jain for each in mine.values() if each.jain is not None), default=None),
            "peer_share_of_limit": peer["bucket"].share if peer else None,
            "peer_429": sum(each.refused_upstream for each in peer.values()) if peer else None,
            **figures,
        }
    )


def main() -> None:
    """Measure and report."""
    options = harness.options(__doc__.partition("\n")[0]).parse_args()
    report(run(QUICK if options.quick else FULL))


if __name__ == "__main__":
    main()
