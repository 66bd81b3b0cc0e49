"""Time stamps of a third party (RFC 3161), as the library has them; an extra of the package."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NewType

from cryptography import x509
from rfc3161_client import HashAlgorithm, TimestampRequestBuilder, VerifierBuilder, decode_timestamp_response
from rfc3161_client.errors import VerificationError as _Refused

_CERTIFICATE: Final = re.compile(r'Verify error: ([^"]{1,100})"')

Certificate = NewType("Certificate", object)
"""One certificate of the library's own kind."""


@dataclass(frozen=True, slots=True)
class Query:
    """A request in DER, and the nonce that its response repeats."""

    der: bytes
    nonce: int


def certificates(pem: bytes) -> Sequence[Certificate]:
    """Return the certificates of a PEM file; ValueError if there is none."""
    return [Certificate(each) for each in x509.load_pem_x509_certificates(pem)]


def query(message: bytes) -> Query:
    """Return a request for a stamp over SHA-256 of `message`, certificate included."""
    request = TimestampRequestBuilder(message, HashAlgorithm.SHA256, nonce=True, cert_req=True).build()
    if request.nonce is None:
        raise AssertionError("a nonce was asked for")
    return Query(request.as_bytes(), request.nonce)


def verify(response: bytes, message: bytes, roots: Sequence[Certificate], nonce: int | None) -> int:
    """Return the time (in seconds) at which the stamp says that `message` was there; else ValueError.

    The response is one that was granted, over a digest of `message`, signed with a certificate for time
    stamps alone that leads to one of `roots` and was valid at that time, and repeats `nonce` if there is one.
    """
    verifier = VerifierBuilder(roots=list(roots), nonce=nonce).build()  # type: ignore[arg-type]
    try:
        parsed = decode_timestamp_response(response)
    except ValueError:  # in the words of a parser
        raise ValueError("it is no response of an authority") from None
    if parsed.status:
        raise ValueError(f"the authority refused to give one (status {parsed.status})")
    try:
        verifier.verify_message(parsed, message)
    except _Refused as error:
        raise ValueError(_told(str(error))) from None
    return int(parsed.tst_info.gen_time.timestamp())


def _told(refusal: str) -> str:
    """What the library refused, in a few words: it hands on the whole stack of errors of another one."""
    if not refusal.startswith("Error while verifying certificates"):
        return refusal
    found = _CERTIFICATE.search(refusal)
    return (
        f"its certificate is refused ({found[1]})"
        if found
        else "its signature is not that of its certificate"
    )
