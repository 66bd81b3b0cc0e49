"""The limits as the providers' headers tell them.

Sources: OpenAI, "Rate limits", section "Rate limits in headers"; Anthropic, "Rate limits", section
"Response headers" (times as RFC 3339).
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

from macroslow.emulator.limits.meter import Kind, View
from macroslow.ports import NS_PER_MS, NS_PER_S

Headers = list[tuple[bytes, bytes]]
Views = Mapping[Kind, View]


def openai_headers(views: Views) -> Headers:
    """`x-ratelimit-…`: requests and tokens of a minute; where no minute is limited, requests of a day."""
    shown = {
        "requests": views.get(Kind.REQUESTS) or views.get(Kind.REQUESTS_A_DAY),
        "tokens": views.get(Kind.TOKENS),
    }
    return [
        (f"x-ratelimit-{what}-{name}".encode(), str(value).encode())
        for name, view in shown.items()
        if view is not None
        for what, value in (
            ("limit", view.count),
            ("remaining", view.remaining),
            ("reset", duration(view.reset_ns)),
        )
    ]


def anthropic_headers(views: Views) -> Headers:
    """`anthropic-ratelimit-…`. Where only input and output are limited, `tokens` is their sum."""
    shown = {
        "requests": views.get(Kind.REQUESTS) or views.get(Kind.REQUESTS_A_DAY),
        "tokens": views.get(Kind.TOKENS) or _sum(views),
        "input-tokens": views.get(Kind.INPUT_TOKENS),
        "output-tokens": views.get(Kind.OUTPUT_TOKENS),
    }
    return [
        (f"anthropic-ratelimit-{name}-{what}".encode(), str(value).encode())
        for name, view in shown.items()
        if view is not None
        for what, value in (
            ("limit", view.count),
            ("remaining", view.remaining),
            ("reset", moment(view.reset_at_ns)),
        )
    ]


def _sum(views: Views) -> View | None:
    parts = [views[kind] for kind in (Kind.INPUT_TOKENS, Kind.OUTPUT_TOKENS) if kind in views]
    if not parts:
        return None
    last = max(parts, key=lambda view: view.reset_ns)
    return replace(
        last, count=sum(view.count for view in parts), remaining=sum(view.remaining for view in parts)
    )


def duration(time_ns: int) -> str:
    """A time as OpenAI's headers write it: "0s", "12ms", "8.64s", "6m0s", "1h0m30s"; rounded up to ms."""
    total_ms = -(-time_ns // NS_PER_MS)
    if 0 < total_ms < 1000:
        return f"{total_ms}ms"
    total_s, ms = divmod(total_ms, 1000)
    minutes, seconds = divmod(total_s, 60)
    hours, minutes = divmod(minutes, 60)
    fraction = f".{ms:03}".rstrip("0") if ms else ""
    larger = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
    return f"{larger}{seconds}{fraction}s"


def moment(time_ns: int) -> str:
    """A point in time as Anthropic's headers write it: RFC 3339 in UTC, rounded up to a second."""
    return f"{datetime.fromtimestamp(-(-time_ns // NS_PER_S), UTC):%Y-%m-%dT%H:%M:%SZ}"


def waiting(wait_ns: int) -> tuple[tuple[bytes, bytes], ...]:
    """`retry-after-ms`, and `retry-after` in whole seconds; both rounded up."""
    wait_ms = -(-wait_ns // NS_PER_MS)
    return (
        (b"retry-after-ms", str(wait_ms).encode()),
        (b"retry-after", str(-(-wait_ms // 1000)).encode()),
    )
