"""Why a credential is no good: told apart for the log, and all alike for whoever showed it."""

import enum
from typing import Final

from macroslow.errors import CredentialError

STEP: Final = "authenticate"
"""The step of a request in which these are refused."""
MISSING_DETAIL: Final = "no credential given: send a client key as `x-api-key` or as `Authorization: Bearer`"
BAD_DETAIL: Final = "the credential is not valid"
BAD_FIX: Final = "ask the operator for one: macroslow keys create NAME; or renew the token"
"""One repair for all, or it would tell one bad credential from another."""


class Refusal(enum.StrEnum):
    """Why a credential was refused. For the log and the metrics, never for the caller."""

    MISSING = "credential-missing"
    MALFORMED = "credential-malformed"
    UNKNOWN = "credential-unknown"
    WRONG_SECRET = "credential-wrong-secret"  # noqa: S105 - a word for the log
    EXPIRED = "credential-expired"
    REVOKED = "credential-revoked"
    MAKER = "credential-maker-ended"
    ROTATED = "credential-rotated"
    ADDRESS = "credential-address"
    AMBIGUOUS = "credential-ambiguous"
    WITHDRAWN = "credential-withdrawn"  # it ended while a request of its was under way
    OTHER_KIND = "credential-other-kind"
    IN_QUERY = "credential-in-query"
    ADMINISTRATIVE = "credential-administrative"


def no_credential() -> CredentialError:
    """The error where none is given."""
    return CredentialError(MISSING_DETAIL, step=STEP, reason=Refusal.MISSING)


def bad_credential(reason: str, *, principal: str = "", key_id: str = "") -> CredentialError:
    """The error of every credential that is given and no good; what is said of it is for the log alone.

    `reason` is a Refusal, or "jwt-" and the step of a token's check. `key_id` is of the key that it names;
    `principal` is whose key it is, where who shows it has proved to have it.
    """
    return CredentialError(
        BAD_DETAIL, fix=BAD_FIX, step=STEP, reason=reason, principal=principal, key_id=key_id
    )
