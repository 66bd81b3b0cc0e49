"""TensorZero's own HTTP gateway, from its wheel; run by the interpreter of the peer's environment.

    tensorzero_gateway.py CONFIGURATION      prints the gateway's base URL, then serves until killed

In this form it asks for no client key and keeps no record of anything.
"""

import asyncio
import inspect
import sys

from tensorzero import tensorzero as native


async def main(configuration: str) -> None:
    """Start it and stay."""
    start = native._start_http_gateway
    taken = inspect.signature(start).parameters
    stores = {name: None for name in ("clickhouse_url", "postgres_url", "valkey_url") if name in taken}
    gateway = start(config_file=configuration, async_setup=True, **stores)
    if inspect.isawaitable(gateway):
        gateway = await gateway
    print(gateway.base_url, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
