"""What went wrong with another MCP server, in the tree's errors and in the same words on every wire."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from macroslow.errors import TooLargeError, UpstreamRefusedError, UpstreamUnavailableError
from macroslow.mcp.client.rpc import NoAnswerError, RPCError, WantsInputError

NO_STATUS: Final = 0  # of a refusal inside the protocol: its codes are no status


@contextmanager
def in_words_of_the_port(name: str) -> Iterator[None]:
    """Say of the server `name` what was raised about its messages."""
    try:
        yield
    except NoAnswerError as error:
        raise unavailable(name, f"gave no answer: {error}") from None
    except WantsInputError:
        raise refused(name, "asks for further input, which this gateway does not pass on") from None
    except RPCError as error:
        raise refused(name, f"refused: {error.message or f'error {error.code}'}") from None


def unavailable(name: str, how: str, *, retry_after_s: float | None = None) -> UpstreamUnavailableError:
    """It could not be reached, broke off, took too long, or gave no answer. `how` goes on after its name."""
    return UpstreamUnavailableError(
        f"the MCP server {name} {how}", upstream=name, retry_after_s=retry_after_s
    )


def refused(name: str, how: str, *, status: int = NO_STATUS, fix: str = "") -> UpstreamRefusedError:
    """It answered, and did not do what it was asked. `status` is that of HTTP, where it tells why."""
    return UpstreamRefusedError(f"the MCP server {name} {how}", upstream=name, status=status, fix=fix)


def too_large(name: str, limit_bytes: int) -> TooLargeError:
    """Its answer is larger than the operator allows."""
    return TooLargeError(
        f"the answer of the MCP server {name} is larger than {limit_bytes} bytes",
        limit_bytes=limit_bytes,
        fix="ask it for less at once",
        step="upstream",
    )
