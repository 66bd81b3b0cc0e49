"""What the operator may ask of the gateway, as verbs: the same beside a running server and without one.

A verb takes keyword arguments and returns JSON. The table is all there is: nothing here starts a
process, evaluates anything or fetches a caller's URL. Arguments are held against the verb's own
signature, types and bounds, before anything of it happens.
"""

import base64
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Annotated, Final

from pydantic import ConfigDict, Field, ValidationError, validate_call

from macroslow.authn.ports import KeyRecord, SignerRecord
from macroslow.authn.principal import Principal
from macroslow.authz import scopes as known_scopes
from macroslow.authz.uri import Pattern
from macroslow.crypto.hybrid import HybridPublicKey
from macroslow.errors import BadRequestError, MissingRightError, NotFoundError, Problem
from macroslow.services.admit_document import Submission
from macroslow.services.checkpoint_log import CheckpointLog
from macroslow.services.execute_document import ExecuteDocument
from macroslow.services.manage_keys import ManageKeys, NewKey
from macroslow.services.manage_signers import ManageSigners
from macroslow.services.prove_entry import ProveEntry
from macroslow.services.verify_log import VerifyLog
from macroslow.tlog.checkpoint import LogPublicKey
from macroslow.tlog.event import EventType
from macroslow.workflow.books import Books, LoggedEvent

OPERATOR: Final = Principal(name="operator", account="operator", scopes=known_scopes.ALL)
MAX_TAIL: Final = 1000  # entries that one `audit tail` returns
MAX_TIME_NS: Final = 2**63 - 1  # in the year 2262; no store holds more

Whole = Annotated[int, Field(ge=0, lt=2**53)]
Tail = Annotated[int, Field(ge=0, le=MAX_TAIL)]
TimeNs = Annotated[int, Field(ge=0, le=MAX_TIME_NS)]
Texts = Sequence[str]


@dataclass(frozen=True, slots=True)
class Administration:
    """All verbs. `execute` is absent where no server is assembled (commands on keys, logs, reports)."""

    books: Books
    keys: ManageKeys
    signers: ManageSigners
    checkpoints: CheckpointLog
    prove: ProveEntry
    log_key: LogPublicKey
    execute: ExecuteDocument | None = None

    async def perform(self, verb: str, arguments: Mapping[str, object]) -> object:
        """Perform one verb; BadRequestError if there is no such verb or its arguments do not fit."""
        action = self._verbs().get(verb)
        if action is None:
            raise BadRequestError(f"no verb {verb!r}", fix="use the server's own version of `macroslow`")
        try:
            return await validate_call(config=_STRICT)(action)(**arguments)
        except ValidationError as error:  # of the arguments: nothing below validates in this way
            raise BadRequestError(f"the arguments do not fit the verb {verb}", _problems(error)) from None

    def _verbs(self) -> Mapping[str, Callable[..., Awaitable[object]]]:
        return {
            "keys.create": self._create_key,
            "keys.list": self._list_keys,
            "keys.show": self._show_key,
            "keys.revoke": self._revoke_key,
            "signers.trust": self._trust_signer,
            "signers.list": self._list_signers,
            "signers.revoke": self._revoke_signer,
            "usage": self._usage,
            "audit.tail": self._tail,
            "audit.show": self._show_entry,
            "audit.prove": self._prove,
            "audit.verify": self._verify,
            "audit.checkpoint": self._checkpoint,
            "audit.key": self._log_key,
            "run": self._run,
        }

    async def _create_key(
        self,
        principal: str,
        scopes: Texts | None = None,
        grants: Texts = ("gateway://*", "api://*"),
        budget_usd_micros: Whole | None = None,
        requests_per_minute: Whole | None = None,
        note: str = "",
        expires_ns: TimeNs | None = None,
    ) -> object:
        wanted = known_scopes.CLIENT_DEFAULT if scopes is None else frozenset(scopes)
        created = await self.keys.create(
            NewKey(principal, wanted, tuple(grants), budget_usd_micros, requests_per_minute, note, expires_ns)
        )
        return {"key": created.text, **_key(created.record), "budget_usd_micros": budget_usd_micros}

    async def _list_keys(self) -> object:
        return {"keys": [await self._with_account(record) for record in self.keys.list()]}

    async def _show_key(self, key_id: str) -> object:
        shown = await self.keys.show(key_id)
        return await self._with_account(shown.record)

    async def _revoke_key(self, key_id: str, reason: str = "") -> object:
        return _key(await self.keys.revoke(key_id, reason))

    async def _with_account(self, record: KeyRecord) -> dict[str, object]:
        account = (await self.keys.show(record.id)).account
        money = asdict(account) if account else {}
        return {**_key(record), **{name: money[name] for name in money if name.endswith("_usd_micros")}}

    async def _trust_signer(self, name: str, public_jwks: str, origins: Texts) -> object:
        return _signer(await self.signers.trust(name, public_jwks, origins))

    async def _list_signers(self) -> object:
        return {"signers": [_signer(record) for record in self.signers.list()]}

    async def _revoke_signer(self, name: str) -> object:
        return _signer(await self.signers.revoke(name))

    async def _usage(self, by: str = "key", principal: str | None = None) -> object:
        try:
            rows = await self.books.usage(by, principal=principal)
        except ValueError as error:
            raise BadRequestError(str(error), fix="--by key|principal|model|tag|day") from None
        return {"by": by, "rows": [asdict(row) for row in rows]}

    async def _tail(
        self, count: Annotated[int, Field(ge=0, le=MAX_TAIL)] = 20, start: Whole | None = None
    ) -> object:
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
            raise BadRequestError(f"the checkpoint is not base64: {error}") from None
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
            raise BadRequestError(f"the document is not base64: {error}") from None
        for uri in allow:
            Pattern.parse(uri)  # or it would be reported as a grant of a key
        caller = replace(OPERATOR, grants=("gateway://*", *allow))
        try:
            return await self.execute(caller, submission, request_id="operator")
        except MissingRightError as error:
            # The one grant that is the operator's to give here; what this gateway does not have is not.
            if error.uri in allow or not error.uri.startswith("api://") or "caller" not in error.detail:
                raise
            fix = f"allow it: --allow {error.uri}"
            raise MissingRightError(error.detail, uri=error.uri, fix=fix) from None


_STRICT: Final = ConfigDict(strict=True, arbitrary_types_allowed=True)


def _problems(error: ValidationError) -> list[Problem]:
    return [
        Problem(one["msg"], field=".".join(map(str, one["loc"])))
        for one in error.errors(include_url=False, include_context=False, include_input=False)
    ]


def _entry(entry: LoggedEvent) -> dict[str, object]:
    """One entry for people; `fields` is None where the subject was erased."""
    fields = None if entry.event is None else json.loads(entry.event)["fields"]
    return {
        "index": entry.index,
        "time": _utc(entry.time_ns),
        "type": EventType(entry.type).name.lower().replace("_", "-"),
        "subject": entry.subject,
        "fields": fields,
    }


def _key(record: KeyRecord) -> dict[str, object]:
    return {
        "id": record.id,
        "principal": record.principal,
        "scopes": sorted(record.scopes),
        "grants": [*record.grants],
        "note": record.note,
        "requests_per_minute": record.requests_per_minute,
        "created_at": _utc(record.created_ns),
        "expires_at": _utc(record.expires_ns),
        "revoked_at": _utc(record.revoked_ns),
    }


def _signer(record: SignerRecord) -> dict[str, object]:
    return {
        "key_id": record.key_id,
        "fingerprint": HybridPublicKey.from_jwks(record.public_jwks, use="document").fingerprint,
        "name": record.name,
        "origins": [*record.origins],
        "trusted_at": _utc(record.trusted_ns),
        "revoked_at": _utc(record.revoked_ns),
    }


def _utc(time_ns: int | None) -> str | None:
    if time_ns is None:
        return None
    return datetime.fromtimestamp(time_ns // 1_000_000_000, UTC).isoformat()
