"""The tool for one's own spending: what GET /v1/usage answers."""

from typing import Final

from macroslow.authz import scopes
from macroslow.mcp.tools.tool import (
    READS,
    TEXT,
    TIME,
    TOKENS,
    USD_MICROS,
    Schema,
    Tool,
    closed,
    list_of,
    maybe,
    text,
    whole,
)

_DAY: Final[Schema] = {"type": "string", "format": "date", "maxLength": 40}


def _rows(group: str) -> Schema:
    return list_of(
        closed(
            {
                group: TEXT,
                "calls": whole("Model calls."),
                "input_tokens": TOKENS,
                "output_tokens": TOKENS,
                "usd_micros": USD_MICROS,
            }
        )
    )


USAGE: Final = Tool(
    "usage",
    "See your own spending",
    "What you have spent and may still spend, in millionths of a US dollar: by model, day and tag, and every"
    " budget that binds you with what is left of it. Use it before something dear, or when a call was refused"
    " for its budget. Costs nothing. Days are those of UTC, both ends inclusive; from the first of this month"
    " if no day is given.",
    scopes.USAGE_READ,
    READS,
    closed(
        {
            "from": {**_DAY, "description": "First day: 2026-01-31."},
            "to": {**_DAY, "description": "Last day."},
        },
        "from",
        "to",
    ),
    closed(
        {
            "principal": TEXT,
            "from": text("A day."),
            "to": maybe(text("A day.")),
            "usd_micros": USD_MICROS,
            "by_model": _rows("model"),
            "by_day": _rows("day"),
            "by_tag": _rows("tag"),
            "budgets": list_of(
                closed(
                    {
                        "budget": TEXT,
                        "limit_usd_micros": maybe(USD_MICROS),
                        "spent_usd_micros": USD_MICROS,
                        "held_usd_micros": whole("What calls under way may cost at most."),
                        "left_usd_micros": {"type": ["integer", "null"]},
                        "resets_at": maybe(TIME),
                    }
                )
            ),
        }
    ),
)

SPENDING_TOOLS: Final = (USAGE,)
