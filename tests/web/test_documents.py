"""A document comes as Markdown, as a form or as JSON; anything unclear is refused with its reason."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.web.fakes import House, build

from macroslow.errors import BadRequestError
from macroslow.web.forms import MAX_PARTS, parse_form

FORM = "multipart/form-data; boundary=XX"


@pytest.fixture
async def house() -> House:
    return await build()


def form(*parts: tuple[str, bytes], boundary: str = "XX", end: str = "--\r\n") -> bytes:
    body = b""
    for name, content in parts:
        disposition = f'content-disposition: form-data; name="{name}"; filename="f"'
        body += f"--{boundary}\r\n{disposition}\r\n\r\n".encode() + content + b"\r\n"
    return body + f"--{boundary}{end}".encode()


async def test_markdown_arrives_byte_for_byte(house: House) -> None:
    raw = b"---\r\nid: \xff\x00\n---\n"
    answer = await house.ask("POST", "/execute", body=raw, content_type="text/markdown; charset=utf-8")
    assert answer.status == 200
    assert answer.json["request_id"] == answer.headers["x-request-id"]
    (submission,) = house.seen.submissions
    assert (submission.raw, submission.inputs, submission.wants_signature) == (raw, None, False)


async def test_a_form_brings_document_and_inputs(house: House) -> None:
    body = form(("document", b"a\r\n--X\r\nb"), ("inputs", b'{"n": 1}'))
    assert (await house.ask("POST", "/validate", body=body, content_type=FORM)).status == 200
    (submission,) = house.seen.submissions
    assert (submission.raw, submission.inputs) == (b"a\r\n--X\r\nb", {"n": 1})


async def test_json_brings_document_and_inputs(house: House) -> None:
    body = '{"document": "---\\nø", "inputs": {"n": [1]}}'.encode()
    answer = await house.ask("POST", "/execute", body=body, headers=[("x-macroslow-sign", "true")])
    assert answer.status == 200
    (submission,) = house.seen.submissions
    assert (submission.raw, submission.inputs, submission.wants_signature) == (
        "---\nø".encode(),
        {"n": [1]},
        True,
    )


async def test_a_large_body_is_read_all_the_same(house: House) -> None:
    document = b"x" * 1_000_000
    assert (
        await house.ask("POST", "/execute", body=form(("document", document)), content_type=FORM)
    ).status == 200
    assert house.seen.submissions[0].raw == document


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"x"',
        b"{}",
        b"{",
        b"\xff",
        b'{"document": 1}',
        b'{"document": "x", "inputs": []}',
        b'{"document": "x", "extra": 1}',
        b'{"document": "x", "inputs": "{}"}',
        b"[" * 5000,
        b'{"document": "\\ud800"}',
    ],
)
async def test_unclear_json_is_a_bad_request(body: bytes, house: House) -> None:
    answer = await house.ask("POST", "/execute", body=body or b" ")
    assert (answer.status, answer.json["step"]) == (400, "parse")
    assert not house.seen.submissions


@pytest.mark.parametrize(
    "body",
    [
        b"x",
        form(),
        form(("inputs", b"{}")),
        form(("document", b"x"), ("document", b"y")),
        form(("document", b"x"), ("other", b"y")),
        form(("document", b"x"), ("inputs", b"{")),
        form(("document", b"x"), ("inputs", b"[]")),
        form(("document", b"x"), end=""),
        form(("", b"x")),
        form(*[(f"p{number}", b"") for number in range(MAX_PARTS + 1)]),
        form(("document", b"x"), boundary="YY"),
        b"--XX\r\n\r\nx\r\n--XX--\r\n",
        b"--XX\r\n" + b"a: b\r\n" * 1000 + b"\r\nx\r\n--XX--\r\n",
        b"--XX\r\na: " + b"b" * 10_000 + b"\r\n\r\nx\r\n--XX--\r\n",
        b"--XX\r\n" * 10_000,
        b"\r\n" * 30_000,
    ],
)
async def test_an_unclear_form_is_a_bad_request(body: bytes, house: House) -> None:
    answer = await house.ask("POST", "/execute", body=body, content_type=FORM)
    assert (answer.status, answer.json["step"]) == (400, "parse")
    assert not house.seen.submissions


@pytest.mark.parametrize(
    "content_type",
    ["multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=" + "x" * 71],
)
async def test_a_form_without_a_usable_boundary_is_refused(content_type: str, house: House) -> None:
    answer = await house.ask("POST", "/execute", body=form(("document", b"x")), content_type=content_type)
    assert answer.status == 400


async def test_a_document_in_another_encoding_is_refused(house: House) -> None:
    answer = await house.ask("POST", "/execute", body=b"x", content_type="text/markdown; charset=latin-1")
    assert answer.status == 415


@given(st.binary(max_size=300))
def test_no_bytes_break_the_form_parser(body: bytes) -> None:
    with suppress(BadRequestError):
        parse_form(FORM.encode(), body)


@given(st.dictionaries(st.text("abcdef", min_size=1), st.binary(max_size=200), max_size=MAX_PARTS))
def test_a_form_gives_back_what_was_put_in(parts: dict[str, bytes]) -> None:
    if any(b"--XX" in content for content in parts.values()) or not parts:
        return
    assert parse_form(FORM.encode(), form(*parts.items())) == parts
