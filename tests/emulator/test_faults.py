"""Every fault: it comes on time, does what its line says, and is billed as it should be."""

import asyncio
import gzip
import zlib

import openai
import orjson
import pytest
from tests.emulator.asking import KEY, VERSION, Reply, call, chat_body, events_of, message_body

from macroslow.emulator import Emulator, create_emulator, parse_faults, running
from macroslow.emulator.faults import HELP, Garbage, Lie, Trouble
from macroslow.errors import ConfigurationError

CLAUDE_HEADERS = {"x-api-key": KEY, "anthropic-version": VERSION}


async def post(app: Emulator, body: bytes, path: str = "/chat/completions") -> Reply:
    return await call(app, body, path=f"/v1{path}", headers=CLAUDE_HEADERS if "messages" in path else None)


async def only(spec: str, body: bytes, path: str = "/chat/completions") -> tuple[Reply, Emulator]:
    """The answer to one request under these faults, and who gave it."""
    app = create_emulator(faults=parse_faults(spec))
    return await post(app, body, path), app


def request_to(port: int) -> bytes:
    """A chat completion as it stands on the wire."""
    body = chat_body()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x:{port}\r\nauthorization: Bearer {KEY}\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


async def test_faults_come_on_time_and_are_the_sdks_own_errors() -> None:
    app = create_emulator(faults=parse_faults("status=503@2,cut=0.5@3,status=429@5,retry-after=7"))
    client = {"api_key": KEY, "max_retries": 0}
    async with running(app) as base_url, openai.AsyncOpenAI(base_url=base_url, **client) as sdk:

        async def ask() -> object:
            return await sdk.chat.completions.create(
                model="gpt-4o", messages=[{"role": "user", "content": "Hi"}]
            )

        await ask()
        with pytest.raises(openai.InternalServerError):
            await ask()
        with pytest.raises(openai.APIConnectionError):
            await ask()
        with pytest.raises(openai.InternalServerError):
            await ask()
        with pytest.raises(openai.RateLimitError) as caught:
            await ask()
    assert caught.value.response.headers["retry-after"] == "7"
    assert app.statistics.faults == 4
    assert app.statistics.limited == {}
    # A plain answer that broke off was written whole; an error was not written at all.
    assert app.statistics.models["gpt-4o"].answered == 2


@pytest.mark.parametrize(
    ("status", "kind"),
    [(429, "rate_limit_error"), (500, "api_error"), (504, "timeout_error"), (529, "overloaded_error")],
)
async def test_an_error_has_the_shape_of_the_service_that_is_asked(status: int, kind: str) -> None:
    sent, _ = await only(f"status={status}@1", message_body(), "/messages")
    assert (sent.status, orjson.loads(sent.body)["error"]["type"]) == (status, kind)
    sent, _ = await only(f"status={status}@1", chat_body())
    assert sent.status == status
    assert set(orjson.loads(sent.body)["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize("fault", ["timeout", "reset"])
async def test_a_request_without_an_answer_gets_not_a_byte(fault: str) -> None:
    """A time-out ends when the client goes, a reset at once."""
    app = create_emulator(faults=parse_faults(f"{fault}@1"))
    async with running(app) as base_url:
        port = int(base_url.rpartition(":")[2].partition("/")[0])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request_to(port))
        while not app.statistics.faults:
            await asyncio.sleep(0)
        if fault == "timeout":
            assert app.statistics.open_now == 1
            writer.write_eof()
        try:
            received = await reader.read()
        except ConnectionResetError:
            received = b""
        writer.close()
        while app.statistics.open_now:
            await asyncio.sleep(0)
    assert received == b""
    assert app.statistics.statuses == {}
    assert app.statistics.hang_ups == 1
    assert app.statistics.models["gpt-4o-mini"].answered == 0


async def test_a_cut_stream_ends_in_the_middle_and_its_part_is_billed() -> None:
    sent, app = await only("cut=0.5@1", chat_body("Answer with exactly: a b c d e f", stream=True))
    assert not sent.complete
    said = [event["choices"][0]["delta"].get("content") for event in events_of(sent.body)]
    assert said == ["", "a", " b", " c"]
    assert app.statistics.report(0)["output_tokens"] == 3


async def test_a_cut_at_nothing_is_a_status_and_no_body() -> None:
    sent, _ = await only("cut=0@1", chat_body())
    assert (sent.status, sent.body, sent.complete) == (200, b"", False)


@pytest.mark.parametrize(
    ("path", "body", "kind"),
    [("/chat/completions", chat_body, "server_error"), ("/messages", message_body, "overloaded_error")],
)
async def test_a_stream_can_fail_half_way_with_an_error_event(path: str, body: object, kind: str) -> None:
    assert callable(body)
    sent, _ = await only("error@1", body("Answer with 20 words", stream=True), path)
    assert sent.complete
    assert events_of(sent.body)[-1]["error"]["type"] == kind


async def test_a_slow_answer_takes_that_long_for_each_piece() -> None:
    loop = asyncio.get_running_loop()
    for stream in (False, True):
        began_s = loop.time()
        sent, _ = await only("slow=0.02@1", chat_body("Answer with exactly: a b c d", stream=stream))
        assert sent.complete
        assert loop.time() - began_s > 6 * 0.02


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("lie", list(Lie))
@pytest.mark.parametrize("path", ["/chat/completions", "/messages", "/responses"])
async def test_a_usage_is_missing_or_wrong_in_its_way(path: str, lie: Lie, stream: bool) -> None:
    bodies = {
        "/chat/completions": chat_body(stream=stream, stream_options={"include_usage": True})
        if stream
        else chat_body(),
        "/messages": message_body(stream=stream),
        "/responses": orjson.dumps({"model": "gpt-4o-mini", "input": "Hello", "stream": stream}),
    }
    told = []
    for spec in ("", f"usage={lie}@1"):
        sent, app = await only(spec, bodies[path], path)
        last = {"/messages": -2}.get(path, -1)
        found = events_of(sent.body)[last] if stream else orjson.loads(sent.body)
        told.append(found.get("response", found).get("usage"))
    true, wrong = told
    names = ("prompt_tokens", "completion_tokens") if "chat" in path else ("input_tokens", "output_tokens")
    if lie is Lie.MISSING:
        assert wrong is None
        return
    changed = [(true[name], wrong[name]) for name in names]
    match lie:
        case Lie.NEGATIVE:
            assert all(false == -right - 1 for right, false in changed)
        case Lie.ABSURD:
            assert all(false > 10**15 for _, false in changed)
        case Lie.FLOAT:
            assert all(false == right + 0.5 for right, false in changed)
        case Lie.TENFOLD:
            assert changed[0][1] == 10 * changed[0][0]
            assert changed[1][1] == changed[1][0]
    assert app.statistics.report(0)["input_tokens"] == true[names[0]]


def test_wrong_usages_and_garbage_come_in_turn() -> None:
    faults = parse_faults("usage=wrong@2,garbage@3")
    assert [faults.at(number).usage for number in (2, 4, 6, 8, 10)] == [
        Lie.NEGATIVE,
        Lie.ABSURD,
        Lie.FLOAT,
        Lie.TENFOLD,
        Lie.NEGATIVE,
    ]
    assert [faults.at(number).garbage for number in (3, 6, 9, 12, 15)] == [*Garbage, Garbage.TEXT]
    assert faults.at(1) == Trouble()


async def test_garbage_in_a_plain_answer() -> None:
    whole = orjson.loads((await only("", chat_body()))[0].body)
    text, _ = await only("garbage=text@1", chat_body())
    half, _ = await only("garbage=half@1", chat_body())
    for sent in (text, half):
        assert sent.complete
        with pytest.raises(orjson.JSONDecodeError):
            orjson.loads(sent.body)
    lines, _ = await only("garbage=crlf@1", chat_body())
    line, _ = await only("garbage=line@1", chat_body())
    assert b"\r\n" in lines.body
    assert len(line.body) > 2 * 1024 * 1024
    for sent in (lines, line):
        assert orjson.loads(sent.body)["choices"] == whole["choices"]


async def test_garbage_in_a_stream() -> None:
    body = chat_body("Answer with exactly: a b c", stream=True)
    text, _ = await only("garbage=text@1", body)
    assert b"data: <html>" in text.body
    assert text.body.endswith(b"data: [DONE]\n\n")
    half, _ = await only("garbage=half@1", body)
    assert half.complete
    assert not half.body.endswith(b"\n")
    line, _ = await only("garbage=line@1", body)
    assert max(map(len, line.body.splitlines())) > 2 * 1024 * 1024
    lines, _ = await only("garbage=crlf@1", body)
    assert lines.body.count(b"\r\n") == lines.body.count(b"\n")
    said = [event["choices"][0]["delta"].get("content") for event in events_of(lines.body)]
    assert said == ["", "a", " b", " c", None]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_bomb_is_small_on_the_wire_and_large_inside(stream: bool) -> None:
    sent, app = await only("gzip@1", chat_body(stream=stream))
    assert sent.headers["content-encoding"] == "gzip"
    assert len(sent.body) < 100_000
    unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)
    assert unpacker.decompress(sent.body, 4_096) == b" " * 4_096
    assert gzip.decompress(sent.body)[-2:] == b"{}"
    assert app.statistics.models["gpt-4o-mini"].answered == 1


async def test_faults_are_counted_over_all_routes_and_not_over_refusals() -> None:
    app = create_emulator(faults=parse_faults("status=500@2"))
    assert (await post(app, chat_body())).status == 200
    assert (await post(app, b"{")).status == 400
    assert (await post(app, message_body(), "/messages")).status == 500
    embeddings = orjson.dumps({"model": "text-embedding-3-small", "input": "x"})
    assert (await post(app, embeddings, "/embeddings")).status == 200
    assert (await post(app, message_body(), "/messages")).status == 500


@pytest.mark.parametrize(
    "spec",
    [
        "hang=1@2",
        "status=500",
        "status=500@0",
        "status=418@1",
        "status@1",
        "timeout",
        "timeout=3@1",
        "cut=2@3",
        "slow=-1@1",
        "usage@1",
        "usage=big@1",
        "garbage=x@1",
        "retry-after=1@2",
        "retry-after=soon",
        "reset@1,",
        ",",
    ],
)
def test_a_flag_that_cannot_be_read_lists_what_there_is(spec: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_faults(spec)
    assert [name for name in HELP if name not in caught.value.fix] == []
