"""One admitted answer on its way: at the speed asked for, with the faults that befall it.

What is delivered is billed: the whole of a plain answer, once the model was asked; of a stream what
was written before the client went away.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from macroslow.emulator.counting import Scales
from macroslow.emulator.exchange import JSON, Exchange
from macroslow.emulator.faults import Trouble
from macroslow.emulator.latency import Latency
from macroslow.emulator.spoiling import bomb, spoiled, spoiled_events
from macroslow.emulator.work import Envelope, Event, Headers, Work

_EVENTS: Final = ((b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache"))
_GZIP: Final = (b"content-encoding", b"gzip")
_SLOW_PIECES: Final = 8


@dataclass(frozen=True, slots=True)
class Delivery:
    """`bill` takes the output tokens that were written, once, whatever happens."""

    exchange: Exchange
    work: Work
    envelope: Envelope
    trouble: Trouble
    latency: Latency
    scales: Scales
    bill: Callable[[int], None]

    async def whole(self) -> None:
        """Send a plain answer."""
        output_tokens = self.work.counts.output_tokens
        self.bill(output_tokens)
        await asyncio.sleep(self.latency.whole_s(output_tokens))
        if self.trouble.gzip:
            await self._bomb((JSON,))
            return
        body = spoiled(self.work.whole(self.envelope), self.trouble.garbage)
        await self.exchange.start(200, [JSON, (b"content-length", str(len(body)).encode())])
        kept, whole = body, self.trouble.cut is None
        if self.trouble.cut is not None:
            kept = body[: int(len(body) * self.trouble.cut)]
        size_bytes = -(-len(body) // _SLOW_PIECES) if self.trouble.slow_s else len(body)
        for at in range(0, len(kept), size_bytes):
            if self.trouble.slow_s:
                await asyncio.sleep(self.trouble.slow_s)
            more = not whole or at + size_bytes < len(kept)
            await self.exchange.write(kept[at : at + size_bytes], more=more)

    async def stream(self) -> bool:
        """Send a streamed answer; whether the client stayed to its end."""
        events = spoiled_events(list(self.work.events(self.envelope)), self.trouble.garbage)
        sent, ends = self._sent(events)
        gone = asyncio.ensure_future(self.exchange.hung_up())
        written_tokens, complete = 0, False
        try:
            await asyncio.wait({gone}, timeout=self.latency.first_s)
            if self.trouble.gzip:
                await self._bomb(_EVENTS)
                return True
            await self.exchange.start(200, _EVENTS)
            for event in sent:
                tokens = self.scales.text(self.work.model, event.text) + event.unseen_tokens
                await self._pause(gone, tokens * self.latency.per_token_s + self.trouble.slow_s)
                if gone.done():
                    return False
                await self.exchange.write(event.raw)
                written_tokens += tokens
            complete = sent is events
            if ends:
                await self.exchange.write(b"", more=False)
            return True
        finally:
            gone.cancel()
            # Words counted one by one are a few tokens more than their text.
            whole_tokens = self.work.counts.output_tokens
            self.bill(whole_tokens if complete else min(written_tokens, whole_tokens))

    def _sent(self, events: list[Event]) -> tuple[list[Event], bool]:
        """The events that are sent, and whether the stream then ends in good order."""
        if self.trouble.cut is not None:
            return events[: int(len(events) * self.trouble.cut)], False
        if self.trouble.error:
            broken = Event(self.exchange.dialect.broken_stream())
            return [*events[: len(events) // 2], broken], True
        return events, True

    async def _bomb(self, headers: Headers) -> None:
        content = await asyncio.to_thread(bomb)
        await self.exchange.start(200, [*headers, _GZIP, (b"content-length", str(len(content)).encode())])
        await self.exchange.write(content, more=False)

    @staticmethod
    async def _pause(gone: asyncio.Future[None], pause_s: float) -> None:
        if pause_s:
            await asyncio.wait({gone}, timeout=pause_s)
