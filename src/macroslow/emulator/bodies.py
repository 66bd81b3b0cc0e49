"""JSON from anyone: objects that can be written again, also as a part of what is answered."""

from typing import Any, Final

import orjson

# What has no more of them is not nested deeper than orjson writes (254 levels).
_FLAT_BRACKETS: Final = 200
_ROOM_LEVELS: Final = 8  # that an answer puts around what it repeats


def json_object(raw: bytes) -> dict[str, Any] | None:
    """The JSON object in `raw`; None for anything else, or one nested too deep."""
    try:
        value = orjson.loads(raw)
        if raw.count(b"{") + raw.count(b"[") > _FLAT_BRACKETS:
            wrapped = value
            for _ in range(_ROOM_LEVELS):
                wrapped = [wrapped]
            orjson.dumps(wrapped)
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return None
    return value if isinstance(value, dict) else None
