"""The OpenAI SDK, unmodified, inside the sandbox: its only way out is the egress of its run."""

import asyncio
import contextlib
import importlib.util
import json
import socket
from collections.abc import AsyncIterator

import pytest

from macroslow.adapters.sandbox import NATIVE, ProcessSandbox
from macroslow.errors import SandboxUnavailableError
from macroslow.workflow.sandbox import Block, BlockStatus, Job

pytestmark = pytest.mark.skipif(importlib.util.find_spec("openai") is None, reason="openai is not installed")

ANSWER = {
    "id": "c", "object": "chat.completion", "created": 1, "model": "m",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hello"}}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}  # fmt: skip
CODE = """
import openai
answer = openai.OpenAI().chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])
result = answer.choices[0].message.content
"""


async def test_a_block_calls_its_model_with_no_word_about_the_gateway() -> None:
    seen: list[bytes] = []

    @contextlib.asynccontextmanager
    async def egress(listener: socket.socket) -> AsyncIterator[None]:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            head = await reader.readuntil(b"\r\n\r\n")
            seen.append(head)
            body = json.dumps(ANSWER).encode()
            length = str(len(body)).encode()
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: " + length)
            writer.write(b"\r\nconnection: close\r\n\r\n" + body)
            await writer.drain()
            writer.close()

        async with await asyncio.start_server(serve, sock=listener):
            yield

    sandbox = ProcessSandbox(NATIVE)
    environment = {"OPENAI_BASE_URL": "http://127.0.0.1:{port}/v1", "OPENAI_API_KEY": "capability-of-the-run"}
    job = Job("r", (Block("python", "call", CODE),), {}, environment=environment, wants_egress=True)
    try:
        outcome = await sandbox.run(job, egress)
    except SandboxUnavailableError as error:
        pytest.skip(error.detail)
    finally:
        await sandbox.close()
    assert outcome.blocks[0].status is BlockStatus.OK, outcome
    assert outcome.result_json == b'"hello"'
    assert seen[0].startswith(b"POST /v1/chat/completions HTTP/1.1\r\n")
    assert b"Bearer capability-of-the-run" in seen[0]
