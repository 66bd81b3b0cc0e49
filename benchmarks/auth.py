"""What it costs to know who sends a request, and how soon a revoked key is of no more use.

The cost is CPU time of one process that passes requests through the gate, without a server around it, to
a handler that does nothing: without a credential on a public route, and with each kind of credential. The
revocations happen in a gateway that serves under load: from the moment at which the operator's command asks
for one until the last stream of that key has ended.
"""

import asyncio
import os
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import aiohttp
import harness
from harness import LOAD_CORE, spawned, table, wait_for_port
from targets import BUDGET_USD_MICROS, Site, Upstreams, ours

from macroslow.adapters.system import SystemClock, SystemEntropy
from macroslow.authn.jwt.ports import FixedKeys
from macroslow.authn.jwt.revoked import Revocations
from macroslow.authn.keyring import KeyRing
from macroslow.authz.scopes import CLIENT_DEFAULT, RUNS_READ
from macroslow.services.identity.authenticate import Authenticate
from macroslow.services.identity.manage_keys import ManageKeys
from macroslow.services.identity.mint_tokens import MintTokens, development_key, development_keys
from macroslow.services.identity.verify_tokens import TrustedIssuer, VerifyTokens
from macroslow.services.identity.wished_keys import NewKey
from macroslow.settings.issuers.auth import Issuer
from macroslow.web.gate import Gate
from macroslow.web.messages import Response
from macroslow.web.metrics import Metrics
from macroslow.web.protected_resource import NO_ISSUER
from macroslow.web.routes import Audit, LimitedBy, Route

QUICK, SLOW = "quick-stream", "slow-stream"
CHUNK_S: Final = {QUICK: 0.005, SLOW: 0.5}  # 20 events each: the slow ones last 10 s
STREAMS_PER_KEY: Final = 8
BUSY_CLIENTS: Final = 24
OPEN_LIMIT_S: Final = 5.0
HEADERS: Final = (
    (b"host", b"127.0.0.1:8000"),
    (b"accept", b"application/json"),
    (b"user-agent", b"OpenAI/Python 3.54.0"),
)


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is done."""

    requests: int
    keys: int


FULL: Final = Sizes(requests=100_000, keys=16)
SHORT: Final = Sizes(requests=3_000, keys=2)


# The cost


async def _nothing(_: object, __: object) -> Response:
    return Response(200, (), b"")


ROUTES: Final = (
    Route("GET", "/health/live", None, _nothing, limit=LimitedBy.CREDENTIAL, audit=Audit.NOTHING),
    Route("GET", "/closed", RUNS_READ, _nothing),
)


class Nowhere:
    """Books that keep nothing."""

    async def commit(self, *_: object) -> list[object]:
        return []


async def costs(requests: int) -> dict[str, float]:
    """CPU time of one request through the gate, in microseconds, by kind of credential; the best of five."""
    clock, keyring = SystemClock(), KeyRing()
    pepper = os.urandom(32)
    keys = ManageKeys(Nowhere(), keyring, pepper, clock, SystemEntropy())
    made = await keys.create(NewKey("bench", scopes=CLIENT_DEFAULT))
    bound = await keys.create(NewKey("bench", requests_per_minute=10_000_000, concurrent_requests=100))
    issuer = Issuer(preset="development").rules("bench")
    signing = development_key(pepper)
    source = FixedKeys(development_keys(signing))
    tokens = VerifyTokens([TrustedIssuer(issuer, source)], Revocations(), Nowhere(), clock)
    token = MintTokens(signing, issuer, clock, SystemEntropy())("bench", [RUNS_READ], 3600).encode()
    gate = Gate(
        SimpleNamespace(metrics=Metrics(), guessing=print, protected=NO_ISSUER),
        ROUTES,
        Authenticate(keyring, pepper, clock, tokens),
        SimpleNamespace(note=print),
        clock,
        SystemEntropy(),
    )
    kinds = {
        "none": ("/health/live", ()),
        "key": ("/closed", ((b"authorization", b"Bearer " + made.text.encode()),)),
        "jwt": ("/closed", ((b"authorization", b"Bearer " + token),)),
        "key_and_jwt": (
            "/closed",
            ((b"authorization", b"Bearer " + token), (b"x-api-key", made.text.encode())),
        ),
        "key_with_limits": ("/closed", ((b"authorization", b"Bearer " + bound.text.encode()),)),
    }
    best: dict[str, float] = {}
    for _ in range(5):
        for kind, (path, credential) in kinds.items():
            taken_us = await _through(gate, path, (*HEADERS, *credential), requests // 5)
            best[kind] = min(taken_us, best.get(kind, taken_us))
    best["jwt_first"] = await _first_looks(tokens, token, requests // 50)
    return best


async def _first_looks(tokens: VerifyTokens, token: bytes, count: int) -> float:
    """CPU time of the whole examination of a token that was not seen before."""
    began_s = time.process_time()
    for _ in range(count):
        if (await tokens.examine(token)).identity is None:
            raise RuntimeError("the token is not good")
    return (time.process_time() - began_s) / count * 1e6


async def _through(gate: Gate, path: str, headers: Sequence[tuple[bytes, bytes]], requests: int) -> float:
    scope = {
        "type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b"",
        "headers": headers, "client": ("127.0.0.1", 5000), "scheme": "http", "state": {},
    }  # fmt: skip
    statuses = set()

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        statuses.add(message.get("status", 200))

    began_s = time.process_time()
    for _ in range(requests):
        await gate(scope, receive, send)
    taken_s = time.process_time() - began_s
    if statuses != {200}:
        raise RuntimeError(f"the gate answered {statuses}")
    return taken_s / requests * 1e6


# Revocation


@contextmanager
def serving(folder: Path) -> Iterator[Site]:
    """A gateway of ours before two providers that stream, quickly and slowly."""
    ports = {model: harness.free_port() for model in CHUNK_S}
    upstream = [sys.executable, str(harness.HERE / "upstream.py")]
    with (
        spawned(
            QUICK, [*upstream, str(ports[QUICK]), str(CHUNK_S[QUICK] * 1000)], LOAD_CORE, folder
        ) as quick,
        spawned(SLOW, [*upstream, str(ports[SLOW]), str(CHUNK_S[SLOW] * 1000)], LOAD_CORE, folder) as slow,
    ):
        wait_for_port(quick, ports[QUICK])
        wait_for_port(slow, ports[SLOW])
        urls = {model: f"http://127.0.0.1:{port}/v1" for model, port in ports.items()}
        with ours(folder, Upstreams(urls)) as site:
            yield site


async def revocations(site: Site, count: int) -> tuple[list[float], list[float], int]:
    """Milliseconds until the first refusal and until the last stream's end of each key; answers beside it."""
    answered = 0
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(60)) as session:
        busy = [asyncio.create_task(_keep_busy(session, site)) for _ in range(BUSY_CLIENTS)]
        refused_ms, ended_ms = [], []
        for at in range(count):
            first, last = await _revoke_one(session, site, at)
            refused_ms.append(first)
            ended_ms.append(last)
        for task in busy:
            task.cancel()
        counts = await asyncio.gather(*busy)
        answered = sum(counts)
    return refused_ms, ended_ms, answered


async def _keep_busy(session: aiohttp.ClientSession, site: Site) -> int:
    url, headers, body = site.target.request(QUICK, stream=True)
    done = 0
    try:
        while True:
            async with session.post(url, headers=headers, data=body) as answer:
                await answer.read()
                done += answer.status == 200
    except asyncio.CancelledError:
        return done


async def _revoke_one(session: aiohttp.ClientSession, site: Site, at: int) -> tuple[float, float]:
    made = await asyncio.to_thread(
        site.ask, "keys.create", principal=f"leaver-{at}", budget_usd_micros=BUDGET_USD_MICROS
    )
    opened = asyncio.Semaphore(0)
    streams = [asyncio.create_task(_read(session, site, made["key"], opened)) for _ in range(STREAMS_PER_KEY)]
    async with asyncio.timeout(OPEN_LIMIT_S):
        for _ in streams:
            await opened.acquire()
    began_s = time.perf_counter()
    await asyncio.to_thread(site.ask, "keys.revoke", key_id=made["id"])
    url, headers, body = site.target.request(QUICK)
    headers |= {"Authorization": f"Bearer {made['key']}"}
    async with session.post(url, headers=headers, data=body) as answer:
        if answer.status != 401:
            raise RuntimeError(f"a revoked key got {answer.status}")
    refused_s = time.perf_counter() - began_s
    ends_s = await asyncio.gather(*streams)
    return refused_s * 1000, (max(ends_s) - began_s) * 1000


async def _read(session: aiohttp.ClientSession, site: Site, key: str, opened: asyncio.Semaphore) -> float:
    """Read a stream until it ends before its end; when that was."""
    url, headers, body = site.target.request(SLOW, stream=True)
    headers |= {"Authorization": f"Bearer {key}"}
    read = b""
    try:
        async with session.post(url, headers=headers, data=body) as answer:
            async for chunk in answer.content.iter_any():
                if not read:
                    opened.release()
                read += chunk
    except aiohttp.ClientPayloadError:
        pass
    ended_s = time.perf_counter()
    if b"[DONE]" in read or b'"unauthorized"' not in read:
        raise RuntimeError(f"a stream of a revoked key ended with {read[-200:]!r}")
    return ended_s


def _open_reservations(site: Site) -> int:
    keys = site.ask("keys.list")["keys"]
    return sum(key["held_usd_micros"] for key in keys)


def main() -> None:
    """Measure and report."""
    options = harness.options(__doc__.partition("\n")[0]).parse_args()
    sizes = SHORT if options.quick else FULL
    by_kind = asyncio.run(costs(sizes.requests))
    table(("through the gate with (jwt_first: a token's first look alone)", "CPU µs"), by_kind.items())
    with harness.scratch() as folder, serving(folder) as site:
        refused_ms, ended_ms, answered = asyncio.run(revocations(site, sizes.keys))
        until_s = time.monotonic() + 10
        while _open_reservations(site) and time.monotonic() < until_s:
            time.sleep(0.05)
        held_usd_micros = _open_reservations(site)
    print()
    table(
        ("revocation, ms until", "p50", "max"),
        [
            ("the first refusal", statistics.median(refused_ms), max(refused_ms)),
            (f"the last of {STREAMS_PER_KEY} streams has ended", statistics.median(ended_ms), max(ended_ms)),
        ],
    )
    print(f"\n{sizes.keys} keys, {answered} streams answered beside them, {held_usd_micros} held afterwards")
    harness.finish(
        {
            **{f"cpu_us_{kind}": taken_us for kind, taken_us in by_kind.items()},
            "revoke_ms": statistics.median(ended_ms),
            "revoke_max_ms": max(ended_ms),
            "revoke_refused_ms": statistics.median(refused_ms),
            "revoke_refused_max_ms": max(refused_ms),
            "keys": sizes.keys,
            "streams_per_key": STREAMS_PER_KEY,
            "answered": answered,
            "held_usd_micros": held_usd_micros,
        }
    )


if __name__ == "__main__":
    main()
