"""The signer's side of its conversation: typed asks in, signatures out, one after another.

    {"ask": "checkpoint", "size", "root", "proof"}     root and proof in hex
    {"ask": "answer" | "history", "claims"}
    {"ask": "adopt", "note", "proof"}                  a stored checkpoint, base64
    {"ask": "stage"}   {"ask": "hand_over", "receipt"}

Each is answered by {"told": …}, by {"refused": why, "last"}, which names the last tree that was signed, or by
{"invalid" | "unavailable": why}. Anything else ends the conversation, and the process with it: nobody of ours
asks for it.
"""

import base64
import socket
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Final

from macroslow.adapters.signer import wire
from macroslow.adapters.signer.engine import Engine
from macroslow.errors import ConfigurationError, VerificationError
from macroslow.ports import Statement
from macroslow.tlog.ports import Mark, TreeHead
from macroslow.tlog.succession import LogKeys

_MEMBERS: Final[Mapping[str, frozenset[str]]] = {
    "checkpoint": frozenset({"ask", "size", "root", "proof"}),
    "answer": frozenset({"ask", "claims"}),
    "history": frozenset({"ask", "claims"}),
    "adopt": frozenset({"ask", "note", "proof"}),
    "stage": frozenset({"ask"}),
    "hand_over": frozenset({"ask", "receipt"}),
}
_MAX_PROOF: Final = 128  # hashes: twice the depth of the largest tree

Opened = tuple[Engine, str]
"""The engine, and why it keeps no mark, if it keeps none."""


def converse(channel: socket.socket, open_engine: Callable[[Mapping[str, object]], Opened]) -> None:
    """Answer until the other side hangs up. ValueError for what is no ask of ours."""
    try:
        engine, note = open_engine(_next(channel))
    except ConfigurationError as error:
        _tell(channel, {"failed": error.detail, "fix": error.fix})
        return
    except EOFError:
        return  # given up before it was opened
    _tell(channel, {"told": {**_facts(engine), "note": note, "mark": _mark(engine.mark)}})
    while True:
        try:
            asked = _next(channel)
        except EOFError:
            return
        _tell(channel, _answer(engine, asked))


def _answer(engine: Engine, asked: Mapping[str, object]) -> dict[str, object]:
    work = _understood(engine, asked)
    try:
        return {"told": work()}
    except VerificationError as error:
        return {"refused": error.detail, "last": _head(engine.last)}
    except ValueError as error:  # claims outside the profile
        return {"invalid": str(error)}
    except OSError as error:
        return {"unavailable": error.strerror or "it cannot write"}


def _understood(engine: Engine, asked: Mapping[str, object]) -> Callable[[], object]:
    """What is asked for, as work to do; ValueError if it is nothing that we do."""
    if frozenset(asked) != _MEMBERS.get(str(asked.get("ask"))):
        raise ValueError("the signer was asked for something that it does not do")
    match asked:
        case {"ask": "checkpoint", "size": int(size), "root": str(root), "proof": list(proof)}:
            root_hash, hashes = bytes.fromhex(root), _hashes(proof)
            return lambda: _base64(engine.checkpoint(size, root_hash, hashes))
        case {"ask": "answer", "claims": dict(claims)}:
            return lambda: engine.answer(Statement(claims))
        case {"ask": "history", "claims": dict(claims)}:
            return lambda: engine.history(Statement(claims))
        case {"ask": "adopt", "note": str(note), "proof": list(proof)}:
            stored, hashes = base64.b64decode(note, validate=True), _hashes(proof)
            return lambda: _changed(engine, lambda: engine.adopt(stored, hashes))
        case {"ask": "stage"}:
            return lambda: _changed(engine, engine.stage)
        case {"ask": "hand_over", "receipt": str(receipt)}:
            return lambda: _changed(engine, lambda: engine.hand_over(receipt.encode()))
        case _:
            raise ValueError("the signer was asked with members of other types")


def _changed(engine: Engine, work: Callable[[], object]) -> dict[str, object]:
    work()
    return _facts(engine)


def _facts(engine: Engine) -> dict[str, object]:
    """What the other side may know: public keys, and what was signed last."""
    return {
        "keys": _keys(engine.keys),
        "staged": None if engine.staged is None else engine.staged.format(),
        "last": _head(engine.last),
    }


def _keys(keys: LogKeys) -> dict[str, object]:
    retired = [
        {"key": one.key.format(), "hand_over": None if one.hand_over is None else one.hand_over.decode()}
        for one in keys.retired
    ]
    return {"current": keys.current.format(), "retired": retired}


def _head(head: TreeHead) -> dict[str, object]:
    return {"size": head.size, "root": head.root.hex()}


def _mark(mark: Mark | None) -> dict[str, object] | None:
    return None if mark is None else {**asdict(mark), "head": _head(mark.head)}


def _hashes(proof: list[object]) -> list[bytes]:
    if len(proof) > _MAX_PROOF:
        raise ValueError("no proof is so long")
    return [bytes.fromhex(one) if isinstance(one, str) else b"" for one in proof]


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _next(channel: socket.socket) -> dict[str, object]:
    size = wire.length(_read(channel, wire.PREFIX.size), wire.MAX_ASKED_BYTES)
    return wire.parse(_read(channel, size), wire.MAX_ASKED_BYTES)


def _read(channel: socket.socket, size: int) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        part = channel.recv(size - len(parts))
        if not part:
            raise EOFError
        parts += part
    return bytes(parts)


def _tell(channel: socket.socket, message: Mapping[str, object]) -> None:
    channel.sendall(wire.pack(message))
