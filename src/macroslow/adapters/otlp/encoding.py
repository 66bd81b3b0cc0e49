"""Spans as an ExportTraceServiceRequest in JSON.

Ids are hexadecimal, enumerations numbers, 64-bit integers decimal strings.

Source: OTLP specification 1.9, "JSON Protobuf Encoding"; opentelemetry-proto, trace/v1/trace.proto.
"""

from collections.abc import Iterable, Mapping
from typing import Final

import orjson

from macroslow.inference.trace import SAMPLED, Span

SCHEMA_URL: Final = "https://opentelemetry.io/schemas/1.41.0"
_CLIENT: Final = 3  # SPAN_KIND_CLIENT
_ERROR: Final = 2  # STATUS_CODE_ERROR
_PARENT_KNOWN: Final = 0x100  # SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK
_PARENT_REMOTE: Final = 0x200  # SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK

Value = str | int | float | bool


def encode(spans: Iterable[Span], resource: Mapping[str, str]) -> bytes:
    """The body of one request. `resource` says who tells: its service.name and service.version."""
    scope = {"name": "macroslow", "version": resource.get("service.version", "")}
    told = {"scope": scope, "spans": [_span(one) for one in spans], "schemaUrl": SCHEMA_URL}
    from_here = {"resource": {"attributes": _attributes(resource)}, "scopeSpans": [told]}
    return orjson.dumps({"resourceSpans": [from_here]})


def _span(span: Span) -> dict[str, object]:
    remote = _PARENT_REMOTE if span.parent_span_id else 0
    return {
        "traceId": span.trace_id,
        "spanId": span.span_id,
        **({"parentSpanId": span.parent_span_id} if span.parent_span_id else {}),
        "flags": SAMPLED | _PARENT_KNOWN | remote,
        "name": span.name,
        "kind": _CLIENT,
        "startTimeUnixNano": str(span.start_ns),
        "endTimeUnixNano": str(span.end_ns),
        "attributes": _attributes(span.attributes),
        "status": {"code": _ERROR} if span.error else {},
    }


def _attributes(attributes: Mapping[str, Value]) -> list[dict[str, object]]:
    return [{"key": key, "value": _value(value)} for key, value in attributes.items()]


def _value(value: Value) -> dict[str, object]:
    match value:
        case bool():  # before int, which it is too
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value}
        case str():
            return {"stringValue": value}
