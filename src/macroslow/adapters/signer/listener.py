"""The signer for a gateway of another user: it listens on a unix socket, and answers one gateway at a time.

Everybody may connect, and whoever is not the gateway's user is hung up on: the kernel tells who it is. What
is no ask of ours ends the conversation, and not the process, which remembers what it has to.
"""

import logging
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NoReturn

from macroslow.adapters.signer import peer
from macroslow.adapters.signer.conversation import Opened, converse
from macroslow.errors import ConfigurationError

TURN_S: Final = 5.0  # a gateway that has just ended is still being noticed
_BACKLOG: Final = 16
log: Final = logging.getLogger("macroslow.signer")


@contextmanager
def bound(path: Path) -> Iterator[socket.socket]:
    """A socket that listens at `path`, removed afterwards. ConfigurationError if there cannot be one."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with listener:
        try:
            _remove_dead(path)
            listener.bind(str(path))
            path.chmod(0o666)  # who may talk is asked of the kernel
            listener.listen(_BACKLOG)
        except OSError as error:
            raise ConfigurationError(
                f"nothing can listen at {path}: {error.strerror or error}", fix="name another place: --listen"
            ) from None
        try:
            yield listener
        finally:
            path.unlink(missing_ok=True)


def listen(
    listener: socket.socket, uid: int, open_engine: Callable[[Mapping[str, object]], Opened]
) -> NoReturn:
    """Answer gateways of user `uid` for ever, one after another."""
    turn = threading.Lock()
    while True:
        channel, _ = listener.accept()
        found = peer.uid_of(channel)
        if found != uid:
            log.warning("user %d has no business with this signer", found)
            channel.close()
            continue
        threading.Thread(target=_answer, args=(channel, turn, open_engine), daemon=True).start()


def _answer(
    channel: socket.socket, turn: threading.Lock, open_engine: Callable[[Mapping[str, object]], Opened]
) -> None:
    held = False

    def open_in_turn(request: Mapping[str, object]) -> Opened:
        nonlocal held
        held = turn.acquire(timeout=TURN_S)
        if not held:
            raise ConfigurationError("the signer serves another gateway", fix="stop that one first")
        return open_engine(request)

    try:
        with channel:
            converse(channel, open_in_turn)
    except (ValueError, OSError) as error:
        log.warning("a gateway was not understood, and hung up on: %s", error)
    finally:
        if held:
            turn.release()


def _remove_dead(path: Path) -> None:
    """Remove the socket of a signer that was killed; OSError if a living one is there."""
    if not path.is_socket():
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
    raise OSError("another signer listens there")
