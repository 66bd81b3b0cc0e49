"""Who is at the door, how often they came, and whether they may come in.

Each credential that came is counted by its own terms and is noted as present until its request is over, so
that what goes on under it ends when it does. Administration is for keys alone, and theirs alone.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from macroslow.authn.principal import Principal
from macroslow.authn.refusal import Refusal, bad_credential
from macroslow.authz.decision import require_scope
from macroslow.authz.scopes import administrates
from macroslow.errors import CredentialError
from macroslow.services.identity.authenticate import Authenticate
from macroslow.web.admission import AddressLimits, CredentialLimits, FailedAttempts, Present, address_of
from macroslow.web.credentials import read_credentials
from macroslow.web.messages import Scope
from macroslow.web.routes import LimitedBy, Route
from macroslow.web.visit import Visit


@dataclass(frozen=True, slots=True)
class Doorkeeper:
    """One gate's. Keys that may administrate open nothing unless it is for `administrators`."""

    authenticate: Authenticate
    credentials: CredentialLimits
    failures: FailedAttempts
    public: AddressLimits
    administrators: bool
    _present: Present = field(default_factory=Present)

    async def admit(self, visit: Visit, route: Route, scope: Scope) -> None:
        """Find out who it is, how often they came and whether they have the route's scope.

        Raises CredentialError, RateLimitedError, MissingScopeError.
        """
        if route.limit is LimitedBy.ADDRESS:
            self.public.admit(scope)
        if route.scope is None:
            return
        try:
            shown = read_credentials(visit.headers, scope.get("query_string", b""), address_of(scope))
            principal = visit.principal = await self.authenticate(shown)
            self._require_here(principal)
        except CredentialError:
            self.failures.admit(scope)
            raise
        self.count(visit, principal)
        if route.scope not in principal.scopes and principal.scopes.isdisjoint(route.or_scopes):
            require_scope(principal, route.scope)

    def count(self, visit: Visit, principal: Principal) -> None:
        """Count a request of somebody who is known, and note that he is here. RateLimitedError."""
        for credential in principal.credentials():
            self.credentials.admit(visit, credential)
            self._present.enter(visit, credential)

    def leave(self, visit: Visit) -> None:
        """Note that a request is over, however far it came."""
        if visit.principal is not None:
            for credential in visit.principal.credentials():
                self._present.leave(visit, credential)

    def withdraw(self, admits: Callable[[Principal], bool]) -> None:
        """End every request whose caller would be let in no more."""
        self._present.withdraw(admits)

    def _require_here(self, principal: Principal) -> None:
        """Raise CredentialError for who belongs elsewhere. No issuer makes an administrator of anybody.

        A key that may administrate is none of a client beside a token either.
        """
        if self.administrators:
            if principal.token is not None or not principal.key_id:
                raise bad_credential(Refusal.ADMINISTRATIVE)
            return
        for each in principal.credentials():
            if administrates(each.scopes):
                raise bad_credential(Refusal.ADMINISTRATIVE)
