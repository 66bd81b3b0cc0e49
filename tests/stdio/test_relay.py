"""A relay between pipes and one gateway after the other."""

import json
import os
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from macroslow.stdio.relay import MAX_LINE_BYTES, ClientGoneError, Relay

HELLO = {"jsonrpc": "2.0", "id": "h", "method": "initialize", "params": {}}
READY = {"jsonrpc": "2.0", "method": "notifications/initialized"}


class Pipes:
    """The client's ends of a relay, and gateways to carry it to."""

    def __init__(self) -> None:
        stdin, self.say_to = os.pipe()
        self.hear_from, stdout = os.pipe()
        self.ends = [stdin, self.say_to, self.hear_from, stdout]
        self.relay = Relay(stdin, stdout)
        self.reading = threading.Thread(target=self.relay.read, daemon=True)
        self.reading.start()

    def say(self, *messages: dict[str, Any]) -> None:
        for message in messages:
            os.write(self.say_to, json.dumps(message).encode() + b"\n")

    def finish(self) -> None:
        self.ends.remove(self.say_to)
        os.close(self.say_to)

    def heard(self, lines: int) -> list[dict[str, Any]]:
        with os.fdopen(os.dup(self.hear_from), "rb", buffering=0) as answers:
            return [json.loads(answers.readline()) for _ in range(lines)]


class Gateway:
    """The other end: `carrying` ends when it hangs up."""

    def __init__(self, pipes: Pipes) -> None:
        ours, theirs = socket.socketpair()
        ours.settimeout(30)
        self.socket = ours
        self.lines = ours.makefile("rb")
        self.failed: list[BaseException] = []
        self.carrying = threading.Thread(target=self._carry, args=(pipes.relay, theirs))
        self.carrying.start()

    def _carry(self, relay: Relay, theirs: socket.socket) -> None:
        with theirs:
            try:
                relay.carry(theirs)
            except ClientGoneError as error:
                self.failed.append(error)

    def asked(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.lines.readline())
        return told

    def answer(self, message_id: object) -> None:
        self.socket.sendall(json.dumps({"jsonrpc": "2.0", "id": message_id, "result": {}}).encode() + b"\n")

    def hang_up(self) -> None:
        self.lines.close()
        self.socket.close()
        self.carrying.join(30)
        assert not self.carrying.is_alive()


@pytest.fixture
def pipes() -> Iterator[Pipes]:
    made = Pipes()
    yield made
    made.relay.end()
    if made.say_to in made.ends:
        made.finish()
    made.reading.join(30)
    for end in made.ends:
        os.close(end)


def ping(message_id: object) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": message_id, "method": "ping"}


def test_lines_go_both_ways_as_they_are(pipes: Pipes) -> None:
    gateway = Gateway(pipes)
    pipes.say(ping(1), ping(2))
    assert [gateway.asked(), gateway.asked()] == [ping(1), ping(2)]
    gateway.answer(2)
    assert pipes.heard(1)[0]["id"] == 2
    gateway.hang_up()


def test_the_end_of_the_client_is_told_once_all_is_sent(pipes: Pipes) -> None:
    pipes.say(ping(1))
    pipes.finish()
    gateway = Gateway(pipes)
    assert gateway.asked() == ping(1)
    assert gateway.lines.readline() == b""
    gateway.answer(1)
    assert pipes.heard(1)[0]["result"] == {}
    gateway.hang_up()
    assert pipes.relay.is_done


def test_what_a_gateway_did_not_answer_is_answered_with_an_error_once(pipes: Pipes) -> None:
    gateway = Gateway(pipes)
    pipes.say(
        ping(1),
        ping("two"),
        ping(3),
        {**READY, "method": "notifications/cancelled", "params": {"requestId": 3}},
    )
    for _ in range(4):
        gateway.asked()
    gateway.answer(1)
    gateway.hang_up()
    answered, broken = pipes.heard(2)
    assert (answered["id"], broken["id"], broken["error"]["code"]) == (1, "two", -32603)
    following = Gateway(pipes)
    pipes.say(ping(4))
    assert following.asked() == ping(4)  # and nothing of what was asked before
    following.answer(4)
    assert pipes.heard(1)[0]["id"] == 4
    following.hang_up()


def test_the_next_gateway_is_greeted_as_the_last_and_its_answer_is_not_heard_twice(pipes: Pipes) -> None:
    gateway = Gateway(pipes)
    pipes.say(HELLO, READY)
    assert [gateway.asked(), gateway.asked()] == [HELLO, READY]
    gateway.answer("h")
    assert pipes.heard(1)[0]["id"] == "h"
    gateway.hang_up()
    following = Gateway(pipes)
    assert [following.asked(), following.asked()] == [HELLO, READY]
    following.answer("h")
    pipes.say(ping(5))
    assert following.asked() == ping(5)
    following.answer(5)
    assert pipes.heard(1)[0]["id"] == 5
    following.hang_up()


def test_what_comes_while_there_is_no_gateway_waits_for_the_next(pipes: Pipes) -> None:
    gateway = Gateway(pipes)
    pipes.say(ping(1))
    gateway.asked()
    gateway.answer(1)
    pipes.heard(1)
    gateway.hang_up()
    pipes.say(ping(2))
    following = Gateway(pipes)
    assert following.asked() == ping(2)
    following.hang_up()
    assert pipes.heard(1)[0]["error"]["code"] == -32603


def test_a_line_that_is_too_long_is_cut_and_the_next_is_whole(pipes: Pipes) -> None:
    gateway = Gateway(pipes)
    writing = threading.Thread(target=lambda: _write_all(pipes.say_to, b"x" * (3 * MAX_LINE_BYTES) + b"\n"))
    writing.start()
    assert len(gateway.lines.readline()) == MAX_LINE_BYTES + 1
    writing.join(30)
    pipes.say(ping(1))
    assert gateway.asked() == ping(1)
    gateway.hang_up()


def _write_all(descriptor: int, text: bytes) -> None:
    left = memoryview(text)
    while left:
        left = left[os.write(descriptor, left) :]


def test_a_client_that_reads_no_more_ends_the_wire(pipes: Pipes) -> None:
    gateway = Gateway(pipes)
    pipes.say(ping(1))
    gateway.asked()
    pipes.ends.remove(pipes.hear_from)
    os.close(pipes.hear_from)
    gateway.answer(1)
    gateway.carrying.join(30)
    assert [type(error) for error in gateway.failed] == [ClientGoneError]
    gateway.hang_up()


def test_a_cut_wire_carries_nothing_more(pipes: Pipes) -> None:
    gateway = Gateway(pipes)
    pipes.say(ping(1))
    gateway.asked()
    pipes.relay.cut()
    gateway.carrying.join(30)
    assert not gateway.carrying.is_alive()
    assert pipes.relay.is_done
    gateway.hang_up()
