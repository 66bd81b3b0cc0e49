"""Why a caller may, or may not, do something: the decisions of a request, taken one by one and told.

The same functions decide here and on the way of a request; only the order of telling is this module's.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from macroslow.authn.api_keys import id_of, is_credential
from macroslow.authn.jwt.check import PRINCIPAL_PREFIX
from macroslow.authn.keyring import IN_FORCE
from macroslow.authn.ports import KeyRecord
from macroslow.authn.principal import TokenPrincipal
from macroslow.authn.refusal import Refusal
from macroslow.authn.terms import Terms
from macroslow.authz import scopes as known_scopes
from macroslow.authz.decision import decide, require_scope
from macroslow.authz.uri import URI, Pattern
from macroslow.errors import BadRequestError, MissingScopeError, NotFoundError
from macroslow.maml.rights import OperatorRights
from macroslow.services.identity.manage_keys import ManageKeys
from macroslow.services.identity.unknown_key import unknown_key


@dataclass(frozen=True, slots=True)
class Step:
    """One decision, its reason, and what to do where it is a refusal that can be mended."""

    step: str
    allowed: bool
    reason: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class ExplainRights:
    """Answers for client keys, by name or id, and for a token that is there: no name tells what one may."""

    keys: ManageKeys
    operator: OperatorRights

    def __call__(self, principal: str, action: str, uri: str = "") -> list[tuple[KeyRecord, list[Step]]]:
        """Explain each key of `principal` (a name, or a key's id). `action` is a scope.

        `uri` is what a document that the caller runs would ask for. Raises NotFoundError for an unknown
        principal, BadRequestError for an unknown scope or a URI that is none.
        """
        asked = _asked(action, uri)
        held = [record for record in self.keys.list() if principal in {record.principal, record.id}]
        if not held:
            raise _unknown(principal)
        return [
            (record, [*self._key(record), *self._rights(record, action, asked, "key")]) for record in held
        ]

    def of_key(self, text: str, action: str, uri: str = "") -> tuple[KeyRecord, list[Step]]:
        """Explain what a key that is there may do: its secret is examined as a request's is.

        NotFoundError if no key here has its id; else raises as for a name.
        """
        asked = _asked(action, uri)
        record = self.keys.known(id_of(text))
        secret = _secret(self.keys.refusal(text), record.id)
        return record, [secret, *self._key(record), *self._rights(record, action, asked, "key")]

    def of_token(self, token: TokenPrincipal, action: str, uri: str = "") -> list[Step]:
        """Explain what a token that is let in may do. Raises BadRequestError as for a key."""
        return list(self._rights(token, action, _asked(action, uri), "token"))

    def _key(self, record: KeyRecord) -> Iterator[Step]:
        state = self.keys.state(record)
        yield Step("key", state == IN_FORCE, f"the key is {state}")
        if record.addresses:
            yield Step("addresses", True, f"only from {', '.join(record.addresses)}")

    def _rights(self, holder: Terms, action: str, uri: URI | None, kind: str) -> Iterator[Step]:
        yield _listener(holder, action, kind)
        try:
            require_scope(holder, action)
        except MissingScopeError as error:
            yield Step("scope", False, error.detail, error.fix)
        else:
            yield Step("scope", True, f"the {kind} has the scope {action}")
        if uri is not None:
            asked = (Pattern(uri.scheme, uri.segments, open_ended=False),)  # as a document would
            granted = tuple(map(Pattern.parse, holder.grants))
            offered = asked if self.operator.offers(uri) else ()
            decision = decide(uri, document=asked, callers=(granted,), operator=offered)
            yield Step("uri", decision.allowed, decision.reason)


def _asked(action: str, uri: str) -> URI | None:
    if not known_scopes.is_known(action):
        raise BadRequestError(f"there is no scope {action!r}", fix=f"one of {known_scopes.KNOWN}")
    return URI.parse(uri) if uri else None


def _secret(refusal: Refusal | None, key_id: str) -> Step:
    """Whether the secret is the key's; what else a request would be refused for, other steps tell."""
    fix = f"use the newest; if it is lost: macroslow keys rotate {key_id}"
    if refusal is Refusal.ROTATED:
        return Step("secret", False, "the secret is an older one, which was rotated away", fix)
    ours = refusal in {None, Refusal.REVOKED, Refusal.EXPIRED, Refusal.MAKER}
    return Step("secret", ours, f"the secret is {'' if ours else 'not '}the key's", "" if ours else fix)


def _unknown(principal: str) -> NotFoundError:
    if is_credential(principal):
        return unknown_key(principal)
    if principal.startswith(PRINCIPAL_PREFIX):
        return NotFoundError(
            f"{principal!r} is a token's principal: what it may do stands in the token",
            fix="give the token on stdin: macroslow can - ACTION",
        )
    return NotFoundError(f"no key of {principal!r}", fix="macroslow keys list")


def _listener(holder: Terms, action: str, kind: str) -> Step:
    """Whether the credential opens the listener on which the action is asked for."""
    own, asked = (
        "administrators'" if known_scopes.administrates(scopes) else "clients'"
        for scopes in (holder.scopes, {action})
    )
    return Step("listener", own == asked, f"the {kind} is for the {own} listener, the action of the {asked}")
