"""Why a connection ends before there is a request to answer, and what its caller is told last.

HTTP has closer statuses for some of these than the errors have on their own.
"""

import os
from collections.abc import Iterable
from typing import NamedTuple

from macroslow.errors import MacroslowError
from macroslow.web import problems
from macroslow.web.exchange import STATUS_LINES, header_lines
from macroslow.web.visit import REQUEST_ID_BYTES, Visit, complete_headers


class Fault(NamedTuple):
    """What is wrong, and the status by which HTTP says it."""

    status: int
    error: MacroslowError


def last_answer(fault: Fault, common: Iterable[bytes], *, encrypted: bool) -> bytes:
    """A whole response (RFC 9457); then the connection is closed. Every answer has the lines of `common`."""
    visit = Visit(os.urandom(REQUEST_ID_BYTES).hex(), "", 0, encrypted=encrypted)
    own, body = problems.problem(fault.error, fault.status, visit.request_id)
    headers = [*complete_headers(own, visit), (b"content-length", b"%d" % len(body))]
    return b"".join((STATUS_LINES[fault.status], *common, header_lines(headers), b"\r\n", body))
