"""What a signed document costs that calls no model: POST /execute at a steady rate, from bytes to receipt.

One Python block; the document's signature is verified, the run is sealed and logged, the answer has
its receipt, which is verified once with the gateway's own command. Load is open: requests leave when
they are due, whether or not the one before was answered, and latency counts from that moment.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import harness
import targets
from harness import percentile, table
from targets import Site

from macroslow.adapters import sandbox
from macroslow.adapters.system import SystemEntropy
from macroslow.crypto import documents
from macroslow.crypto.hybrid import HybridPrivateKey, KeyUse
from macroslow.workflow.sandbox import Block, BlockStatus, Job

RATE_PER_S: Final = 10.0
ORIGIN: Final = "agent://bench"
DOCUMENT: Final = b"""---
maml_version: "2.0.0"
id: urn:uuid:11111111-2222-4333-8444-555555555555
type: workflow
origin: agent://bench
permissions:
  read: []
  write: []
  execute: ["gateway://local"]
---

## Intent

Count to a hundred.

## Context

None.

## Code_Blocks

```python
result = {"sum": sum(range(100))}
```
"""


async def steadily(site: Site, document: bytes, seconds: float) -> tuple[list[float], list[dict[str, Any]]]:
    """Latencies in milliseconds, and the answers. RuntimeError for any that is not a success."""
    loop = asyncio.get_running_loop()
    count = round(seconds * RATE_PER_S)
    began_s = loop.time()
    posting = []
    for at in range(count):
        due_s = began_s + at / RATE_PER_S
        await asyncio.sleep(max(0.0, due_s - loop.time()))
        posting.append(asyncio.create_task(_post(site, document, due_s)))
    answered = await asyncio.gather(*posting)
    return [latency_ms for latency_ms, _ in answered], [answer for _, answer in answered]


async def _post(site: Site, document: bytes, due_s: float) -> tuple[float, dict[str, Any]]:
    parts = urlsplit(site.target.url)
    head = (
        f"POST /execute HTTP/1.1\r\nHost: {parts.netloc}\r\nx-api-key: {site.target.key}\r\n"
        f"Content-Type: text/markdown\r\nContent-Length: {len(document)}\r\nConnection: close\r\n\r\n"
    )
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(head.encode("ascii") + document)
    received = await reader.read()
    latency_ms = (asyncio.get_running_loop().time() - due_s) * 1e3
    writer.close()
    answer = json.loads(received.partition(b"\r\n\r\n")[2])
    if answer["status"] != "success" or not answer["signer"] or not answer["receipt"]:
        raise RuntimeError(f"not a signed success with a receipt: {json.dumps(answer)[:500]}")
    return latency_ms, answer


def through_the_gateway(seconds: float) -> dict[str, Any]:
    """Latency and CPU of whole requests."""
    with harness.scratch() as folder, targets.ours(folder, targets.Upstreams({})) as site:
        author = HybridPrivateKey.generate(KeyUse.DOCUMENT, SystemEntropy())
        signed = documents.sign(DOCUMENT, author, issued_ns=time.time_ns())
        site.ask("signers.trust", name="bench", public_jwks=author.public.to_jwks(), origins=[ORIGIN])
        asyncio.run(steadily(site, signed, 1.0))
        before_s = site.target.process.cpu_s()
        latencies_ms, answers = asyncio.run(steadily(site, signed, seconds))
        used_s = site.target.process.cpu_s() - before_s
        _verify(site, answers[-1], folder)
        backend = answers[-1]["sandbox"]
    return {
        "p50_ms": percentile(latencies_ms, 50),
        "p99_ms": percentile(latencies_ms, 99),
        "max_ms": max(latencies_ms),
        "cpu_ms": used_s / len(latencies_ms) * 1e3,
        "requests": len(latencies_ms),
        "backend": backend["backend"],
        "level": backend["level"],
    }


def _verify(site: Site, answer: dict[str, Any], folder: Path) -> None:
    """What was measured is the real thing: a stranger can prove the answer."""
    (folder / "log.pub").write_text(site.ask("audit.key")["key"] + "\n")
    (folder / "answer.json").write_text(json.dumps(answer))
    command = [sys.executable, "-m", "macroslow", "receipt", "verify", "answer.json", "--key", "log.pub"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the receipt does not verify: {done.stdout}{done.stderr}")


async def sandbox_alone(runs: int) -> dict[str, Any]:
    """The sandbox without the gateway: one block in a fresh sandbox, one after the other."""
    box = await sandbox.choose()
    milliseconds = []
    try:
        for at in range(runs + 3):  # the first ones warm up
            job = Job(f"bench-{at}", (Block("python", "block", "result = {'sum': sum(range(100))}"),), {})
            began_s = time.perf_counter()
            outcome = await box.run(job)
            milliseconds.append((time.perf_counter() - began_s) * 1e3)
            if outcome.blocks[0].status is not BlockStatus.OK:
                raise RuntimeError(f"the sandbox did not run the block: {outcome.blocks[0]}")
    finally:
        await box.close()
    milliseconds = milliseconds[3:]
    return {
        "sandbox_cold_p50_ms": percentile(milliseconds, 50),
        "sandbox_cold_p95_ms": percentile(milliseconds, 95),
    }


def main() -> None:
    """Measure and report."""
    chosen = harness.options(__doc__.partition("\n")[0]).parse_args()
    os.sched_setaffinity(0, {harness.GATEWAY_CORE})
    alone = asyncio.run(sandbox_alone(10 if chosen.quick else 100))
    os.sched_setaffinity(0, {harness.LOAD_CORE})
    whole = through_the_gateway(5.0 if chosen.quick else 20.0)
    table(
        (
            f"sandbox {whole['backend']} ({whole['level']}), {whole['requests']} requests",
            "p50 ms",
            "p95/99 ms",
            "CPU ms",
        ),
        [
            (f"POST /execute at {RATE_PER_S:g}/s", whole["p50_ms"], whole["p99_ms"], whole["cpu_ms"]),
            ("sandbox alone", alone["sandbox_cold_p50_ms"], alone["sandbox_cold_p95_ms"], None),
        ],
    )
    harness.finish({**whole, **alone})


if __name__ == "__main__":
    main()
