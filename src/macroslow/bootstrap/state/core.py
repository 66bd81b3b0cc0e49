"""The core: what is made of opened state. All that commands on keys, logs and reports need."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from macroslow.adapters import keyfiles, statefolder
from macroslow.adapters.signer import SignerProcess
from macroslow.authn.jwt.revoked import Revocations
from macroslow.authn.keyring import KeyRing
from macroslow.bootstrap.machine import clock, entropy
from macroslow.bootstrap.signing.process import AnySigner
from macroslow.bootstrap.state.opening import Opened, open_state
from macroslow.bootstrap.state.stores import Stores
from macroslow.crypto.quad import Quad
from macroslow.errors import ConfigurationError, LogUnavailableError, VerificationError
from macroslow.maml.rights import OperatorRights
from macroslow.metering.ledger import OpenAccount
from macroslow.services.administration import Administration
from macroslow.services.audit.audit_verbs import AuditVerbs
from macroslow.services.audit.log_key_verbs import LogKeyVerbs
from macroslow.services.documents.run_verb import RunVerb
from macroslow.services.erasure.erase_subject import EraseSubjects
from macroslow.services.identity.explain_rights import ExplainRights
from macroslow.services.identity.explain_tokens import ExplainTokens
from macroslow.services.identity.jwt_verbs import JWTVerbs
from macroslow.services.identity.key_verbs import KeyVerbs
from macroslow.services.identity.manage_keys import ManageKeys
from macroslow.services.identity.manage_revocations import ManageRevocations
from macroslow.services.identity.manage_signers import ManageSigners
from macroslow.services.identity.mint_tokens import MintTokens, development_key
from macroslow.services.identity.rights_verbs import RightsVerbs
from macroslow.services.identity.signer_verbs import SignerVerbs
from macroslow.services.identity.verify_tokens import VerifyTokens
from macroslow.services.proofs.prove_entry import ProveEntry
from macroslow.services.proofs.rotate_log_key import CUT_OFF, RotateLogKey
from macroslow.services.recovery.recover_after_crash import RecoverAfterCrash, Recovered
from macroslow.services.signing.checkpoint_log import CheckpointLog
from macroslow.services.signing.declare_fork import check_declared
from macroslow.services.signing.log_health import LogHealth
from macroslow.services.signing.resume_signing import resume_signing
from macroslow.services.spending.report_usage import ReportUsage
from macroslow.services.spending.usage_verbs import UsageVerbs
from macroslow.services.upstreams.pin_verbs import PinVerbs
from macroslow.services.verbs import OPERATOR
from macroslow.settings import Settings
from macroslow.workflow.books import Books

if TYPE_CHECKING:
    from macroslow.services.documents.execute_document import ExecuteDocument

log: Final = logging.getLogger("macroslow.server")


@dataclass(frozen=True, slots=True)
class Core:
    """State that is open and held: what every command on it needs. `owner` is this process in the ledger."""

    settings: Settings
    folder: statefolder.StateFolder
    keys: keyfiles.GatewayKeys
    quad: Quad
    stores: Stores
    keyring: KeyRing
    manage_keys: ManageKeys
    revocations: Revocations
    manage_revocations: ManageRevocations
    signers: ManageSigners
    signer: AnySigner
    checkpoints: CheckpointLog
    prove: ProveEntry
    health: LogHealth
    recovered: Recovered
    owner: str
    key_note: str = ""  # of a change of the log's key that had been cut off

    @property
    def books(self) -> Books:
        """Everything that must stay consistent."""
        return self.stores.books

    @property
    def usage(self) -> ReportUsage:
        """What was spent, and what is left of every budget."""
        return ReportUsage(self.books, self.settings.budget_rules, clock)

    @property
    def erasure(self) -> EraseSubjects:
        """Who has a right to it is erased."""
        hold_ns = self.settings.log.hold_days.in_ns()
        return EraseSubjects(self.books, clock, entropy, hold_ns, self.manage_keys.load)

    def administration(
        self,
        execute: "ExecuteDocument | None" = None,
        tokens: VerifyTokens | None = None,
        other_servers: PinVerbs | None = None,
    ) -> Administration:
        """The operator's verbs over this state."""
        return Administration(
            keys=KeyVerbs(self.manage_keys),
            signers=SignerVerbs(self.signers),
            jwt=JWTVerbs(self.manage_revocations, ExplainTokens(self.manage_keys, tokens), self._minter()),
            rights=RightsVerbs(ExplainRights(self.manage_keys, operator_rights(self.settings)), tokens),
            usage=UsageVerbs(self.usage),
            audit=AuditVerbs(self.books, self.checkpoints, self.prove, self.signer, self.erasure),
            documents=RunVerb(self.health, execute),
            log_keys=LogKeyVerbs(self.signer, self.change_log_key, self.stores.shared),
            other_servers=other_servers or PinVerbs(),
        )

    @property
    def change_log_key(self) -> RotateLogKey:
        """Gives the log another key."""
        return RotateLogKey(self.books, self.signer, self.checkpoints, self.prove, clock)

    def _minter(self) -> MintTokens | None:
        issuers = self.settings.auth.issuers.items()
        rules = next((one.rules(name) for name, one in issuers if one.is_development), None)
        key = development_key(self.keys.api_key_pepper)
        return None if rules is None else MintTokens(key, rules, clock, entropy)


def operator_rights(settings: Settings) -> OperatorRights:
    """What this gateway has to offer."""
    return OperatorRights(
        gateway_names=tuple(dict.fromkeys((settings.gateway.name, *settings.gateway.aliases))),
        model_providers=frozenset(settings.providers),
        apis=frozenset(settings.apis),
        circuits=False,
    )


@asynccontextmanager
async def open_core(
    settings: Settings,
    process: SignerProcess | None = None,
    *,
    reading: bool = False,
    before_secrets: Callable[[statefolder.StateFolder], Awaitable[None]] | None = None,
) -> AsyncIterator[Core]:
    """Open the state (see `open_state`) and close what a crash left open.

    Who is only `reading` adds nothing to the log, so that a copy can be looked at, and may see one that is
    not the one that was signed: anybody else gets a ConfigurationError.
    """
    async with open_state(settings, process, reading=reading, before_secrets=before_secrets) as opened:
        sound = await _resume(opened, reading=reading)
        core = await _core(settings, opened, sound=sound, recovers=not (reading or opened.stores.shared))
        if sound and not reading:
            core = replace(core, key_note=await _complete_key_change(opened.signer, core.change_log_key))
        yield core
        if sound and not reading:
            await core.checkpoints.sign_all()  # what was logged is signed when its process ends in order


async def _resume(opened: Opened, *, reading: bool) -> bool:
    """Whether the log is the one that was signed; whoever changes it may not go on if it is not."""
    try:
        check_declared(opened.signer.keys.current, opened.signer.staged)
        await resume_signing(opened.stores.books, opened.signer)
    except (ConfigurationError, VerificationError):
        if not reading:
            raise
        return False
    return True


async def _complete_key_change(signer: AnySigner, change: RotateLogKey) -> str:
    """Complete a change of the log's key that was cut off, and return what the operator is told of it; ""."""
    old, staged = signer.keys.current, signer.staged
    if staged is None:
        return ""
    try:
        await change(CUT_OFF)
    except LogUnavailableError as error:
        note = (
            f"a change of the log's key from {old.fingerprint} to {staged.fingerprint} was cut off and is not"
            f" completed: {error.reason}; `macroslow audit rotate-key` completes it, or a later start"
        )
    else:
        note = (
            f"a change of the log's key that had been cut off was completed: it is {staged.fingerprint} from"
            f" now on; before it was {old.fingerprint}"
        )
    log.warning("%s", note)
    return note


async def _core(settings: Settings, opened: Opened, *, sound: bool, recovers: bool) -> Core:
    """Everything over the opened state. `sound`: it is the log that was signed; `recovers`: what a crash left
    open is closed. Where others live that is for the reaper, which asks who is alive.
    """
    keys, stores, signer = opened.keys, opened.stores, opened.signer
    books = stores.books
    keyring = KeyRing()
    manage_keys = ManageKeys(books, keyring, keys.api_key_pepper, clock, entropy)
    revocations = Revocations()
    rules = [issuer.rules(name) for name, issuer in settings.auth.issuers.items()]
    manage_revocations = ManageRevocations(books, revocations, rules, clock)
    signers = ManageSigners(books, clock)
    checkpoints = CheckpointLog(
        books, signer, settings.log.policy(signer.keys.current), settings.log.witness_timeout_ms / 1000
    )
    await manage_keys.load()
    await manage_revocations.load()
    await signers.load()
    await checkpoints.load(signer.last.size if sound else None)
    await books.commit(OpenAccount(OPERATOR.account, None))
    recover = RecoverAfterCrash(books, clock, opened.owner)
    recovered = await recover() if recovers else Recovered(0, 0, 0)
    return Core(
        settings=settings,
        folder=opened.folder,
        keys=keys,
        quad=opened.quad,
        stores=stores,
        keyring=keyring,
        manage_keys=manage_keys,
        revocations=revocations,
        manage_revocations=manage_revocations,
        signers=signers,
        signer=signer,
        checkpoints=checkpoints,
        prove=ProveEntry(books, checkpoints),
        health=LogHealth(),
        recovered=recovered,
        owner=opened.owner,
    )
