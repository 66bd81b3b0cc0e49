"""The signer's own process: little is imported here, and nothing known but what signs.

It is asked once to open the state folder; if that has no keys yet, all of them are made here, so that the
process that serves never holds a seed.
"""

import os
import socket
from collections.abc import Mapping
from pathlib import Path

from macroslow.adapters.keyfiles import SignerFiles, ensure
from macroslow.adapters.signer.conversation import Opened, converse
from macroslow.adapters.signer.engine import Engine
from macroslow.adapters.signer.high_water import HighWaterMarks
from macroslow.adapters.signer.shell import withdraw
from macroslow.adapters.system import SystemClock, SystemEntropy


def main(descriptor: int) -> None:
    """Converse over the socket until the gateway hangs up or is not understood."""
    withdraw()
    with socket.socket(fileno=descriptor) as channel:
        try:
            converse(channel, open_engine)
        except (ValueError, OSError):  # not what our gateway asks, or it has gone: nobody is left to tell
            os._exit(1)


def open_engine(request: Mapping[str, object]) -> Opened:
    """Open the keys of the state folder `state`; ConfigurationError if they do not serve.

    `origin` is what the configuration names the log, None if it says nothing, `new_origin` what a new one is
    named, and `marks` the folder of high-water marks or None.
    """
    match request:
        case {
            "state": str(state),
            "origin": str() | None as origin,
            "new_origin": str(new_origin),
            "marks": str() | None as folder,
        }:
            marks = HighWaterMarks(None if folder is None else Path(folder), Path(state), SystemClock())
        case _:
            raise ValueError("this opens no signer")
    entropy = SystemEntropy()
    ensure(Path(state), new_origin, entropy)
    files = SignerFiles(Path(state))
    keys = files.load(origin)
    engine = Engine(
        log_key=keys.log,
        answer_key=keys.answer,
        history_key=keys.history,
        clock=SystemClock(),
        entropy=entropy,
        marks=marks,
        files=files,
        retired=keys.retired,
        staged=keys.staged,
    )
    return engine, marks.note
