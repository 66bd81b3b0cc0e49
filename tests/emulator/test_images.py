"""Images are counted by the catalogue's rules, wherever they stand, and refused where none apply."""

import base64
import zlib
from typing import Any

import pytest
from tests.emulator.asking import CLAUDE, Reply, call, chat_body, message, response_body

from macroslow.adapters import packaged
from macroslow.emulator import Emulator
from macroslow.metering.images import Image


def png(width_px: int, height_px: int) -> str:
    """As much of a picture as says its size."""
    header = width_px.to_bytes(4, "big") + height_px.to_bytes(4, "big") + b"\x08\x02\x00\x00\x00"
    chunk = b"IHDR" + header
    whole = b"\x89PNG\r\n\x1a\n" + len(header).to_bytes(4, "big") + chunk
    return base64.b64encode(whole + zlib.crc32(chunk).to_bytes(4, "big")).decode()


async def ask(
    app: Emulator, api: str, detail: str = "high", size: tuple[int, int] | None = (1024, 1024)
) -> Reply:
    """The same words with an image, or without one, in each API."""
    data_url = f"data:image/png;base64,{png(*size)}" if size else ""
    if api == "messages":
        source = {"type": "base64", "media_type": "image/png", "data": png(*size) if size else ""}
        parts = [{"type": "text", "text": "What?"}, {"type": "image", "source": source}]
        return await message(app, parts[: 1 + bool(size)])
    if api == "responses":
        parts = [
            {"type": "input_text", "text": "What?"},
            {"type": "input_image", "image_url": data_url, "detail": detail},
        ]
        body = response_body([{"role": "user", "content": parts[: 1 + bool(size)]}], model="gpt-4o")
        return await call(app, body, path="/v1/responses")
    image: Any = {"type": "image_url", "image_url": {"url": data_url, "detail": detail}}
    parts = [{"type": "text", "text": "What?"}, image]
    return await call(app, chat_body(parts[: 1 + bool(size)], model="gpt-4o"))


def input_tokens(reply: Reply) -> int:
    usage = reply.json()["usage"]
    return int(usage.get("prompt_tokens") or usage["input_tokens"])


@pytest.mark.parametrize("api", ["chat", "responses", "messages"])
async def test_an_image_adds_what_the_catalogue_says(app: Emulator, api: str) -> None:
    with_image, without = await ask(app, api), await ask(app, api, size=None)
    model = packaged.catalogue().find(CLAUDE if api == "messages" else "gpt-4o")
    assert model is not None
    assert model.images is not None
    added = input_tokens(with_image) - input_tokens(without)
    assert added == model.images.tokens(Image(1024, 1024, "high"))
    if api != "messages":
        assert added == 765  # OpenAI, "Images and vision": 85 + 4 x 170


async def test_an_image_of_low_detail_costs_the_base(app: Emulator) -> None:
    low, without = await ask(app, "chat", detail="low"), await ask(app, "chat", size=None)
    assert input_tokens(low) - input_tokens(without) == 85


async def test_an_image_says_nothing(app: Emulator) -> None:
    reply = await ask(app, "chat")
    assert reply.json()["choices"][0]["message"]["content"] == "Emulated answer to 1 words: What?"


async def test_a_model_that_sees_nothing_refuses_images(app: Emulator) -> None:
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{png(1, 1)}"}}
    reply = await call(app, chat_body([image], model="gpt-3.5-turbo"))
    assert (reply.status, reply.json()["error"]["param"]) == (400, "messages")


@pytest.mark.parametrize(
    "url", ["", "http://example.org/x.png", "data:image/png;base64,%%", "data:text/plain,x"]
)
async def test_what_is_no_image_is_refused(app: Emulator, url: str) -> None:
    reply = await call(app, chat_body([{"type": "image_url", "image_url": {"url": url}}], model="gpt-4o"))
    assert (reply.status, reply.json()["error"]["code"]) == (400, "invalid_image_url")
