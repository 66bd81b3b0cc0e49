"""A declared fork as the command has it: no server may run."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from macroslow.adapters.signer import SignerProcess
from macroslow.bootstrap.machine import clock
from macroslow.bootstrap.state.opening import open_state
from macroslow.errors import ConfigurationError
from macroslow.services.signing.declare_fork import DeclareFork, ForkPlan
from macroslow.settings import Settings
from macroslow.tlog.checkpoint import LogPublicKey


async def plan_fork(settings: Settings, origin: str | None) -> ForkPlan:
    """What `declare_fork` would do."""
    async with _forking(settings) as declare:
        return await declare.plan(origin)


async def declare_fork(settings: Settings, reason: str, origin: str | None) -> LogPublicKey:
    """Begin a log of another name over the same entries; see `DeclareFork`."""
    async with _forking(settings) as declare:
        return await declare(reason, origin)


@asynccontextmanager
async def _forking(settings: Settings) -> AsyncIterator[DeclareFork]:
    async with open_state(settings) as opened:
        if isinstance(opened.signer, SignerProcess):
            raise ConfigurationError(
                "a fork is declared on the operator's own word, and the signer has the gateway's alone",
                fix="stop the signer and move its keys into the state folder: see Put it into production",
            )
        yield DeclareFork(opened.stores.books, opened.signer, clock)
