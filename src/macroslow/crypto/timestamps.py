"""Time stamps: a third party's signed word that some bytes were there at some time (RFC 3161).

Which authorities are believed is the reader's to say, by their root certificates. Needs the extra
`timestamps` of the package, so it is imported where it is asked for alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from macroslow.crypto.hazmat import rfc3161
from macroslow.crypto.hazmat.rfc3161 import Query
from macroslow.errors import BadRequestError, VerificationError

MAX_RESPONSE_BYTES: Final = 64 * 1024  # with a chain of RSA certificates it has 6 KiB
MAX_ROOTS_BYTES: Final = 1024 * 1024  # a system's whole bundle has 220 KiB
MAX_AHEAD_S: Final = 300  # of a stamp before the reader's clock: clocks differ

__all__ = ["MAX_RESPONSE_BYTES", "MAX_ROOTS_BYTES", "Authorities", "Query", "query"]


@dataclass(frozen=True, slots=True)
class Authorities:
    """Those whose time stamps are believed: whoever has a certificate for it under one of these roots."""

    _roots: Sequence[rfc3161.Certificate] = field(repr=False)

    @classmethod
    def from_pem(cls, pem: bytes) -> "Authorities":
        """Read root certificates; BadRequestError if there is none."""
        try:
            if len(pem) > MAX_ROOTS_BYTES:
                raise ValueError("the file is too long")
            return cls(rfc3161.certificates(pem))
        except ValueError:
            raise BadRequestError(
                "this is not a file of root certificates",
                fix="the authority publishes its root certificate: bring it in PEM",
            ) from None

    def verify(self, response: bytes, message: bytes, nonce: int | None = None, *, now_s: int) -> int:
        """Return the time of the stamp over `message` in seconds; else VerificationError.

        `response` is the whole answer of an authority, which may be an adversary's; `nonce` is that of
        the request, where one knows it. `now_s` is the time by the reader's clock: a stamp from the future
        proves nothing.
        """
        try:
            if len(response) > MAX_RESPONSE_BYTES:
                raise ValueError("it is larger than any we accept")
            stamped_s = rfc3161.verify(response, message, self._roots, nonce)
        except ValueError as error:
            raise VerificationError(f"the time stamp does not verify: {error}") from None
        if stamped_s > now_s + MAX_AHEAD_S:
            ahead_s = stamped_s - now_s
            raise VerificationError(
                f"the time stamp lies in the future: {ahead_s:,} s ahead of the clock here"
            )
        return stamped_s


def query(message: bytes) -> Query:
    """Return the request for a time stamp over SHA-256 of `message`, with a fresh nonce."""
    return rfc3161.query(message)
