"""The server's own log as JSON: one object a line, whatever is logged."""

import json
import logging
import sys
from datetime import datetime

from macroslow.cli.console.logging import JSONFormatter


def told(message: str, *values: object, **more: object) -> dict[str, object]:
    logger = logging.getLogger("macroslow.test")
    record = logger.makeRecord(logger.name, logging.WARNING, __file__, 1, message, values, None, extra=more)
    line = JSONFormatter().format(record)
    assert "\n" not in line
    found: dict[str, object] = json.loads(line)
    return found


def test_a_line_has_time_level_logger_and_message():
    found = told("%s left\nfor %d s", "ada", 3)
    assert datetime.fromisoformat(str(found.pop("time"))).utcoffset() is not None
    assert found == {"level": "warning", "logger": "macroslow.test", "message": "ada left\nfor 3 s"}


def test_a_security_event_is_an_object_of_its_own():
    event = {"verdict": "refused", "reason": "missing-scope", "status": 403}
    assert told("refused", security=event)["security"] == event


def test_what_json_cannot_hold_is_written_as_text():
    assert told("x", security={"odd": {1}})["security"] == {"odd": "{1}"}


def test_a_traceback_is_one_member():
    try:
        raise ValueError("no")
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, __file__, 1, "failed", (), sys.exc_info())
    assert "ValueError: no" in json.loads(JSONFormatter().format(record))["traceback"]
