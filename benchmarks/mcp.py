"""What one tools/call costs: a tool of ours beside the bare SDK and FastMCP, another server's beside LiteLLM.

First a tool of our own, with a client key, on the wire of 2026-07-28: the bare SDK's low-level server (which
checks no key) and FastMCP answer the same result. Then gateways in front of the same upstream: ours with its
pins approved, LiteLLM's MCP gateway and FastMCP's proxy; the upstream counts what reaches it. One core for
the server, another for the load. Rounds are interleaved; a ratio is the median of the rounds' ratios.
"""

import json
import os
import re
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import harness
import peers
from harness import (
    GATEWAY_CORE,
    LOAD_CORE,
    Process,
    median,
    missing_tools,
    ratio,
    spawned,
    table,
    wait_for_port,
)
from targets import BUDGET_USD_MICROS, CLIENT_KEY, Site, Target

MODERN, LEGACY = "2026-07-28", "2025-11-25"
CONNECTIONS: Final = 32
BEHIND_CONNECTIONS: Final = 8  # what wrk leaves unanswered at its end must be few of the slowest's calls
COUNTED_CALLS: Final = 20
QUIET_CORES: Final = 0.3
OURS, SDK, FASTMCP = "macroslow", "sdk", "fastmcp"
BEHIND: Final = {f"{OURS}_gateway": "up__echo", "litellm": "up-echo", "fastmcp_proxy": "echo"}
"""Gateways by name, and what each calls the upstream's tool."""
_SERVERS: Final = str(harness.HERE / "mcp_servers.py")  # run with -P: `import mcp` must not find this file
_QUESTION: Final = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Say pong. " * 30}]}
_PING: Final = {"text": "ping " * 30}


@dataclass(frozen=True, slots=True)
class Sizes:
    """How long and how often."""

    rounds: int
    warm_s: float
    call_s: float
    behind_s: float


FULL: Final = Sizes(rounds=5, warm_s=2, call_s=4, behind_s=6)
QUICK: Final = Sizes(rounds=1, warm_s=0, call_s=1, behind_s=3)


@dataclass(frozen=True, slots=True)
class Caller:
    """One server and the call of its one tool. `wire` is the protocol's revision."""

    name: str
    process: Process
    url: str
    tool: str
    arguments: Mapping[str, object]
    key_header: str = "Authorization"
    key: str = CLIENT_KEY
    wire: str = MODERN

    def request(self) -> tuple[dict[str, str], bytes]:
        """Headers and body of the call."""
        params: dict[str, object] = {"name": self.tool, "arguments": self.arguments}
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
            "MCP-Protocol-Version": self.wire,
            self.key_header: f"Bearer {self.key}",
        }
        if self.wire == MODERN:
            headers |= {"Mcp-Method": "tools/call", "Mcp-Name": self.tool}
            meta = "io.modelcontextprotocol"
            params["_meta"] = {f"{meta}/protocolVersion": MODERN, f"{meta}/clientCapabilities": {}}
        message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        return headers, json.dumps(message, separators=(",", ":")).encode()

    def call(self) -> dict[str, Any]:
        """One call; its result. RuntimeError if there is none."""
        headers, body = self.request()
        sent = urllib.request.Request(self.url, body, headers)
        with urllib.request.urlopen(sent, timeout=60) as answer:
            got = answer.read().decode()
        data = re.search(r"^data: (\{.*\})\r?$", got, re.MULTILINE)  # where it answers as an event stream
        message = json.loads(data[1] if data else got)
        if "result" not in message or message["result"].get("isError"):
            raise RuntimeError(f"{self.name} answered {got[:300]}")
        return dict(message["result"])

    def cpu_us(self, connections: int, seconds: float, folder: Path) -> tuple[float | None, harness.Load]:
        """Microseconds of CPU for each answer of one run of wrk."""
        headers, body = self.request()
        before_s = self.process.cpu_s()
        load = harness.wrk(self.url, headers, body, folder, connections=connections, seconds=seconds)
        used_s = self.process.cpu_s() - before_s
        return (used_s / load.answered * 1e6 if load.answered else None), load


@dataclass(slots=True)
class Measured:
    """The rounds of one server."""

    cpu_us: list[float | None] = field(default_factory=list)
    per_s: list[float | None] = field(default_factory=list)
    p50_ms: list[float | None] = field(default_factory=list)
    failed: int = 0
    upstream_requests: float | None = None


# The servers


@contextmanager
def ours(folder: Path, upstream: str | None = None) -> Iterator[Site]:
    """`macroslow serve` with its defaults, in front of `upstream` if there is one, its pins approved."""
    site = folder / ("gateway" if upstream else OURS)
    site.mkdir(parents=True)
    settings = '[providers.openai]\nbase_url = "http://127.0.0.1:9/v1"\n'
    if upstream:
        settings += f'[mcp.servers.up]\nurl = "{upstream}"\n'
    (site / "macroslow.toml").write_text(settings)
    serve = [sys.executable, "-m", "macroslow", "serve", "--listen", "127.0.0.1:0", "--json"]
    with spawned(OURS, serve, GATEWAY_CORE, site) as process:
        line = process.popen.stdout.readline()
        if not line:
            raise RuntimeError((site / f"{OURS}.log").read_text())
        url = json.loads(line)["url"] + "/mcp"
        nobody = Site(Target(OURS, process, url, {}), site)
        scopes = ["mcp:connect", "inference:chat", *(["mcp:up"] if upstream else [])]
        made = nobody.ask(
            "keys.create", principal="bench", budget_usd_micros=BUDGET_USD_MICROS, scopes=scopes
        )
        if upstream:
            shown = nobody.ask("mcp.diff", server="up")
            nobody.ask("mcp.approve", server="up", digest=shown["digest"])
        yield Site(Target(OURS, process, url, {}, key=made["key"]), site, made["id"])


@contextmanager
def served(name: str, python: Path, kind: str, given: str, core: int, folder: Path) -> Iterator[Process]:
    """One of `mcp_servers.py`; its port is in PORT.txt of its folder."""
    port = harness.free_port()
    here = folder / name
    command = [str(python), "-P", _SERVERS, kind, str(port), *([given] if given else [])]
    with spawned(name, command, core, here, environment={"KEY": CLIENT_KEY}) as process:
        wait_for_port(process, port)
        (here / "PORT.txt").write_text(str(port))
        yield process


def url_of(process: Process, folder: Path, path: str = "/mcp") -> str:
    """Where one of `served` listens."""
    return f"http://127.0.0.1:{(folder / process.name / 'PORT.txt').read_text()}{path}"


@contextmanager
def litellm(folder: Path, upstream: str) -> Iterator[Caller]:
    """LiteLLM's MCP gateway: one worker, a master key, no database."""
    here, port = folder / "litellm", harness.free_port()
    here.mkdir()
    settings = {
        "model_list": [],
        "general_settings": {"master_key": CLIENT_KEY},
        "litellm_settings": {"telemetry": False},
        "mcp_servers": {"up": {"url": upstream, "transport": "http", "allow_all_keys": True}},
    }
    (here / "config.yaml").write_text(json.dumps(settings))  # JSON is YAML
    bin_folder = peers.folder("litellm") / "bin"
    command = [str(bin_folder / "litellm"), "--config", "config.yaml", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--num_workers", "1"]
    quiet = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR", "LITELLM_MODE": "PRODUCTION"}
    quiet["PATH"] = f"{bin_folder}{os.pathsep}{os.environ['PATH']}"
    with spawned("litellm", command, GATEWAY_CORE, here, environment=quiet) as process:
        wait_for_port(process, port, 120)
        url = f"http://127.0.0.1:{port}/mcp/"
        tool = BEHIND["litellm"]
        yield Caller("litellm", process, url, tool, _PING, key_header="x-litellm-api-key", wire=LEGACY)


# The comparisons


@contextmanager
def servers_of_tools(folder: Path, wanted: Sequence[str]) -> Iterator[dict[str, Caller]]:
    """Ours, and those that answer the same result from memory."""
    with ExitStack() as stack:
        site = stack.enter_context(ours(folder))
        own = Caller(
            OURS, site.target.process, site.target.url, "count_tokens", _QUESTION, key=site.target.key
        )
        result = folder / "result.json"
        result.write_text(json.dumps(own.call()["structuredContent"]))
        found = {OURS: own}
        for name, python in ((SDK, Path(sys.executable)), (FASTMCP, _peer(FASTMCP, wanted))):
            if python is not None:
                process = stack.enter_context(served(name, python, name, str(result), GATEWAY_CORE, folder))
                found[name] = Caller(name, process, url_of(process, folder), "count_tokens", _QUESTION)
        yield found


@contextmanager
def gateways(folder: Path, wanted: Sequence[str]) -> Iterator[tuple[dict[str, Caller], str]]:
    """Those in front of one upstream, and where that says how many requests it had."""
    with ExitStack() as stack:
        up = stack.enter_context(served("upstream", Path(sys.executable), "upstream", "", LOAD_CORE, folder))
        upstream, name = url_of(up, folder), f"{OURS}_gateway"
        site = stack.enter_context(ours(folder, upstream))
        target = site.target
        found = {name: Caller(name, target.process, target.url, BEHIND[name], _PING, key=target.key)}
        if _peer("litellm", wanted) is not None:
            found["litellm"] = stack.enter_context(litellm(folder, upstream))
        if (python := _peer(FASTMCP, wanted)) is not None:
            name = "fastmcp_proxy"
            process = stack.enter_context(served(name, python, "proxy", upstream, GATEWAY_CORE, folder))
            url = url_of(process, folder)
            found[name] = Caller(name, process, url, BEHIND[name], _PING, wire=LEGACY)
        yield found, url_of(up, folder, "/count")


def _peer(name: str, wanted: Sequence[str]) -> Path | None:
    """Its interpreter; None, which is told of, if it is not there or not wanted."""
    if name not in wanted:
        return None
    python = peers.python(name)
    if python is None:
        print(f"{name} is not installed, its figures are null: make bench-peers")
    return python


def rounds(
    found: Mapping[str, Caller], sizes: Sizes, folder: Path, *, connections: int, seconds: float
) -> dict[str, Measured]:
    """All of them, round by round."""
    measured = {name: Measured() for name in found}
    for caller in found.values():
        caller.call()
        if sizes.warm_s:
            caller.cpu_us(connections, sizes.warm_s, folder)
    for _ in range(sizes.rounds):
        for name, caller in found.items():
            cpu_us, load = caller.cpu_us(connections, seconds, folder)
            into = measured[name]
            into.cpu_us.append(cpu_us)
            into.per_s.append(load.answered / load.seconds)
            into.p50_ms.append(load.p50_ms)
            into.failed += load.failed
    return measured


def upstream_requests(caller: Caller, count_url: str) -> float:
    """How many requests the upstream has for one call, over COUNTED_CALLS after the first."""
    caller.call()
    before = _count(count_url)
    for _ in range(COUNTED_CALLS):
        caller.call()
    return (_count(count_url) - before) / COUNTED_CALLS


def _count(url: str) -> int:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return int(answer.read())


def compare(sizes: Sizes, wanted: Sequence[str]) -> dict[str, Any]:
    """Both comparisons; the figures by the names of the last line."""
    began_s, foreign_s = time.monotonic(), harness.foreign_cpu_s()
    with harness.scratch() as folder, servers_of_tools(folder, wanted) as found:
        local = rounds(found, sizes, folder, connections=CONNECTIONS, seconds=sizes.call_s)
    with harness.scratch() as folder, gateways(folder, wanted) as (found, count_url):
        # Before the load: a gateway that cannot follow it still works off what nobody waits for any more.
        requests = {name: upstream_requests(caller, count_url) for name, caller in found.items()}
        proxied = rounds(found, sizes, folder, connections=BEHIND_CONNECTIONS, seconds=sizes.behind_s)
        for name, one in proxied.items():
            one.upstream_requests = requests[name]
    foreign = (harness.foreign_cpu_s() - foreign_s) / (time.monotonic() - began_s)
    figures = _figures(local, proxied)
    if foreign > QUIET_CORES:
        print(
            f"\nOther programs used {foreign:.2f} of {len(harness.CORES)} cores meanwhile: "
            "do not trust these figures."
        )
    return {**figures, "foreign_cores": foreign}


def _figures(local: Mapping[str, Measured], proxied: Mapping[str, Measured]) -> dict[str, Any]:
    nothing, through = Measured(), proxied.get(f"{OURS}_gateway", Measured())
    figures: dict[str, Any] = {}
    for name in (SDK, FASTMCP):
        figures[f"cpu_ratio_{name}"] = _ratio(local.get(OURS, nothing), local.get(name, nothing))
    for name in BEHIND:
        if name != f"{OURS}_gateway":
            figures[f"proxied_cpu_ratio_{name}"] = _ratio(through, proxied.get(name, nothing))
    figures["upstream_requests_per_call"] = through.upstream_requests
    for name in (OURS, SDK, FASTMCP):
        figures[f"cpu_us_{name}"] = median(local.get(name, nothing).cpu_us)
    for name in BEHIND:
        one = proxied.get(name, nothing)
        figures[f"proxied_cpu_us_{name}"] = median(one.cpu_us)
        figures[f"upstream_requests_{name}"] = one.upstream_requests
    figures["failed"] = sum(one.failed for one in (*local.values(), *proxied.values()))
    print()
    titles = ("a tool of its own", "CPU us", "ours/it", "calls/s", "p50 ms", "failed")
    table(titles, [_row(name, one, local[OURS]) for name, one in local.items()])
    print()
    table(
        ("a tool behind it", *titles[1:], "upstream requests"),
        [(*_row(name, one, through), one.upstream_requests) for name, one in proxied.items()],
    )
    return figures


def _row(name: str, one: Measured, us: Measured) -> tuple[object, ...]:
    return name, median(one.cpu_us), _ratio(us, one), median(one.per_s), median(one.p50_ms), one.failed


def _ratio(us: Measured, them: Measured) -> float | None:
    """The median of the rounds' ratios."""
    return median(ratio(one, other) for one, other in zip(us.cpu_us, them.cpu_us, strict=False))


def main() -> None:
    """Measure and report."""
    parser = harness.options(__doc__.partition("\n")[0])
    known = ["litellm", FASTMCP]
    parser.add_argument("--peers", nargs="*", choices=known, default=known)
    chosen = parser.parse_args()
    os.sched_setaffinity(0, {LOAD_CORE})
    if missing_tools("wrk"):
        harness.finish(_figures({OURS: Measured()}, {}))
        return
    harness.finish(compare(QUICK if chosen.quick else FULL, chosen.peers))


if __name__ == "__main__":
    main()
