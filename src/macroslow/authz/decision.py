"""The decisions: whether a credential has a scope, and whether document, caller and operator cover a URI.

Patterns of different parties are never intersected; each is asked about the same concrete URI.
No list means no right.
"""

import enum
from collections.abc import Container, Iterable
from dataclasses import dataclass

from macroslow.authz.uri import URI, Pattern, any_covers
from macroslow.errors import MissingScopeError


def require_scope(scopes: Container[str], scope: str) -> None:
    """Raise MissingScopeError unless a credential with `scopes` has `scope`."""
    if scope not in scopes:
        raise MissingScopeError(
            f"the credential lacks the scope {scope}",
            scope=scope,
            fix=f"ask the operator for a key that has it: macroslow keys create NAME --scope {scope}",
        )


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
