"""A streamed chat completion put together again: the answer as it would have come in one piece.

Source: OpenAI API reference, "The chat completion chunk object". The stream has passed its reader; what a
provider wrote into it is still anybody's.
"""

from collections.abc import Mapping
from typing import Any, Final

import orjson

from macroslow.inference.sse import data_of, split

_HEAD: Final = ("id", "created", "model", "system_fingerprint", "service_tier")


class WholeChat:
    """Takes whole events; `pieces` of text have come so far, of about a token each."""

    def __init__(self) -> None:
        self.pieces = 0
        self._head: dict[str, object] = {}
        self._choices: dict[int, dict[str, Any]] = {}
        self._usage: object = None

    def feed(self, events: bytes) -> None:
        """Add events to the answer; those that say nothing of it are passed over."""
        for event in split(events):
            match _read(event):
                case {"choices": list(choices), **rest}:
                    self._head |= {name: rest[name] for name in _HEAD if name in rest}
                    self._usage = rest.get("usage") or self._usage
                    for choice in choices:
                        self._add(choice)
                case _:
                    continue

    def answer(self) -> dict[str, object]:
        """The completion, as far as it came."""
        choices = [self._choices[index] for index in sorted(self._choices)]
        return {**self._head, "object": "chat.completion", "choices": choices, "usage": self._usage}

    def _add(self, choice: object) -> None:
        match choice:
            case {"index": int(index), "delta": dict(delta), **rest}:
                empty = {
                    "index": index,
                    "message": {"role": "assistant", "content": None},
                    "finish_reason": None,
                }
                known = self._choices.setdefault(index, empty)
                known["finish_reason"] = rest.get("finish_reason") or known["finish_reason"]
                self._write(known["message"], delta)
            case _:
                return

    def _write(self, message: dict[str, Any], delta: Mapping[str, object]) -> None:
        for name, written in delta.items():
            if not isinstance(written, str) or name == "role":
                continue
            message[name] = (message.get(name) or "") + written
            self.pieces += bool(written)


def _read(event: bytes) -> object:
    try:
        return orjson.loads(data_of(event))
    except orjson.JSONDecodeError:  # the closing event is none
        return None
