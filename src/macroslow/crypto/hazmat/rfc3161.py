"""Time stamps of a third party (RFC 3161), as the library has them; an extra of the package."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NewType

from cryptography import x509
from rfc3161_client import HashAlgorithm, TimestampRequestBuilder, VerifierBuilder, decode_timestamp_response
from rfc3161_client.errors import VerificationError as _Refused

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
    builder = VerifierBuilder(roots=list(roots), nonce=nonce)  # type: ignore[arg-type]
    try:
        parsed = decode_timestamp_response(response)
        builder.build().verify_message(parsed, message)
        return int(parsed.tst_info.gen_time.timestamp())
    except _Refused as error:
        raise ValueError(str(error)) from None
