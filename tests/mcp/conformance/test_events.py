"""What a client that lost its stream is sent again."""

from mcp.server.streamable_http import EventMessage
from mcp_types import JSONRPCNotification

from macroslow.mcp.conformance.events import MAX_EVENTS, Events


def note(number: int) -> JSONRPCNotification:
    return JSONRPCNotification(jsonrpc="2.0", method=f"n/{number}")


async def replayed(events: Events, last: str) -> tuple[str | None, list[str]]:
    sent: list[EventMessage] = []

    async def send(event: EventMessage) -> None:
        sent.append(event)

    stream = await events.replay_events_after(last, send)
    return stream, [each.message.method for each in sent]  # type: ignore[union-attr]


async def test_what_came_after_on_the_same_stream_is_sent_again() -> None:
    events = Events()
    first = await events.store_event("a", None)
    for number, stream in enumerate("aba"):
        await events.store_event(stream, note(number))
    assert await replayed(events, first) == ("a", ["n/0", "n/2"])
    assert await replayed(events, "4") == ("a", [])


async def test_the_oldest_is_forgotten_and_what_is_unknown_resumes_nothing() -> None:
    events = Events()
    first = await events.store_event("a", None)
    for number in range(MAX_EVENTS):
        await events.store_event("a", note(number))
    for unknown in (first, "0", "", "x"):
        assert await replayed(events, unknown) == (None, [])
    assert len((await replayed(events, "2"))[1]) == MAX_EVENTS - 1
