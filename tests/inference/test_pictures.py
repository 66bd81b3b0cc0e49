"""Sizes of pictures from their first bytes: true ones, cut ones, lying ones."""

import base64
import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from macroslow.inference.pictures import MAX_SIDE_PX, at_url, in_base64
from macroslow.inference.shapes import UnfitError
from macroslow.metering.images import Image


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IEND", b"")


def gif_screen(width: int, height: int, flags: int = 0) -> bytes:
    return b"GIF89a" + struct.pack("<HHBBB", width, height, flags, 0, 0)


def gif_frame(left: int, top: int, width: int, height: int) -> bytes:
    return struct.pack("<BHHHHB", 0x2C, left, top, width, height, 0) + b"\x02\x01\x00\x00"


def gif_extension(label: int, *blocks: bytes) -> bytes:
    return bytes((0x21, label)) + b"".join(bytes((len(data),)) + data for data in (*blocks, b""))


def gif(width: int, height: int) -> bytes:
    return gif_screen(width, height) + gif_frame(0, 0, width, height) + b";"


def segment(marker: int, data: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data


def jpeg(width: int, height: int, *before: bytes, frame: int = 0xC0) -> bytes:
    size = struct.pack(">BHHB", 8, height, width, 1) + b"\x01\x11\x00"
    return b"\xff\xd8" + b"".join(before) + segment(frame, size) + segment(0xDA, b"\x00" * 6) + b"\xff\xd9"


def riff(kind: bytes, data: bytes) -> bytes:
    inner = b"WEBP" + kind + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(inner)) + inner


def webp(width: int, height: int) -> bytes:
    return riff(b"VP8 ", b"\x10\x00\x00\x9d\x01\x2a" + struct.pack("<HH", width, height) + b"\x00" * 8)


def webp_lossless(width: int, height: int) -> bytes:
    return riff(b"VP8L", b"\x2f" + struct.pack("<I", (height - 1) << 14 | (width - 1)) + b"\x00" * 8)


def webp_extended(width: int, height: int) -> bytes:
    sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return riff(b"VP8X", b"\x00" * 4 + sides + b"\x00" * 8)


def url(file: bytes, kind: str = "png") -> str:
    return f"data:image/{kind};base64," + base64.b64encode(file).decode()


MAKERS = [png, gif, jpeg, webp, webp_lossless, webp_extended]


@pytest.mark.parametrize("make", MAKERS)
@settings(max_examples=25)
@given(width=st.integers(1, 16_383), height=st.integers(1, 16_383))
def test_the_size_of_a_picture_is_read_from_its_header(make, width, height):
    assert at_url(url(make(width, height)), "low") == Image(width, height, "low")


@pytest.mark.parametrize(("make", "format_name"), [(png, "PNG"), (gif, "GIF"), (jpeg, "JPEG")])
def test_what_is_said_of_a_picture_does_not_decide_how_it_is_read(make, format_name):
    assert at_url(url(make(7, 9), "webp")) == Image(7, 9), format_name


@pytest.mark.parametrize("marker", [0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xCB, 0xCF])
def test_every_frame_of_jpeg_has_its_size(marker):
    assert at_url(url(jpeg(31, 17, frame=marker))) == Image(31, 17)


def test_what_stands_before_the_frame_of_a_jpeg_is_passed_over():
    thumbnail = segment(0xE1, b"Exif\x00\x00" + jpeg(160, 120))
    before = (thumbnail, segment(0xC4, b"\x00" * 20), b"\xff\xff\xff", segment(0xDB, b"\x00" * 60000))
    assert at_url(url(jpeg(4000, 3000, *before))) == Image(4000, 3000)


def test_a_frame_that_is_far_behind_leaves_the_size_open():
    far = [segment(0xE2, b"\x00" * 60_000)] * 20
    assert at_url(url(jpeg(4000, 3000, *far))) == Image(None, None)


@pytest.mark.parametrize("make", MAKERS)
def test_a_picture_that_is_cut_within_its_header_is_refused(make):
    whole = make(640, 480)
    header_bytes = {png: 24, gif: 13, jpeg: 11, webp: 30, webp_lossless: 25, webp_extended: 30}[make]
    for kept in range(header_bytes):
        with pytest.raises(UnfitError):
            at_url(url(whole[:kept]))
    if make is not gif:
        assert at_url(url(whole[:header_bytes])) == Image(640, 480)


CONTROL = gif_extension(0xF9, b"\x04\x0a\x00\x00")
COMMENT = gif_extension(0xFE, *[b"," * 255] * 300)  # each is what a frame begins with


@pytest.mark.parametrize(
    "before",
    [
        gif_screen(1, 1),
        gif_screen(1, 1, 0x87) + b"," * 768,
        gif_screen(1, 1, 0x80) + b"," * 6 + CONTROL,
        gif_screen(1, 1, 0x07) + gif_extension(0xFF, b"NETSCAPE2.0", b"\x01\x00\x00") + CONTROL,
        gif_screen(1, 1) + COMMENT + CONTROL,
        gif_screen(1, 1) + gif_extension(0xFE) * 200,
    ],
    ids=["alone", "colours", "control", "application", "comment", "empty"],
)
def test_the_first_frame_of_a_gif_enlarges_its_screen(before):
    assert at_url(url(before + gif_frame(5, 6, 4000, 3000) + b";")) == Image(4005, 3006)


@settings(max_examples=50)
@given(*[st.integers(1, 30_000)] * 6)
def test_the_size_of_a_gif_holds_its_screen_and_its_frame(width, height, left, top, wide, high):
    file = gif_screen(width, height) + gif_frame(left, top, wide, high)
    assert at_url(url(file)) == Image(max(width, left + wide), max(height, top + high))


@pytest.mark.parametrize(
    "rest",
    [
        b"",
        b";" + gif_frame(0, 0, 9, 9),
        b"\x00" + gif_frame(0, 0, 9, 9),
        gif_frame(0, 0, 9, 9)[:8],
        CONTROL[:-1],
        gif_extension(0xFE) * 9000 + gif_frame(0, 0, 9, 9),
        COMMENT * 20 + gif_frame(0, 0, 9, 9),
    ],
    ids=range(7),
)
def test_a_gif_whose_first_frame_is_not_found_has_a_size_that_nobody_knows(rest):
    assert at_url(url(gif_screen(1, 1) + rest)) == Image(None, None)


@pytest.mark.parametrize(
    "file",
    [
        png(0, 10),
        png(10, 0),
        png(MAX_SIDE_PX + 1, 10),
        png(2**31, 2**31),
        gif(0, 1),
        gif_screen(1, 1) + gif_frame(MAX_SIDE_PX, 0, 1, 1),
        jpeg(0, 10),
        jpeg(10, 0),
        webp_extended(2**24, 1),
        b"",
        b"\xff\xd8",
        b"\xff\xd8\xff\xda\x00\x02" + b"\x00" * 50,
        b"\xff\xd8" + b"\xff" * 5000,
        b"\xff\xd8" + b"\xff\xe0\x00\x00" * 2000,
        b"\xff\xd8\x00\x00" * 9,
        b"%PDF-1.7" + b"\x00" * 2000,
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"BM" + b"\x00" * 60,
        b"RIFF\x00\x00\x00\x00WAVE" + b"\x00" * 40,
        b"\x89PNG\r\n\x1a\n" + png_chunk(b"CgBI", b"\x00" * 4) + png(1, 1)[8:],
    ],
    ids=range(20),
)
def test_what_is_no_picture_or_none_that_can_be_is_refused(file):
    with pytest.raises(UnfitError):
        at_url(url(file))


@pytest.mark.parametrize(
    "address",
    [
        "",
        "x",
        "http://example.org/a.png",
        "file:///etc/passwd",
        "https://",
        "https://example.org/a b.png",
        "https://example.org/\n",
        "https://exämple.org/a.png",
        "https://example.org/" + "x" * 9000,
        "data:image/png,%89PNG",
        "data:image/svg+xml;base64,PHN2Zy8+",
        "data:application/pdf;base64,JVBERi0=",
        "data:image/png;base64,",
        "data:image/png;base64,@@@@",
        "data:image/png;base64,iVBORw0K\n",
        "data:image/png;base64,iVBORw0KGgo\u0130",
        "data:image/png;base64,=",
        " " + url(png(1, 1)),
    ],
)
def test_what_is_no_address_of_a_picture_is_refused(address):
    with pytest.raises(UnfitError):
        at_url(address)


def test_a_picture_elsewhere_has_a_size_that_nobody_knows():
    assert at_url("https://example.org/a.png?w=1", "high") == Image(None, None, "high")


@settings(max_examples=100)
@given(st.sampled_from([make(9, 9) for make in MAKERS]), st.binary(max_size=40), st.integers(0, 60))
def test_no_bytes_do_more_than_be_refused(file, noise, at):
    noisy = file[:at] + noise + file[at + len(noise) :]
    try:
        image = in_base64(base64.b64encode(noisy).decode())
    except UnfitError:
        return
    assert image.width_px is None or 0 < image.width_px <= MAX_SIDE_PX


def test_only_the_head_of_a_picture_is_looked_at():
    data = base64.b64encode(png(3, 4) + b"\x00" * 2000).decode() + "@" * 1_000_000
    assert in_base64(data) == Image(3, 4)
