"""What the operator may ask of the gateway, as verbs: the same beside a running server and without one.

A verb takes keyword arguments and returns JSON. The table is all there is: nothing here starts a
process, evaluates anything or fetches a caller's URL. Arguments are held against the verb's own
signature, types and bounds, before anything of it happens.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Final

from pydantic import Field, ValidationError

from macroslow.authn.ports import SignerRecord
from macroslow.authn.principal import THE_OPERATOR, Principal
from macroslow.authz import scopes as known_scopes
from macroslow.authz.uri import Pattern
from macroslow.crypto.hybrid import HybridPublicKey
from macroslow.errors import BadRequestError, MissingRightError, NotFoundError
from macroslow.services.audit.checkpoint_log import CheckpointLog
from macroslow.services.audit.prove_entry import ProveEntry
from macroslow.services.audit.verify_log import VerifyLog
from macroslow.services.documents.admit_document import Submission
from macroslow.services.documents.execute_document import ExecuteDocument
from macroslow.services.identity.explain_rights import ExplainRights
from macroslow.services.identity.jwt_verbs import JWTVerbs
from macroslow.services.identity.key_verbs import KeyVerbs
from macroslow.services.identity.manage_keys import ManageKeys
from macroslow.services.identity.manage_signers import ManageSigners
from macroslow.services.spending.report_usage import ReportUsage
from macroslow.services.spending.usage_verbs import UsageVerbs
from macroslow.services.verbs import Texts, Verbs, Whole, accepted_instead, argument_problems, strictly, utc
from macroslow.tlog.checkpoint import LogPublicKey
from macroslow.tlog.event import EventType
from macroslow.workflow.books import Books, LoggedEvent

OPERATOR: Final = Principal(THE_OPERATOR, THE_OPERATOR, scopes=known_scopes.ALL)
MAX_TAIL: Final = 1000  # entries that one `audit tail` returns
QUESTIONS: Final = frozenset(
    {
        "authz.can",
        "keys.list",
        "keys.show",
        "signers.list",
        "usage",
        "usage.budgets",
        "usage.days",
        "audit.tail",
        "audit.show",
        "audit.prove",
        "audit.verify",
        "audit.checkpoint",
        "audit.key",
        "jwt.explain",
        "jwt.list",
    }
)
"""Verbs that change nothing."""

Tail = Annotated[int, Field(ge=0, le=MAX_TAIL)]


@dataclass(frozen=True, slots=True)
class Administration:
    """All verbs. `execute` is absent where no server is assembled (commands on keys, logs, reports)."""

    books: Books
    keys: ManageKeys
    signers: ManageSigners
    checkpoints: CheckpointLog
    prove: ProveEntry
    log_key: LogPublicKey
    usage: ReportUsage
    explain: ExplainRights
    jwt: JWTVerbs
    execute: ExecuteDocument | None = None

    async def perform(self, verb: str, arguments: Mapping[str, object], by: Principal = OPERATOR) -> object:
        """Perform one verb for the operator, or `by` a lesser administrator.

        BadRequestError if there is no such verb or its arguments do not fit.
        """
        action = self._verbs(by).get(verb)
        if action is None:
            raise BadRequestError(f"no verb {verb!r}", fix="use the server's own version of `macroslow`")
        try:
            return await strictly(action)(**arguments)
        except ValidationError as error:  # of the arguments: nothing below validates in this way
            message = f"the arguments do not fit the verb {verb}"
            fix = accepted_instead(error, action)
            raise BadRequestError(message, argument_problems(error), fix=fix) from None

    def _verbs(self, by: Principal = OPERATOR) -> Verbs:
        return {
            **KeyVerbs(self.keys, None if by is OPERATOR else by).table(),
            **UsageVerbs(self.usage).table(),
            **self.jwt.table(),
            "authz.can": self._can,
            "signers.trust": self._trust_signer,
            "signers.list": self._list_signers,
            "signers.revoke": self._revoke_signer,
            "audit.tail": self._tail,
            "audit.show": self._show_entry,
            "audit.prove": self._prove,
            "audit.verify": self._verify,
            "audit.checkpoint": self._checkpoint,
            "audit.key": self._log_key,
            "run": self._run,
        }

    async def _can(self, principal: str, action: str, uri: str = "") -> object:
        found = self.explain(principal, action, uri)
        keys = [
            {
                "key_id": record.id,
                "principal": record.principal,
                "allowed": all(step.allowed for step in steps),
                "steps": [asdict(step) for step in steps],
            }
            for record, steps in found
        ]
        return {"allowed": any(key["allowed"] for key in keys), "keys": keys}

    async def _trust_signer(self, name: str, public_jwks: str, origins: Texts) -> object:
        return _signer(await self.signers.trust(name, public_jwks, origins))

    async def _list_signers(self) -> object:
        return {"signers": [_signer(record) for record in self.signers.list()]}

    async def _revoke_signer(self, name: str) -> object:
        return _signer(await self.signers.revoke(name))

    async def _tail(self, count: Tail = 20, start: Whole | None = None) -> object:
        head = await self.books.head()
        first = max(0, head.size - count) if start is None else start
        opened = await self.books.entries(first, count)
        return {"size": head.size, "entries": [_entry(entry) for entry in opened]}

    async def _show_entry(self, index: Whole) -> object:
        opened = await self.books.entries(index, 1)
        if not opened:
            raise NotFoundError(f"the log has no entry {index}", fix="macroslow audit tail")
        return _entry(opened[0])

    async def _prove(self, index: Whole) -> object:
        return await self.prove.by_index(index)

    async def _verify(self, since: str | None = None, key: str | None = None) -> object:
        """Verify the whole log; `since` is a checkpoint in base64, `key` the text of a pinned log key."""
        try:
            pinned = self.log_key if key is None else LogPublicKey.parse(key)
            kept = None if since is None else base64.b64decode(since, validate=True)
        except ValueError as error:
            raise BadRequestError(
                f"the checkpoint or the log's key cannot be read: {error}",
                fix="give both as they were written, the checkpoint in base64",
            ) from None
        found = await VerifyLog(self.books, pinned)(since=kept)
        return {**asdict(found), "key_fingerprint": pinned.fingerprint}

    async def _checkpoint(self) -> object:
        return {"note": (await self.checkpoints.newest()).decode()}

    async def _log_key(self) -> object:
        return {"key": self.log_key.format(), "fingerprint": self.log_key.fingerprint}

    async def _run(
        self, document: str, inputs: Mapping[str, object] | None = None, allow: Texts = ()
    ) -> object:
        """Run a document (base64) as the local operator, who grants it the URIs in `allow`."""
        if self.execute is None:
            raise BadRequestError("this gateway runs no documents", fix="start it with `macroslow serve`")
        try:
            submission = Submission(base64.b64decode(document, validate=True), inputs)
        except ValueError as error:
            raise BadRequestError(
                f"the document is not base64: {error}", fix="send its bytes in base64 (RFC 4648, section 4)"
            ) from None
        for uri in allow:
            Pattern.parse(uri)  # or it would be reported as a grant of a key
        caller = replace(OPERATOR, grants=("gateway://*", *allow))
        try:
            return await self.execute(caller, submission, request_id=THE_OPERATOR)
        except MissingRightError as error:
            # The one grant that is the operator's to give here; what this gateway does not have is not.
            if error.uri in allow or not error.uri.startswith("api://") or "caller" not in error.detail:
                raise
            fix = f"allow it: --allow {error.uri}"
            raise MissingRightError(error.detail, uri=error.uri, fix=fix) from None


def _entry(entry: LoggedEvent) -> dict[str, object]:
    """One entry for people; `fields` is None where the subject was erased."""
    fields = None if entry.event is None else json.loads(entry.event)["fields"]
    return {
        "index": entry.index,
        "time": utc(entry.time_ns),
        "type": EventType(entry.type).name.lower().replace("_", "-"),
        "subject": entry.subject,
        "fields": fields,
    }


def _signer(record: SignerRecord) -> dict[str, object]:
    return {
        "key_id": record.key_id,
        "fingerprint": HybridPublicKey.from_jwks(record.public_jwks, use="document").fingerprint,
        "name": record.name,
        "origins": [*record.origins],
        "trusted_at": utc(record.trusted_ns),
        "revoked_at": utc(record.revoked_ns),
    }
