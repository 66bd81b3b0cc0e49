"""What the signer does with asks of a gateway that was taken over: only what it would do anyway."""

import base64
import contextlib
import socket
import struct
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.adapters.signer.trees import LOG_KEY, RIVALS, engine_of, head, note_of, proof

from macroslow.adapters.signer import wire
from macroslow.adapters.signer.conversation import Opened, converse
from macroslow.errors import ConfigurationError
from macroslow.tlog.checkpoint import verify_checkpoint


class Asker:
    """The gateway's end of a conversation that runs in a thread."""

    def __init__(self, channel: socket.socket, outcome: list[BaseException | None]) -> None:
        self.channel = channel
        self.outcome = outcome

    def ask(self, message: Mapping[str, object]) -> dict[str, Any]:
        self.channel.sendall(wire.pack(message))
        return self.answer()

    def answer(self) -> dict[str, Any]:
        """The next answer; EOFError where there is none."""
        prefix = self._read(wire.PREFIX.size)
        answer: dict[str, Any] = orjson.loads(self._read(wire.length(prefix, wire.MAX_TOLD_BYTES)))
        return answer

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            part = self.channel.recv(size - len(data))
            if not part:
                raise EOFError
            data += part
        return data


@contextlib.contextmanager
def conversation() -> Iterator[Asker]:
    """An open conversation; when it is left, how it ended stands in `outcome`."""
    ours, theirs = socket.socketpair()
    outcome: list[BaseException | None] = []

    def run() -> None:
        with theirs:
            try:
                converse(theirs, lambda _request: (engine_of(), ""))
            except (ValueError, OSError) as error:
                outcome.append(error)
            else:
                outcome.append(None)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        with ours:
            asker = Asker(ours, outcome)
            asker.ask({})
            yield asker
    finally:
        thread.join(30)
    assert len(outcome) == 1


def hexed(hashes: list[bytes]) -> list[str]:
    return [one.hex() for one in hashes]


def checkpoint(size: int, root: bytes, proof: list[bytes]) -> dict[str, object]:
    return {"ask": "checkpoint", "size": size, "root": root.hex(), "proof": hexed(proof)}


def test_what_it_tells_of_itself_is_public() -> None:
    with conversation() as asker:
        told = asker.ask({"ask": "adopt", "note": base64.b64encode(note_of(7)).decode(), "proof": []})["told"]
    assert told["last"] == {"size": 7, "root": head(7).root.hex()}
    assert told["keys"] == {"current": LOG_KEY.public.format(), "retired": []}
    assert told["staged"] is None


def test_it_signs_a_growing_tree_and_refuses_every_other() -> None:
    with conversation() as asker:
        note = base64.b64decode(asker.ask(checkpoint(10, head(10).root, []))["told"])
        assert verify_checkpoint(note, LOG_KEY.public).size == 10
        for size, hashes in ((9, RIVALS), (10, RIVALS), (12, RIVALS)):
            refused = asker.ask(checkpoint(size, head(size, hashes).root, []))
            assert refused["last"] == {"size": 10, "root": head(10).root.hex()}
            assert refused.keys() == {"refused", "last"}
        assert "told" in asker.ask(checkpoint(12, head(12).root, proof(10, 12)))
    assert asker.outcome == [None]


def test_claims_outside_the_profile_are_invalid_and_it_goes_on() -> None:
    with conversation() as asker:
        assert asker.ask({"ask": "answer", "claims": {"é": 1}}).keys() == {"invalid"}
        assert "told" in asker.ask({"ask": "history", "claims": {"a": 1}})


@pytest.mark.parametrize(
    "message",
    [
        {"ask": "sign", "bytes": "00"},
        {"ask": "fork"},
        {"ask": "stage", "origin": "another"},
        {"ask": "checkpoint"},
        {"ask": "checkpoint", "size": "1", "root": "", "proof": []},
        {"ask": "checkpoint", "size": 1, "root": "zz", "proof": []},
        {"ask": "checkpoint", "size": 1, "root": "00" * 32, "proof": ["00"] * 200},
        {"ask": "checkpoint", "size": 1, "root": "00" * 32, "proof": [], "origin": "another"},
        {"ask": "answer", "claims": "text"},
        {"ask": "answer", "claims": {}, "use": "document"},
        {"ask": "adopt", "note": "?", "proof": []},
        {"ask": "hand_over", "receipt": None},
        {"ask": ["answer"], "claims": {}},
        {},
    ],
    ids=str,
)
def test_anything_else_ends_the_conversation(message: dict[str, object]) -> None:
    with conversation() as asker, pytest.raises((EOFError, ConnectionError)):
        asker.ask(message)
    assert isinstance(asker.outcome[0], ValueError)


@pytest.mark.parametrize(
    "sent",
    [
        struct.pack(">I", 2**32 - 1),
        struct.pack(">I", wire.MAX_ASKED_BYTES + 1),
        wire.PREFIX.pack(2) + b"[]",
        wire.PREFIX.pack(3) + b"\xff\xfe\xfd",
        wire.PREFIX.pack(22) + b'{"ask":"x","ask":"y" }',
    ],
)
def test_what_is_no_message_ends_the_conversation(sent: bytes) -> None:
    with conversation() as asker:
        asker.channel.sendall(sent)
        with pytest.raises((EOFError, ConnectionError)):
            asker.answer()
    assert isinstance(asker.outcome[0], ValueError)


@settings(max_examples=60)
@given(body=st.binary(max_size=200))
def test_no_bytes_make_it_fail_otherwise(body: bytes) -> None:
    with conversation() as asker:
        asker.channel.sendall(wire.PREFIX.pack(len(body)) + body)
    assert asker.outcome == [None] or isinstance(asker.outcome[0], (ValueError, OSError))


def test_keys_that_do_not_serve_are_told_and_nothing_follows() -> None:
    def refuse(_request: Mapping[str, object]) -> Opened:
        raise ConfigurationError("a file is damaged", fix="restore it")

    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(wire.pack({}))
        converse(theirs, refuse)
        assert Asker(ours, []).answer() == {"failed": "a file is damaged", "fix": "restore it"}
