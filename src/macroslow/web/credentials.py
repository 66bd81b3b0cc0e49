"""Which credentials a request carries: from its headers and its query, before anybody looks at them.

A client key comes as `x-api-key` or as `Authorization: Bearer` (SDKs send it so), a token as Bearer. A
credential of another kind is refused, never ignored, or a caller could believe in a check that nobody makes.
So is one in the URL, even beside a good one: URLs end up in logs and histories.

Source: RFC 6750 section 2.1.
"""

from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl

from macroslow.authn.api_keys import KEY_PREFIX
from macroslow.authn.refusal import Refusal, bad_credential
from macroslow.services.identity.authenticate import Credentials

BEARER: Final = b"bearer "
OTHER_KINDS: Final = frozenset(
    {b"api-key", b"proxy-authorization", b"x-amz-security-token", b"x-auth-token", b"x-goog-api-key"}
)
"""Headers that carry credentials of kinds that are not configured here."""
QUERY_NAMES: Final = frozenset({"access_token", "api-key", "api_key", "apikey", "x-api-key"})
MAX_QUERY_FIELDS: Final = 100


def read_credentials(headers: Mapping[bytes, bytes], query: bytes, address: str) -> Credentials:
    """Return what came from `address`. `headers` are those of `read_framing`: none of these is there twice.

    Raises CredentialError for what is not taken, whoever may be behind it.
    """
    if not OTHER_KINDS.isdisjoint(headers):
        raise bad_credential(Refusal.OTHER_KIND)
    bearer = headers.get(b"authorization")
    if bearer is not None:
        bearer = _bearer(bearer)
    if query:
        _refuse_key_in(query)
    return Credentials(headers.get(b"x-api-key"), bearer, address)


def _bearer(value: bytes) -> bytes:
    """The credential of an Authorization header; the scheme's case is free."""
    if value[:7].lower() != BEARER:
        raise bad_credential(Refusal.OTHER_KIND)
    return value[7:].strip(b" ")


def _refuse_key_in(query: bytes) -> None:
    try:
        fields = parse_qsl(query.decode("latin-1"), keep_blank_values=True, max_num_fields=MAX_QUERY_FIELDS)
    except ValueError:
        raise bad_credential(Refusal.IN_QUERY) from None
    if any(name.lower() in QUERY_NAMES or KEY_PREFIX in name + value for name, value in fields):
        raise bad_credential(Refusal.IN_QUERY)
