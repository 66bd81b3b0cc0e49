"""The server's own log on stderr: lines for people, or one JSON object a line for a collector."""

import logging
import sys
from datetime import UTC, datetime
from typing import Final, Literal

import orjson

_TEXT: Final = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class JSONFormatter(logging.Formatter):
    """One object: `time` (RFC 3339, UTC), `level`, `logger`, `message`, and what the record carries.

    A security event's fields stand under `security`; a traceback, where there is one, under `traceback`.
    """

    def format(self, record: logging.LogRecord) -> str:
        told: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if (event := getattr(record, "security", None)) is not None:
            told["security"] = event
        if record.exc_info:
            told["traceback"] = self.formatException(record.exc_info)
        return orjson.dumps(told, default=str).decode()


def log_to_stderr(level: str, form: Literal["text", "json"]) -> None:
    """Send what the process logs to stderr, from now on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JSONFormatter() if form == "json" else logging.Formatter(_TEXT))
    logging.basicConfig(level=level.upper(), handlers=[handler])
    logging.getLogger("mcp").setLevel(logging.WARNING)  # it tells of every request
