"""The signer's own process: little is imported here, and nothing known but what signs.

Started by the gateway it is asked once to open the state folder; if that has no keys yet, all of them are
made here, so that the process that serves never holds a seed. Another user's has a folder of its own.
"""

import os
import socket
from collections.abc import Callable, Mapping
from pathlib import Path

from macroslow.adapters.keyfiles import Place, SignerFiles, ensure, make_signer, signer_folder
from macroslow.adapters.signer.conversation import Opened, converse
from macroslow.adapters.signer.engine import Engine
from macroslow.adapters.signer.high_water import HighWaterMarks
from macroslow.adapters.signer.listener import bound, listen
from macroslow.adapters.signer.shell import withdraw
from macroslow.adapters.system import SystemClock, SystemEntropy
from macroslow.errors import ConfigurationError


def main(descriptor: int) -> None:
    """Converse over the socket until the gateway hangs up or is not understood."""
    withdraw(outlives_signals=True)
    with socket.socket(fileno=descriptor) as channel:
        try:
            converse(channel, open_engine)
        except (ValueError, OSError):  # not what our gateway asks, or it has gone: nobody is left to tell
            os._exit(1)


def serve_other_user(keys: Path, marks: Path, listening: Path, uid: int, started: Callable[[], None]) -> None:
    """Sign for gateways of user `uid`, which ask at the socket `listening`, until a signal ends it.

    ConfigurationError if that cannot be. The folder `keys` gets its keys from the first gateway's word.
    """
    withdraw(outlives_signals=False)
    noted = HighWaterMarks(marks)
    if noted.note:
        raise ConfigurationError(noted.note, fix="name a folder that this user can write into: --marks")
    with bound(listening) as listener:
        started()
        listen(listener, uid, OwnKeys(keys, marks))


class OwnKeys:
    """The keys in a folder of the signer's own user, opened for one gateway after another."""

    def __init__(self, keys: Path, marks: Path) -> None:
        self._keys, self._marks = keys, marks
        self._changed_ns: Callable[[], int | None] = lambda: None

    def __call__(self, request: Mapping[str, object]) -> Opened:
        """Open them; ConfigurationError if they do not serve. How often they change outlives a gateway."""
        match request:
            case {
                "state": str(state),
                "origin": str() | None as origin,
                "new_origin": str(new_origin),
                **others,
            } if not others:
                marks = HighWaterMarks(self._marks, Path(state), SystemClock())
            case _:
                raise ValueError("this opens no signer")
        make_signer(self._keys, new_origin, SystemEntropy())
        engine = _engine(self._keys, origin, marks, self._changed_ns())
        self._changed_ns = lambda: engine.changed_ns
        return engine, marks.note


def open_engine(request: Mapping[str, object]) -> Opened:
    """Open the keys of the state folder `state`; ConfigurationError if they do not serve.

    `origin` is what the configuration names the log, None if it says nothing, `new_origin` what a new one is
    named, `marks` the folder of high-water marks or None, and `keys` and `binding` are of `keyfiles.Place`.
    """
    match request:
        case {
            "state": str(state),
            "origin": str() | None as origin,
            "new_origin": str(new_origin),
            "marks": str() | None as folder,
            "keys": str() | None as base,
            "binding": bool(binding),
        }:
            marks = HighWaterMarks(None if folder is None else Path(folder), Path(state), SystemClock())
            place = Place(None if base is None else Path(base), binding)
        case _:
            raise ValueError("this opens no signer")
    ensure(Path(state), new_origin, SystemEntropy(), place)
    return _engine(signer_folder(Path(state)), origin, marks, None), marks.note


def _engine(folder: Path, origin: str | None, marks: HighWaterMarks, changed_ns: int | None) -> Engine:
    files = SignerFiles(folder)
    keys = files.load(origin)
    return Engine(
        log_key=keys.log,
        answer_key=keys.answer,
        history_key=keys.history,
        clock=SystemClock(),
        entropy=SystemEntropy(),
        marks=marks,
        files=files,
        retired=keys.retired,
        staged=keys.staged,
        changed_ns=changed_ns,
    )
