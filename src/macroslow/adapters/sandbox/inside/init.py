"""Process 1 of a run or a box: builds the walls, gives up every right and serves what it was forked for.

It runs none of the foreign code, is not dumpable and, as pid 1 of its namespace, cannot be killed
from inside; when it dies, everything behind its walls dies.
"""

import os
import socket

from . import seal, syscalls, wire
from .attendant import attend
from .supervisor import Supervisor
from .walls import CONTROL, Walls, build


def main(control_descriptor: int, walls: Walls) -> None:
    """Be init, from the fork on. Never returns."""
    os.dup2(control_descriptor, CONTROL)
    syscalls.close_from(CONTROL + 1)
    control = socket.socket(fileno=CONTROL)
    try:
        listener = build(walls)
        port = listener[1] if listener else walls.port
        passed = [listener[0].fileno()] if listener else []
        wire.send(control, {"kind": "ready", "port": port}, passed)
        if listener:
            listener[0].close()
        seal.seal(walls.profile, scope=walls.native)
        if walls.command:
            attend(control, walls, port)
        else:
            Supervisor(control, walls).run()
    except EOFError:
        os._exit(0)
    except OSError as error:
        wire.send(control, {"kind": "failed", "error": str(error)})
        os._exit(1)
