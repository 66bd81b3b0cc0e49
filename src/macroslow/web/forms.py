"""multipart/form-data (RFC 7578) from a body already read, bounded in every direction.

python-multipart does the parsing; this collects its parts under caps, so that a body of thousands
of tiny parts or headers ends early. Everything here comes from an adversary.
"""

from dataclasses import dataclass, field
from typing import Final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from macroslow.errors import BadRequestError

MAX_PARTS: Final = 8
MAX_HEADERS_PER_PART: Final = 8
MAX_HEADER_BYTES: Final = 2048
MAX_BOUNDARY_BYTES: Final = 70  # RFC 2046 section 5.1.1


def parse_form(content_type: bytes, body: bytes) -> dict[str, bytes]:
    """Return the parts by name. Raises BadRequestError for anything unclear, twofold names included."""
    boundary = parse_options_header(content_type)[1].get(b"boundary", b"")
    if not 1 <= len(boundary) <= MAX_BOUNDARY_BYTES:
        raise BadRequestError("the multipart body has no usable boundary", step="parse")
    parts = _Parts()
    parser = MultipartParser(
        boundary,
        {
            "on_part_begin": parts.begin,
            "on_part_data": parts.data,
            "on_part_end": parts.end,
            "on_header_field": parts.header_name,
            "on_header_value": parts.header_value,
            "on_header_end": parts.header_end,
            "on_end": parts.finish,
        },
        max_header_count=MAX_HEADERS_PER_PART,
        max_header_size=MAX_HEADER_BYTES,
    )
    try:
        parser.write(body)
        parser.finalize()
    except FormParserError:
        raise BadRequestError("the multipart body is malformed", step="parse") from None
    if not parts.finished:
        raise BadRequestError("the multipart body ends before its last boundary", step="parse")
    return parts.done


@dataclass(slots=True)
class _Parts:
    """What the parser's callbacks gather."""

    done: dict[str, bytes] = field(default_factory=dict)
    finished: bool = False
    _name: bytes = b""
    _value: bytes = b""
    _disposition: bytes = b""
    _chunks: list[bytes] = field(default_factory=list)
    _begun: int = 0

    def begin(self) -> None:
        self._begun += 1
        if self._begun > MAX_PARTS:
            raise BadRequestError(f"the multipart body has more than {MAX_PARTS} parts", step="parse")
        self._disposition, self._chunks = b"", []

    def header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def header_end(self) -> None:
        if self._name.lower() == b"content-disposition":
            self._disposition = self._value
        self._name = self._value = b""

    def data(self, data: bytes, start: int, end: int) -> None:
        self._chunks.append(data[start:end])

    def end(self) -> None:
        kind, options = parse_options_header(self._disposition)
        name = options.get(b"name", b"").decode("latin-1")
        if kind != b"form-data" or not name:
            raise BadRequestError("a part of the multipart body has no name", step="parse")
        if name in self.done:
            raise BadRequestError(f"the part {name!r} is there twice", step="parse")
        self.done[name] = b"".join(self._chunks)

    def finish(self) -> None:
        self.finished = True
