"""Where a call stands in its caller's trace, and what is told of it afterwards.

Of what a client sends only ids come in, which say nothing by themselves and which nothing relies on;
`tracestate` is not read. A span holds facts about a call, never its content.

Source: W3C Trace Context, level 1, section 3.2 (traceparent); OpenTelemetry trace API (span).
"""

import re
from collections.abc import Mapping
from typing import Final

from macroslow.values import value

SAMPLED: Final = 1
_FIELDS: Final = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-[!-~]{0,256})?")


@value
class TraceParent:
    """Ids in lower-case hexadecimal: 32 digits of the trace, 16 of the span; neither is all zeros."""

    trace_id: str
    span_id: str
    sampled: bool

    @property
    def header(self) -> str:
        """As it is sent on."""
        return f"00-{self.trace_id}-{self.span_id}-{int(self.sampled):02x}"


def read_traceparent(raw: bytes | None) -> TraceParent | None:
    """What a client sent. None for nothing, and for whatever is not one: that begins a trace of its own.

    A version above 00 may have more fields, which are not read (section 3.2.2, "Versioning").
    """
    found = None if raw is None else _FIELDS.fullmatch(raw)
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    if version == b"ff" or (version == b"00" and more is not None):
        return None
    if not trace_id.strip(b"0") or not span_id.strip(b"0"):
        return None
    return TraceParent(trace_id.decode("ascii"), span_id.decode("ascii"), bool(int(flags, 16) & SAMPLED))


@value
class Span:
    """One piece of work that was asked of another machine, now over; times since 1970.

    `parent_span_id` is empty where the trace begins here. `error` is its type, empty for none.
    """

    trace_id: str
    span_id: str
    parent_span_id: str
    name: str
    start_ns: int
    end_ns: int
    attributes: Mapping[str, str | int | float | bool]
    error: str = ""
