"""Messages between the gateway, the zygote and a run: one JSON object and some descriptors per packet.

Unix sockets of kind SOCK_SEQPACKET keep the borders of messages and sever both when one side ends.
"""

import json
import os
import socket
from collections.abc import Mapping, Sequence
from typing import Any, Final

# The backends, as a zygote is told which it is of.
NATIVE: Final = "native"
LANDLOCK: Final = "landlock"
MAX_MESSAGE_BYTES: Final = 64 * 1024
_MAX_DESCRIPTORS: Final = 4


def send(channel: socket.socket, message: Mapping[str, object], descriptors: Sequence[int] = ()) -> None:
    """Send one message; the descriptors stay open here."""
    socket.send_fds(channel, [json.dumps(message).encode()], list(descriptors))


def receive(channel: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Return the next message and its descriptors.

    Raises EOFError when the other side has gone, ValueError for what is no message of ours.
    """
    try:
        data, descriptors, flags, _ = socket.recv_fds(
            channel, MAX_MESSAGE_BYTES, _MAX_DESCRIPTORS, socket.MSG_CMSG_CLOEXEC
        )
    except ConnectionError:
        raise EOFError from None
    if not data:
        raise EOFError
    try:
        if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
            raise ValueError("message too long")
        message = json.loads(data)
        if not isinstance(message, dict):
            raise ValueError("not an object")  # noqa: TRY004 - one kind of error for all bad messages
    except (ValueError, RecursionError) as error:
        for descriptor in descriptors:
            os.close(descriptor)
        raise ValueError("not a message") from error
    return message, list(descriptors)


def read_job(descriptor: int) -> dict[str, Any]:
    """Return the job that the gateway wrote; several readers share the descriptor one after another."""
    size = os.fstat(descriptor).st_size
    job: dict[str, Any] = json.loads(os.pread(descriptor, size, 0))
    return job
