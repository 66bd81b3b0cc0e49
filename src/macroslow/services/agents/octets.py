"""Arguments as the bytes that use cases take."""

from collections.abc import Mapping

import orjson

from macroslow.errors import BadRequestError


def octets(given: str | Mapping[str, object]) -> bytes:
    """A text in UTF-8, an object as JSON. BadRequestError for what is no text."""
    try:
        return given.encode() if isinstance(given, str) else orjson.dumps(given)
    except (UnicodeEncodeError, orjson.JSONEncodeError):
        raise BadRequestError(
            "there is half of a surrogate pair in it: it is no text",
            fix="send the whole character, or leave it out",
        ) from None
