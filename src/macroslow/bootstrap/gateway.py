"""The gateway: the use cases over an open core, with its providers' secrets and its sandbox."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata
from typing import Final

from macroslow.bootstrap.confining import Walls
from macroslow.bootstrap.machine import clock, entropy
from macroslow.bootstrap.models.governor import Governor, open_governor
from macroslow.bootstrap.outside.images import open_images
from macroslow.bootstrap.outside.issuers import open_issuers
from macroslow.bootstrap.outside.session import Outward
from macroslow.bootstrap.references import secrets_of
from macroslow.bootstrap.signing.process import start_signer
from macroslow.bootstrap.state.core import Core, open_core, operator_rights
from macroslow.bootstrap.upstreams.boxes import boxed_servers
from macroslow.bootstrap.upstreams.wiring import Upstreams, open_upstreams
from macroslow.bootstrap.watching.watches import Watches, watches
from macroslow.maml.plan import Runtime
from macroslow.maml.stages import SignatureRule
from macroslow.metering.money import MICROS_PER_USD
from macroslow.secretstore.secret import Secret
from macroslow.services.administration import Administration
from macroslow.services.calls.call_api import CallAPI
from macroslow.services.documents.admit_document import AdmitDocument, DocumentRules
from macroslow.services.documents.execute_document import ExecuteDocument, Stop
from macroslow.services.documents.read_runs import ReadRuns
from macroslow.services.documents.record_runs import RecordRuns
from macroslow.services.documents.validate_document import ValidateDocument
from macroslow.services.identity.authenticate import Authenticate
from macroslow.services.identity.record_security import RecordSecurity
from macroslow.services.images.search_images import Images
from macroslow.settings import Settings
from macroslow.web.egress import egress_opener
from macroslow.workflow.outside import OutsideAPI
from macroslow.workflow.sandbox import Sandbox

RUN_BUDGET_USD_MICROS: Final = MICROS_PER_USD  # the most that one run may hold of its caller's budget


@dataclass(frozen=True, slots=True)
class Gateway:
    """Everything that serves: the use cases over an open core, its providers and its sandbox."""

    core: Core
    sandbox: Sandbox
    governor: Governor
    watches: Watches
    execute: ExecuteDocument
    validate: ValidateDocument
    runs: ReadRuns
    authenticate: Authenticate
    security: RecordSecurity
    administration: Administration
    images: Images | None
    upstreams: Upstreams | None
    confinement_note: str  # why the keys that sign are not kept from this process; empty if they are


@asynccontextmanager
async def open_gateway(
    settings: Settings, *, confined: bool = False, waits: bool = True
) -> AsyncIterator[Gateway]:
    """Start the signer and the sandbox, open the core, resolve the secrets and wire the use cases.

    The order is a promise: all helpers are exec'd before this process knows any secret. A process of the
    gateway alone is `confined` before that too, for good. One that `waits` gives another user's signer time
    to start.
    """
    async with AsyncExitStack() as stack:
        signer = await start_signer(settings, waits=waits)
        stack.push_async_callback(signer.close)
        walls = Walls(settings)
        stack.push_async_callback(walls.close)
        close_in = walls.close_in if confined else None
        core = await stack.enter_async_context(open_core(settings, signer, before_secrets=close_in))
        secrets = await secrets_of(settings, core.folder, core.quad, settings.secrets())
        yield await _wired(stack, core, walls, secrets)


async def _wired(stack: AsyncExitStack, core: Core, walls: Walls, secrets: Mapping[str, Secret]) -> Gateway:
    """The use cases over all that `stack` closes again."""
    settings = core.settings
    outward = Outward()
    stack.push_async_callback(outward.close)
    governor = await stack.enter_async_context(open_governor(core, secrets))
    record = _record(core)
    issuers = open_issuers(core, secrets, outward)
    watching = watches(core, secrets, outward, record.open_runs, issuers.fetched)
    programs = boxed_servers(settings, secrets, walls.launcher)
    upstreams = open_upstreams(core, secrets, watching.alerts, programs)
    if upstreams is not None:
        stack.push_async_callback(upstreams.close)
    images = open_images(core, secrets, outward)
    call_api = CallAPI(_apis(settings, secrets, outward), core.books, clock)
    box = await walls.box()
    documents = _documents(core, box, governor, call_api, record)
    pepper, byok = core.keys.api_key_pepper, settings.auth.byok
    return Gateway(
        core=core,
        sandbox=box,
        governor=governor,
        watches=watching,
        execute=documents.execute,
        validate=documents.validate,
        runs=documents.runs,
        authenticate=Authenticate(core.keyring, pepper, clock, issuers.tokens, byok),
        security=RecordSecurity(core.books, clock),
        administration=core.administration(
            documents.execute, issuers.tokens, None if upstreams is None else upstreams.verbs
        ),
        images=images,
        upstreams=upstreams,
        confinement_note=walls.note,
    )


def _record(core: Core) -> RecordRuns:
    return RecordRuns(
        core.books,
        core.signer,
        core.quad,
        clock,
        entropy,
        RUN_BUDGET_USD_MICROS,
        owner=core.owner,
        enforced=not core.settings.observes,
    )


def _apis(settings: Settings, secrets: Mapping[str, Secret], outward: Outward) -> dict[str, OutsideAPI]:
    if not settings.apis:
        return {}
    from macroslow.adapters.http_api import HTTPOutsideAPI, parse_placement  # here: see Outward

    return {
        name: HTTPOutsideAPI(
            name=name,
            base_url=api.base_url,
            paths=api.paths,
            secret=secrets.get(f"apis.{name}.secret"),
            placement=parse_placement(api.placement),
            session=outward(),
        )
        for name, api in settings.apis.items()
    }


@dataclass(frozen=True, slots=True)
class _Documents:
    """What is done with documents."""

    execute: ExecuteDocument
    validate: ValidateDocument
    runs: ReadRuns


def _documents(
    core: Core, box: Sandbox, governor: Governor, call_api: CallAPI, record: RecordRuns
) -> _Documents:
    settings = core.settings
    admit = AdmitDocument(core.signers, _document_rules(settings), clock)
    under_way: dict[str, Stop] = {}
    execute = ExecuteDocument(
        admit=admit,
        record=record,
        sandbox=box,
        call_model=governor.call_model,
        call_api=call_api,
        open_egress=egress_opener(governor.list_models.for_dialect, clock, entropy),
        prove=core.prove,
        entropy=entropy,
        limits=settings.sandbox.limits.bounds,
        under_way=under_way,
        slots=asyncio.Semaphore(settings.sandbox.runs_at_once),
    )
    runs = ReadRuns(core.books, core.quad, core.signer, core.prove, under_way)
    return _Documents(execute, ValidateDocument(admit), runs)


class _Installed(Mapping[str, str]):
    """Versions of the installed packages by name: a file of each is read, when the first document asks."""

    @cached_property
    def _versions(self) -> dict[str, str]:
        return {each.name: each.version for each in metadata.distributions()}

    def __getitem__(self, name: str) -> str:
        return self._versions[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._versions)

    def __len__(self) -> int:
        return len(self._versions)


def _document_rules(settings: Settings) -> DocumentRules:
    return DocumentRules(
        signatures=SignatureRule(settings.signature_rule),
        operator=operator_rights(settings),
        runtime=Runtime(_Installed(), noise_models=frozenset()),
    )
