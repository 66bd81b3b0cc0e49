"""The decisions: whether a credential has a scope, and whether document, caller and operator cover a URI.

Patterns of different parties are never intersected; each is asked about the same concrete URI.
No list means no right.
"""

import enum
from collections.abc import Iterable
from dataclasses import dataclass

from macroslow.authn.principal import Principal, TokenPrincipal
from macroslow.authn.terms import Terms
from macroslow.authz.scopes import is_client
from macroslow.authz.uri import URI, Pattern, any_covers
from macroslow.errors import MissingScopeError


def require_scope(holder: Terms, scope: str) -> None:
    """Raise MissingScopeError unless `holder`, a caller or a key, has `scope`.

    Its `fix` is for the credential that lacks it: a key has other scopes than those it was made with only
    if the operator makes another, and a token those that the operator gives to words of its claims.
    """
    if scope in holder.scopes:
        return
    credentials = holder.credentials() if isinstance(holder, Principal) else (holder,)
    lacking = [each for each in credentials if scope not in each.scopes] or [holder]
    who = " and the ".join("token" if isinstance(each, TokenPrincipal) else "key" for each in lacking)
    raise MissingScopeError(
        f"the {who} lack{'s' * (len(lacking) == 1)} the scope {scope}",
        scope=scope,
        fix="; ".join(_repair(each, scope) for each in lacking),
    )


def _repair(lacking: Terms, scope: str) -> str:
    if isinstance(lacking, TokenPrincipal) and is_client(scope):
        return (
            "ask the issuer for a token with more rights, or the operator to map one of its words:"
            f' [auth.issuers.{lacking.issuer}] scopes = {{ "WORD" = ["{scope}"] }}'
        )
    return f"ask the operator for a key that has it: macroslow keys create NAME --scope {scope}"


class Party(enum.StrEnum):
    """Who must agree."""

    DOCUMENT = "document"
    CALLER = "caller"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class Decision:
    """The outcome: allowed if `missing` is None, else the first party that does not cover the URI."""

    uri: URI
    missing: Party | None

    @property
    def allowed(self) -> bool:
        return self.missing is None

    @property
    def reason(self) -> str:
        """One sentence for the log and for the person who is refused."""
        match self.missing:
            case None:
                return f"{self.uri} is covered by document, caller and operator"
            case Party.DOCUMENT:
                return f"the document does not ask for {self.uri}"
            case Party.CALLER:
                return f"the caller's credential does not cover {self.uri}"
            case Party.OPERATOR:
                return f"the operator of this gateway does not offer {self.uri}"


def decide(
    uri: URI,
    *,
    document: Iterable[Pattern],
    callers: Iterable[Iterable[Pattern]],
    operator: Iterable[Pattern],
) -> Decision:
    """Decide `uri`. Document, caller and operator are asked in this order; the first to lack it is named.

    `callers` has one list for each credential that the caller came with, and every one must cover `uri`.
    """
    for party, patterns in (
        (Party.DOCUMENT, document),
        *((Party.CALLER, each) for each in callers),
        (Party.OPERATOR, operator),
    ):
        if not any_covers(patterns, uri):
            return Decision(uri, party)
    return Decision(uri, None)
