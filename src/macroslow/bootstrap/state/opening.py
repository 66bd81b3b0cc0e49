"""The state as one process has it: the folder held, its keys loaded, its books open, its signer there."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final

from macroslow.adapters import keyfiles, statefolder
from macroslow.adapters.signer import SignerProcess
from macroslow.bootstrap.machine import entropy
from macroslow.bootstrap.references import secrets_of
from macroslow.bootstrap.signing.process import AnySigner, open_signer
from macroslow.bootstrap.state.stores import Stores, begin_books, open_stores
from macroslow.bootstrap.state.waiting import HOLD_WAIT_S, LOOK_EVERY_S, Deadline
from macroslow.crypto.quad import Quad
from macroslow.errors import StateLockedError
from macroslow.settings import Settings

OWNER_BYTES: Final = 8


@asynccontextmanager
async def held(folder: statefolder.StateFolder) -> AsyncIterator[None]:
    """Hold the folder; a command that has it for a moment is waited for, a server that has it is not."""
    waiting = Deadline.after(HOLD_WAIT_S)
    with ExitStack() as stack:
        while True:
            try:
                stack.enter_context(statefolder.hold(folder))
                break
            except StateLockedError:
                # Seen, not called: who is about to end would leave the call without an answer.
                if folder.control_socket.exists() or waiting.is_over:
                    raise
            await asyncio.sleep(LOOK_EVERY_S)
        yield


@dataclass(frozen=True, slots=True)
class Opened:
    """State that is open and held, before anything is made of it."""

    folder: statefolder.StateFolder
    keys: keyfiles.GatewayKeys
    quad: Quad
    owner: str
    stores: Stores
    signer: AnySigner


@asynccontextmanager
async def open_state(
    settings: Settings,
    process: SignerProcess | None = None,
    *,
    reading: bool = False,
    before_secrets: Callable[[statefolder.StateFolder], Awaitable[None]] | None = None,
) -> AsyncIterator[Opened]:
    """Hold the state folder, load or make its keys and open its books; signatures are made by `process`.

    Without one they are made here. Who is `reading` begins no books. `before_secrets` is called once the keys
    that sign are open. ConfigurationError (StateLockedError if another process is there).
    """
    folder = statefolder.prepare(settings.state_folder)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(held(folder))
        begin_books(settings, folder)
        signer = await stack.enter_async_context(open_signer(settings, folder, process, reading=reading))
        if before_secrets is not None:
            await before_secrets(folder)
        keys = keyfiles.load(folder.path)
        quad = Quad(keys.quad_roots, entropy)
        owner = entropy.random(OWNER_BYTES).hex()
        secrets = await secrets_of(settings, folder, quad, settings.store_secrets())
        stores = await stack.enter_async_context(
            open_stores(settings, folder, quad, owner, secrets, reading=reading)
        )
        yield Opened(folder, keys, quad, owner, stores, signer)
