"""The header by which a client asks for the receipt of an answer, and the one that says where it will be.

    request   x-macroslow-receipt: true
    answer    x-macroslow-receipt: /receipts/<request id>

The receipt is there once the answer has ended. A refusal has no entry of its own in the log, and no header.
"""

from collections.abc import Sequence
from typing import Final

from macroslow.errors import BadRequestError
from macroslow.web.messages import Response

HEADER: Final = b"x-macroslow-receipt"


def asks_for_receipt(said: Sequence[bytes]) -> bool:
    """Whether a request with these values of HEADER asks for its receipt; BadRequestError for other words."""
    if said and said != [b"true"]:
        raise BadRequestError(
            f"{HEADER.decode()} says something else than true",
            fix=f"{HEADER.decode()}: true, once; or leave it out",
            step="parse",
        )
    return bool(said)


def receipt_line(request_id: str) -> tuple[bytes, bytes]:
    """The header of an answer whose receipt is kept."""
    return HEADER, b"/receipts/%b" % request_id.encode("ascii")


def pointed(response: Response, request_id: str) -> Response:
    """The response, with the header that says where its receipt will be."""
    response.headers = [*response.headers, receipt_line(request_id)]
    return response
