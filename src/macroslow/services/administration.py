"""What the operator may ask of the gateway, as verbs: the same beside a running server and without one.

A verb takes keyword arguments and returns JSON. The table is all there is: nothing here starts a
process, evaluates anything or fetches a caller's URL. Arguments are held against the verb's own
signature, types and bounds, before anything of it happens.
"""

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from pydantic import ValidationError

from macroslow.authn.jwt.check import PRINCIPAL_PREFIX
from macroslow.authn.principal import Principal
from macroslow.authz.scopes import ADMIN_AUDIT, ADMIN_KEYS, ADMIN_SIGNERS, ADMIN_USAGE
from macroslow.authz.security import SecurityEvent, Verdict
from macroslow.errors import BadRequestError
from macroslow.ports import Clock, Progress, unheard
from macroslow.services.audit.audit_verbs import AuditVerbs
from macroslow.services.audit.log_key_verbs import LogKeyVerbs
from macroslow.services.documents.run_verb import RunVerb
from macroslow.services.identity.jwt_verbs import JWTVerbs
from macroslow.services.identity.key_verbs import KeyVerbs
from macroslow.services.identity.record_security import RecordSecurity
from macroslow.services.identity.rights_verbs import RightsVerbs
from macroslow.services.identity.signer_verbs import SignerVerbs
from macroslow.services.spending.usage_verbs import UsageVerbs
from macroslow.services.upstreams.pin_verbs import PinVerbs
from macroslow.services.verbs import OPERATOR, Action, accepted_instead, argument_problems, strictly

MAX_TARGETS: Final = 8  # of an act upon many; the entries in the log name each


class Needs(enum.Enum):
    """What has to be open for a verb where no server runs."""

    CORE = enum.auto()  # the state folder, its keys and books
    ISSUERS = enum.auto()  # and what checks the tokens of issuers
    GATEWAY = enum.auto()  # and everything else: providers, their secrets, the sandbox


@dataclass(frozen=True, slots=True)
class Verb:
    """One line of the table.

    `scope` is what an administrator's key needs that asks over TCP; None: the verb stays with `control.sock`.
    `changes`: it does more than tell, and the server's own log is told of it. `begins`: it makes a state
    folder where there is none. Any other would answer from an empty one that it made on the spot: a log that
    is found sound because it is new proves nothing.
    """

    name: str
    action: "Callable[[Administration], Action]"
    scope: str | None = None
    changes: bool = False
    begins: bool = False
    needs: Needs = Needs.CORE


_TABLE: Final = (
    Verb("keys.create", lambda a: a.keys.create, ADMIN_KEYS, changes=True, begins=True),
    Verb("keys.list", lambda a: a.keys.list, ADMIN_KEYS),
    Verb("keys.show", lambda a: a.keys.show, ADMIN_KEYS),
    Verb("keys.set", lambda a: a.keys.set, ADMIN_KEYS, changes=True),
    Verb("keys.rotate", lambda a: a.keys.rotate, ADMIN_KEYS, changes=True),
    Verb("keys.revoke", lambda a: a.keys.revoke, ADMIN_KEYS, changes=True),
    Verb("keys.revoke_all", lambda a: a.keys.revoke_all, changes=True),
    Verb("keys.adopt", lambda a: a.keys.adopt, changes=True, begins=True),
    Verb("signers.trust", lambda a: a.signers.trust, ADMIN_SIGNERS, changes=True, begins=True),
    Verb("signers.list", lambda a: a.signers.list, ADMIN_SIGNERS),
    Verb("signers.revoke", lambda a: a.signers.revoke, ADMIN_SIGNERS, changes=True),
    Verb("jwt.explain", lambda a: a.jwt.explain, needs=Needs.ISSUERS),
    Verb("jwt.mint", lambda a: a.jwt.mint, changes=True, begins=True),
    Verb("jwt.list", lambda a: a.jwt.list),
    Verb("jwt.revoke", lambda a: a.jwt.revoke, changes=True),
    Verb("jwt.revoke_token", lambda a: a.jwt.revoke_token, changes=True),
    Verb("jwt.revoke_all", lambda a: a.jwt.revoke_all, changes=True),
    Verb("authz.can", lambda a: a.rights.can),
    Verb("authz.can_key", lambda a: a.rights.can_key),
    Verb("authz.can_token", lambda a: a.rights.can_token, needs=Needs.ISSUERS),
    Verb("usage", lambda a: a.usage.usage, ADMIN_USAGE),
    Verb("usage.budgets", lambda a: a.usage.budgets, ADMIN_USAGE),
    Verb("usage.days", lambda a: a.usage.days, ADMIN_USAGE),
    Verb("audit.tail", lambda a: a.audit.tail, ADMIN_AUDIT),
    Verb("audit.show", lambda a: a.audit.show, ADMIN_AUDIT),
    Verb("audit.search", lambda a: a.audit.search, ADMIN_AUDIT),
    Verb("audit.report", lambda a: a.audit.report),
    Verb("audit.erasable", lambda a: a.audit.erasable),
    Verb("audit.erase", lambda a: a.audit.erase, changes=True),
    Verb("audit.prove", lambda a: a.audit.prove, ADMIN_AUDIT),
    Verb("audit.verify", lambda a: a.audit.verify),
    Verb("audit.checkpoint", lambda a: a.audit.checkpoint, ADMIN_AUDIT),
    Verb("audit.files", lambda a: a.audit.files),
    Verb("audit.key", lambda a: a.log_keys.key, ADMIN_AUDIT),
    Verb("audit.succession", lambda a: a.log_keys.succession, ADMIN_AUDIT),
    Verb("audit.rotate_key", lambda a: a.log_keys.rotate_key, changes=True),
    Verb("audit.policy", lambda a: a.audit.policy, ADMIN_AUDIT),
    Verb("audit.witnesses", lambda a: a.audit.witnesses, ADMIN_AUDIT),
    Verb("mcp.list", lambda a: a.other_servers.list, needs=Needs.GATEWAY),
    Verb("mcp.diff", lambda a: a.other_servers.diff, needs=Needs.GATEWAY),
    Verb("mcp.approve", lambda a: a.other_servers.approve, changes=True, needs=Needs.GATEWAY),
    Verb("run", lambda a: a.documents.run, changes=True, begins=True, needs=Needs.GATEWAY),
)
VERBS: Final[Mapping[str, Verb]] = {verb.name: verb for verb in _TABLE}
"""Everything that can be asked, by name."""


@dataclass(frozen=True, slots=True)
class Administration:
    """All verbs, over one state."""

    keys: KeyVerbs
    signers: SignerVerbs
    jwt: JWTVerbs
    rights: RightsVerbs
    usage: UsageVerbs
    audit: AuditVerbs
    documents: RunVerb
    log_keys: LogKeyVerbs
    other_servers: PinVerbs = field(default_factory=PinVerbs)

    async def perform(
        self,
        verb: str,
        arguments: Mapping[str, object],
        by: Principal = OPERATOR,
        progress: Progress = unheard,
    ) -> object:
        """Perform one verb for the operator, or `by` a lesser administrator.

        BadRequestError if there is no such verb or its arguments do not fit.
        """
        known = VERBS.get(verb)
        if known is None:
            raise BadRequestError(f"no verb {verb!r}", fix="use the server's own version of `macroslow`")
        action = known.action(self._for(by, progress))
        try:
            return await strictly(action)(**arguments)
        except ValidationError as error:  # of the arguments: nothing below validates in this way
            message = f"the arguments do not fit the verb {verb}"
            fix = accepted_instead(error, action)
            raise BadRequestError(message, argument_problems(error), fix=fix) from None

    def _for(self, by: Principal, progress: Progress) -> "Administration":
        """The same for one asker: an administrator makes keys and knows none but those; long verbs tell."""
        keys = self.keys if by is OPERATOR else replace(self.keys, maker=by)
        return replace(self, keys=keys, audit=replace(self.audit, progress=progress))


@dataclass(frozen=True, slots=True)
class ToldAdministration:
    """Administration beside the requests, which tells the server's own log of all that changes something.

    `method` is how it is reached.
    """

    administration: Administration
    security: RecordSecurity
    clock: Clock
    method: str

    async def __call__(
        self,
        verb: str,
        arguments: Mapping[str, object],
        by: Principal = OPERATOR,
        progress: Progress = unheard,
    ) -> object:
        """As `Administration.perform`; what is refused is told by whoever refuses it."""
        found = await self.administration.perform(verb, arguments, by, progress)
        if VERBS[verb].changes:
            self.security.note(
                SecurityEvent(
                    self.clock.now_ns(),
                    Verdict.ALLOWED,
                    "administration",
                    method=self.method,
                    route=verb,
                    principal=by.name,
                    key_id=by.key_id,
                    target=_target(found),
                )
            )
        return found


def _target(answer: object) -> str:
    """What a verb made, changed or ended, as its answer names it: a key, a signer, tokens, a pseudonym."""
    match answer:
        case {"id": str(name)} | {"name": str(name)} | {"pseudonym": str(name)}:
            return name
        case {"issuer": str(issuer), "subject": str(subject)}:
            return f"{PRINCIPAL_PREFIX}{issuer}/{subject}" if subject else issuer
        case {"revoked": [*many]} | {"keys": [*many]}:
            names = [one if isinstance(one, str) else _target(one) for one in many]
            more = f",+{len(names) - MAX_TARGETS}" if len(names) > MAX_TARGETS else ""
            return ",".join(names[:MAX_TARGETS]) + more
        case _:
            return ""
