"""How far a verb is, told to whoever waits for it."""

import asyncio
from typing import Final

import orjson

EVERY_S: Final = 0.2  # as often as a person can read it


class HungUpError(Exception):
    """Nobody waits for the verb any more."""


class Telling:
    """The progress of one verb, as lines before its result: none for a verb that is done at once.

    A connection that was only shut for sending is still listened at; one that is closed is found out by
    the next line, so work ends soon after its asker.
    """

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._now_s = asyncio.get_running_loop().time
        self._due_s = self._now_s() + EVERY_S

    def __call__(self, done: int, of: int) -> None:
        """Tell it if the last time is long enough ago, and was read. HungUpError once the asker is gone."""
        transport = self._writer.transport
        if transport.is_closing():
            raise HungUpError
        if self._now_s() >= self._due_s and not transport.get_write_buffer_size():
            self._due_s = self._now_s() + EVERY_S
            self._writer.write(orjson.dumps({"progress": {"done": done, "of": of}}) + b"\n")
