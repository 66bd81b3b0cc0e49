"""Embeddings: unit vectors that depend on the text alone, in both formats, and their limits."""

import base64
import math
import struct

import openai
import orjson
import pytest
from tests.emulator.asking import EMBEDDER, KEY, Reply, call

from macroslow.adapters import packaged
from macroslow.emulator import Emulator, create_emulator, running

APP = create_emulator()


async def embed(content: object, app: Emulator = APP, **members: object) -> Reply:
    body = {"model": EMBEDDER, "input": content, **members}
    return await call(app, orjson.dumps(body), path="/v1/embeddings")


async def vectors(content: object, **members: object) -> list[list[float]]:
    return [item["embedding"] for item in (await embed(content, **members)).json()["data"]]


async def test_the_sdk_reads_base64_and_finds_the_same_numbers() -> None:
    async with (
        running(create_emulator()) as base_url,
        openai.AsyncOpenAI(base_url=base_url, api_key=KEY, max_retries=0) as client,
    ):
        # The SDK asks for base64 where it is not told a format, and unpacks it.
        answer = await client.embeddings.create(model=EMBEDDER, input=["a", "b c"])
    plain = await vectors(["a", "b c"])
    assert [item.index for item in answer.data] == [0, 1]
    for item, expected in zip(answer.data, plain, strict=True):
        assert item.embedding == pytest.approx(expected, rel=1e-6)
    assert answer.usage.prompt_tokens == answer.usage.total_tokens == 3


async def test_a_vector_has_length_one_and_is_the_same_each_time() -> None:
    (first,), (again,), (other,) = await vectors("sky"), await vectors("sky"), await vectors("sea")
    assert math.hypot(*first) == pytest.approx(1.0)
    assert first == again != other
    assert len(first) == 1_536
    assert len((await vectors("sky", model="text-embedding-3-large"))[0]) == 3_072


async def test_a_shorter_vector_is_the_beginning_of_the_whole_one_made_longer() -> None:
    (whole,), (short,) = await vectors("sky"), await vectors("sky", dimensions=256)
    length = math.hypot(*whole[:256])
    assert short == pytest.approx([number / length for number in whole[:256]])


async def test_base64_is_little_endian_floats() -> None:
    reply = await embed("sky", encoding_format="base64", dimensions=3)
    packed = base64.b64decode(reply.json()["data"][0]["embedding"])
    assert struct.unpack("<3f", packed) == pytest.approx((await vectors("sky", dimensions=3))[0], rel=1e-6)


async def test_tokens_are_counted_in_the_models_own_encoding_and_may_be_given() -> None:
    text = "Grüße aus 東京"
    reply = await embed(text)
    assert reply.json()["usage"]["prompt_tokens"] == packaged.counters()["cl100k_base"].text(text)
    assert (await embed([[1, 2, 3], [4]])).json()["usage"]["prompt_tokens"] == 4
    assert (await embed([1, 2, 3])).json()["usage"]["prompt_tokens"] == 3


async def test_input_is_billed_and_nothing_is_written() -> None:
    app = create_emulator()
    await embed("one two three", app)
    report = app.statistics.report(0)
    assert (report["input_tokens"], report["output_tokens"], report["usd_micros"]) == (3, 0, 1)


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"input": ""}, "input[0]"),
        ({"input": []}, "input"),
        ({"input": ["a", ""]}, "input[1]"),
        ({"input": ["a", []]}, "input[1]"),
        ({"input": ["a", 7]}, "input[1]"),
        ({"input": [[1, -1]]}, "input[0][1]"),
        ({"input": [True, "a"]}, "input[0][0]"),
        ({"input": {}}, "input"),
        ({"input": ["a"] * 2_049}, "input"),
        ({"input": "a " * 8_193}, "input"),
        ({"input": ["a " * 8_000] * 40}, "input"),
        ({"dimensions": 0}, "dimensions"),
        ({"dimensions": 1_537}, "dimensions"),
        ({"dimensions": 5, "model": "text-embedding-ada-002"}, "dimensions"),
        ({"encoding_format": "hex"}, "encoding_format"),
        ({"stream": True}, "stream"),
    ],
)
async def test_a_wrong_member_is_named(members: dict[str, object], param: str) -> None:
    reply = await embed(
        **{"content": "a"} | {k if k != "input" else "content": v for k, v in members.items()}
    )
    assert (reply.status, reply.json()["error"]["param"]) == (400, param)


async def test_a_model_that_writes_makes_no_embedding_and_the_other_way_round() -> None:
    assert (await embed("a", model="gpt-4o")).status == 403
    chat = {"model": EMBEDDER, "messages": [{"role": "user", "content": "a"}]}
    assert (await call(APP, orjson.dumps(chat))).status == 404
