"""What a client says of its trace: read where it is sound, and no reason to refuse it where it is not."""

import pytest
from tests.web.fakes import build, call

from macroslow.inference.trace import TraceParent

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
GOOD = f"00-{TRACE}-{SPAN}-01"


async def parent(*values: bytes) -> TraceParent | None:
    """What the use case is told when a client sends these."""
    house = await build()
    body = b'{"model":"m"}'
    headers = [
        (b"host", b"127.0.0.1:8000"),
        (b"x-api-key", house.key.encode()),
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        *((b"traceparent", value) for value in values),
        (b"tracestate", b"vendor=whatever"),
    ]
    answered = await call(house.gate, "POST", "/v1/chat/completions", headers, body)
    assert answered.status == 200
    assert house.seen.asked == [("chat.completions", {})], "it went on to the provider"
    (told,) = house.seen.parents
    return told


async def test_a_parent_is_read() -> None:
    assert await parent(GOOD.encode()) == TraceParent(TRACE, SPAN, sampled=True)


@pytest.mark.parametrize(
    "values",
    [(), (b"",), (b"nonsense",), (GOOD.encode(), GOOD.encode()), (b"\xff" * 55,), (b"0" * 8000,)],
    ids=["none", "empty", "nonsense", "twice", "binary", "long"],
)
async def test_what_is_none_begins_a_trace_of_its_own(values: tuple[bytes, ...]) -> None:
    assert await parent(*values) is None
