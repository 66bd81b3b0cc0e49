"""Errors of other servers, whose texts may be the servers' own: cleaned before anybody reads or logs them."""

from typing import TypeVar

from macroslow.errors import MacroslowError
from macroslow.mcp.clean_text import one_line

E = TypeVar("E", bound=MacroslowError)


def cleaned(error: E) -> E:
    """The same error; what it says is clean, and on one line each."""
    error.detail, error.reason, error.fix = map(one_line, (error.detail, error.reason, error.fix))
    error.args = (error.detail,)
    return error
