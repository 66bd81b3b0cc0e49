"""The gateway that an MCP client's process opened gives way to one that listens.

Whoever came first would otherwise keep a service from starting. What is asked is no verb of administration:
a gateway that listens knows it not, and stays.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final

from macroslow import control
from macroslow.adapters import statefolder
from macroslow.bootstrap.state.waiting import LOOK_EVERY_S, Deadline
from macroslow.control.server import Perform
from macroslow.errors import MacroslowError, StateLockedError
from macroslow.ports import Progress

GIVE_WAY: Final = "gateway.give_way"
ANSWER_WAIT_S: Final = 5.0  # a process that is stopped answers never


def giving_way(perform: Perform, give_way: Callable[[], None]) -> Perform:
    """`perform`, and with it what a gateway is asked that may have to go: `give_way` is called then."""

    async def either(verb: str, arguments: Mapping[str, object], *, progress: Progress) -> object:
        if verb != GIVE_WAY:
            return await perform(verb, arguments, progress=progress)
        give_way()
        return {}

    return either


async def make_way(folder: statefolder.StateFolder, waiting: Deadline, *, again: bool) -> bool:
    """Ask the gateway in `folder` to give way: whether it was free at a moment before `waiting` was over.

    `again`: one gave way before, and whoever else it served opened the next, which may take nothing yet.
    No thread is begun, since the process that asks may be about to confine itself.
    """
    gave_way = again
    while not waiting.is_over:
        try:
            control.call(folder.control_socket, GIVE_WAY, {}, wait_s=ANSWER_WAIT_S)
        except control.RemoteError:  # it stays
            return False
        except OSError:
            if not gave_way:
                return False  # it is no gateway
        except MacroslowError:
            pass  # it went before it had answered
        gave_way = True
        with suppress(StateLockedError), statefolder.hold(folder):
            return True
        await asyncio.sleep(LOOK_EVERY_S)
    return False
