"""Spans over real sockets: what a collector gets it can decode, and nothing it does gets in the way."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from tests.machine import until
from tests.ports import held_port

from macroslow.adapters.otlp import Collector, Later, SpanExporter, Taken, encode
from macroslow.adapters.otlp.exporter import ATTEMPTS, BATCH, MAX_WAITING
from macroslow.adapters.system import SystemEntropy
from macroslow.inference.trace import Span

RESOURCE = {"service.name": "macroslow", "service.version": "1.2"}


def span(number: int = 1, **changes: Any) -> Span:
    facts: dict[str, Any] = {
        "trace_id": f"{number:032x}",
        "span_id": f"{number:016x}",
        "parent_span_id": "",
        "name": "chat gpt-4o",
        "start_ns": 1_800_000_000_000_000_001,
        "end_ns": 1_800_000_001_000_000_002,
        "attributes": {"gen_ai.usage.input_tokens": 9},
    }
    return Span(**{**facts, **changes})


@dataclass
class House:
    """A collector's side, whose answers are set by hand, one after the other; then it takes everything."""

    exporter: SpanExporter
    collector: Collector
    status: list[int] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    answer: bytes = b"{}"
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)
    hold: asyncio.Event = field(default_factory=asyncio.Event)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def spans(self) -> list[dict[str, Any]]:
        """Every span that arrived, decoded."""
        return [
            one
            for _, body in self.got
            for resource in json.loads(body)["resourceSpans"]
            for scope in resource["scopeSpans"]
            for one in scope["spans"]
        ]


@asynccontextmanager
async def house(every_s: float = 0.01) -> AsyncIterator[House]:
    async def handle(request: web.Request) -> web.Response:
        opened.paths.append(request.path)
        opened.got.append(({n.lower(): v for n, v in request.headers.items()}, await request.read()))
        opened.arrived.set()
        await opened.hold.wait()
        status = opened.status.pop(0) if opened.status else 200
        return web.Response(
            status=status, headers=opened.headers, body=opened.answer, content_type="application/json"
        )

    async def sleep(seconds: float) -> None:
        opened.pauses.append(seconds)

    runner = web.ServerRunner(web.Server(handle))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    endpoint = f"http://127.0.0.1:{runner.addresses[0][1]}/base"
    async with aiohttp.ClientSession() as session:
        collector = Collector(endpoint, {"authorization": "Bearer s3cret"}, session)
        exporter = SpanExporter(collector, RESOURCE, SystemEntropy(), every_s=every_s, sleep=sleep)
        opened = House(exporter, collector)
        opened.hold.set()
        try:
            yield opened
        finally:
            opened.hold.set()
            await runner.cleanup()


@asynccontextmanager
async def running(opened: House) -> AsyncIterator[None]:
    task = asyncio.create_task(opened.exporter.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})
        await opened.exporter.flush()


def test_a_span_is_encoded_as_the_protocol_says() -> None:
    attributes = {"text": "ü", "whole": 2**62, "part": 0.5, "yes": True}
    body = encode([span(7, parent_span_id="b7ad6b7169203331", attributes=attributes, error="429")], RESOURCE)
    (told,) = json.loads(body)["resourceSpans"]
    assert told["resource"]["attributes"] == [
        {"key": "service.name", "value": {"stringValue": "macroslow"}},
        {"key": "service.version", "value": {"stringValue": "1.2"}},
    ]
    (scope,) = told["scopeSpans"]
    assert scope["scope"] == {"name": "macroslow", "version": "1.2"}
    assert scope["schemaUrl"] == "https://opentelemetry.io/schemas/1.41.0"
    assert scope["spans"] == [
        {
            "traceId": "0" * 31 + "7",
            "spanId": "0" * 15 + "7",
            "parentSpanId": "b7ad6b7169203331",
            "flags": 0x301,
            "name": "chat gpt-4o",
            "kind": 3,
            "startTimeUnixNano": "1800000000000000001",
            "endTimeUnixNano": "1800000001000000002",
            "attributes": [
                {"key": "text", "value": {"stringValue": "ü"}},
                {"key": "whole", "value": {"intValue": str(2**62)}},
                {"key": "part", "value": {"doubleValue": 0.5}},
                {"key": "yes", "value": {"boolValue": True}},
            ],
            "status": {"code": 2},
        }
    ]


def test_a_root_that_ended_well_has_neither_parent_nor_status() -> None:
    (told,) = json.loads(encode([span()], RESOURCE))["resourceSpans"][0]["scopeSpans"][0]["spans"]
    assert "parentSpanId" not in told
    assert (told["status"], told["flags"]) == ({}, 0x101)


async def test_what_is_put_arrives_with_the_operators_headers() -> None:
    async with house() as opened, running(opened):
        for number in range(1, 4):
            opened.exporter.put(span(number))
        await until(lambda: opened.exporter.counts["exported"] == 3)
        headers, _ = opened.got[0]
        assert opened.paths[0] == "/base/v1/traces"
        assert headers["content-type"] == "application/json"
        assert headers["authorization"] == "Bearer s3cret"
        assert [one["spanId"] for one in opened.spans] == [f"{number:016x}" for number in range(1, 4)]
    assert "s3cret" not in repr(opened.collector)


async def test_a_full_batch_does_not_wait() -> None:
    async with house(every_s=3600.0) as opened, running(opened):
        for number in range(1, BATCH + 1):
            opened.exporter.put(span(number))
        await until(lambda: opened.exporter.counts["exported"] == BATCH)
    assert len(opened.got) == 1


async def test_at_an_orderly_end_what_waits_is_sent() -> None:
    async with house(every_s=3600.0) as opened:
        async with running(opened):
            for number in range(1, BATCH + 50):
                opened.exporter.put(span(number))
        assert len({one["spanId"] for one in opened.spans}) == BATCH + 49
        assert opened.exporter.counts == {"exported": BATCH + 49, "rejected": 0, "dropped": 0}


async def test_a_batch_that_was_on_its_way_at_the_end_is_sent_again() -> None:
    async with house() as opened:
        opened.hold.clear()
        async with running(opened):
            opened.exporter.put(span())
            await opened.arrived.wait()
            asyncio.get_running_loop().call_later(0.05, opened.hold.set)
        assert opened.exporter.counts["exported"] == 1
        assert {one["spanId"] for one in opened.spans} == {f"{1:016x}"}


async def test_more_than_fit_are_dropped_and_counted() -> None:
    async with house() as opened:
        for number in range(1, MAX_WAITING + 11):
            opened.exporter.put(span(number))
        assert opened.exporter.counts["dropped"] == 10


@pytest.mark.parametrize("status", [429, 502, 503, 504])
async def test_what_may_be_repeated_is_with_growing_pauses(status: int) -> None:
    async with house() as opened:
        opened.status = [status, status]
        async with running(opened):
            opened.exporter.put(span())
            await until(lambda: opened.exporter.counts["exported"] == 1)
        assert len(opened.got) == 3
        assert len(opened.pauses) == 2
        assert all(0 <= pause <= 20 for pause in opened.pauses)


async def test_a_collector_that_says_when_is_believed_within_bounds() -> None:
    async with house() as opened:
        for said, pause in (
            ("7", 7),
            ("999999", 60),
            ("-1", None),
            ("soon", None),
            ("9" * 99, None),
            ("²", None),
        ):
            opened.status, opened.headers = [503], {"retry-after": said}
            assert await opened.collector.post(b"{}") == Later("status 503", pause)


@pytest.mark.parametrize("status", [301, 302, 307, 308, 400, 401, 403, 404, 413, 500])
async def test_what_may_not_be_repeated_is_dropped_and_no_redirect_is_followed(status: int) -> None:
    async with house() as opened:
        opened.status, opened.headers = [status], {"location": "/elsewhere"}
        async with running(opened):
            opened.exporter.put(span())
            await until(lambda: opened.exporter.counts["dropped"] == 1)
        assert opened.paths == ["/base/v1/traces"]


async def test_a_batch_is_given_up_after_its_attempts() -> None:
    async with house() as opened:
        opened.status = [503] * ATTEMPTS
        async with running(opened):
            opened.exporter.put(span())
            await until(lambda: opened.exporter.counts["dropped"] == 1)
            opened.exporter.put(span(2))
            await until(lambda: opened.exporter.counts["exported"] == 1)
        assert len(opened.got) == ATTEMPTS + 1


@pytest.mark.parametrize(
    ("answer", "rejected"),
    [
        (b"{}", 0),
        (b'{"partialSuccess":{"rejectedSpans":"1","errorMessage":"no"}}', 1),
        (b'{"partialSuccess":{"rejectedSpans":1}}', 1),
        (b'{"partialSuccess":{"rejectedSpans":"0","errorMessage":"a hint"}}', 0),
        (b'{"partialSuccess":{"rejectedSpans":-5}}', 0),
        (b'{"partialSuccess":{"rejectedSpans":"x"}}', 0),
        (b'{"partialSuccess":null}', 0),
        (b"[1]", 0),
        (b"\xff not json", 0),
        (b"", 0),
        (b" " * 1_000_000, 0),
    ],
    ids=lambda one: str(one)[:50],
)
async def test_of_an_answer_only_what_was_rejected_counts(answer: bytes, rejected: int) -> None:
    async with house() as opened:
        opened.answer = answer
        assert await opened.collector.post(b"{}") == Taken(rejected)


async def test_a_collector_cannot_reject_more_than_it_got() -> None:
    async with house() as opened:
        opened.answer = b'{"partialSuccess":{"rejectedSpans":"999999999999999999999999"}}'
        async with running(opened):
            opened.exporter.put(span())
            await until(lambda: opened.exporter.counts["rejected"] == 1)
        assert opened.exporter.counts == {"exported": 0, "rejected": 1, "dropped": 0}


async def test_a_compressed_answer_is_not_unpacked() -> None:
    async with house() as opened:
        opened.headers, opened.answer = {"content-encoding": "gzip"}, b"{}"
        assert await opened.collector.post(b"{}") == Taken()


async def test_nobody_there_harms_nobody_and_tells_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    with held_port() as port:
        async with aiohttp.ClientSession() as session:
            endpoint = f"http://127.0.0.1:{port}/base"
            gone = Collector(endpoint, {"authorization": "Bearer s3cret"}, session)
            exporter = SpanExporter(gone, RESOURCE, SystemEntropy(), every_s=0.01)
            assert isinstance(await gone.post(b"{}"), Later)
            exporter.put(span())
            await exporter.flush()
            exporter.put(span())
            await exporter.flush()
    assert exporter.counts == {"exported": 0, "rejected": 0, "dropped": 2}
    assert len(caplog.records) == 1
    assert "s3cret" not in caplog.text
    assert "/base" not in caplog.text


async def test_a_collector_that_says_nothing_holds_up_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("macroslow.adapters.otlp.exporter.FLUSH_S", 0.05)
    async with house() as opened:
        opened.hold.clear()
        opened.exporter.put(span())
        await opened.exporter.flush()
        assert opened.exporter.counts["dropped"] == 1


async def test_who_hangs_up_without_an_answer_is_asked_again() -> None:
    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with server, aiohttp.ClientSession() as session:
        port = server.sockets[0].getsockname()[1]
        assert isinstance(await Collector(f"http://127.0.0.1:{port}", {}, session).post(b"{}"), Later)
