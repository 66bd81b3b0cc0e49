"""The one place where implementations are chosen and wired.

Assemblies inside one another: the sandbox's helper process, started before any secret is known; the
core (state folder, keys, books), which is all that commands on keys, logs and reports need; and the
gateway, which resolves the providers' secrets and does paid work.
"""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, Decimal
from functools import partial
from importlib import metadata, resources
from pathlib import Path
from typing import Any, Final

import aiohttp

from macroslow import __version__, control
from macroslow.adapters import keyfiles, sandbox, statefolder
from macroslow.adapters.dotenv import EnvironmentSource, FileSource
from macroslow.adapters.http_api import HTTPOutsideAPI, parse_placement
from macroslow.adapters.keystore import Keystore
from macroslow.adapters.openai import OpenAIProvider
from macroslow.adapters.signer import LocalSigner
from macroslow.adapters.sqlite import SqliteBooks
from macroslow.adapters.system import SystemClock, SystemEntropy
from macroslow.authn.keyring import KeyRing
from macroslow.crypto.quad import Quad
from macroslow.errors import ConfigurationError
from macroslow.inference.ports import Provider
from macroslow.limits.admission import Quota, per_minute
from macroslow.maml.plan import Runtime
from macroslow.maml.rights import OperatorRights
from macroslow.maml.stages import SignatureRule
from macroslow.metering import count
from macroslow.metering.catalogue import Catalogue, parse_catalogue
from macroslow.metering.ledger import OpenAccount
from macroslow.ports import Signer
from macroslow.secretstore.reference import Scheme
from macroslow.secretstore.resolve import resolve
from macroslow.secretstore.secret import Secret
from macroslow.services.administration import OPERATOR, Administration
from macroslow.services.admission import Admission
from macroslow.services.admit_document import AdmitDocument, DocumentRules
from macroslow.services.agent_tools import AgentTools
from macroslow.services.authenticate import Authenticate
from macroslow.services.call_api import CallAPI
from macroslow.services.checkpoint_log import CheckpointLog
from macroslow.services.complete_chat import CompleteChat
from macroslow.services.execute_document import ExecuteDocument, RunRules
from macroslow.services.list_models import ListModels
from macroslow.services.manage_keys import ManageKeys
from macroslow.services.manage_signers import ManageSigners
from macroslow.services.prove_entry import ProveEntry
from macroslow.services.read_runs import ReadRuns
from macroslow.services.record_refusals import RecordRefusals
from macroslow.services.recover_after_crash import RecoverAfterCrash, Recovered
from macroslow.services.validate_document import ValidateDocument
from macroslow.settings import Settings, load
from macroslow.tlog.checkpoint import verify_checkpoint
from macroslow.tlog.event import Event, EventType
from macroslow.tlog.ports import Append, TreeHead
from macroslow.web.application import Application
from macroslow.web.egress import egress_opener
from macroslow.web.gate import Gate, GateSettings
from macroslow.web.lifecycle import Lifecycle
from macroslow.web.mcp_endpoint import MCPEndpoint
from macroslow.web.messages import ASGIApp, Receive, Scope, Send
from macroslow.web.metrics import Metrics
from macroslow.web.routes import ROUTES
from macroslow.web.serve import bind
from macroslow.web.serve import serve as serve_gate
from macroslow.workflow.sandbox import Level, Outcome, Sandbox

BOOKS_FILE: Final = "books.sqlite"
NS_PER_DAY: Final = 86_400 * 10**9
GATEWAY_SUBJECT: Final = "gateway"
RUN_BUDGET_USD_MICROS: Final = 1_000_000  # the most that one run may hold of its caller's budget
clock: Final = SystemClock()
entropy: Final = SystemEntropy()


@dataclass(frozen=True, slots=True)
class Core:
    """State that is open and held: what every command on it needs."""

    settings: Settings
    folder: statefolder.StateFolder
    keys: keyfiles.GatewayKeys
    quad: Quad
    books: SqliteBooks
    keyring: KeyRing
    manage_keys: ManageKeys
    signers: ManageSigners
    signer: Signer
    checkpoints: CheckpointLog
    prove: ProveEntry
    recovered: Recovered

    def administration(self, execute: ExecuteDocument | None = None) -> Administration:
        """The operator's verbs over this state."""
        return Administration(
            books=self.books,
            keys=self.manage_keys,
            signers=self.signers,
            checkpoints=self.checkpoints,
            prove=self.prove,
            log_key=self.keys.log.public,
            execute=execute,
        )


@asynccontextmanager
async def open_core(settings: Settings) -> AsyncIterator[Core]:
    """Hold the state folder, load or make its keys, open its books and close what a crash left open.

    Raises ConfigurationError (StateLockedError if another process is there).
    """
    folder = statefolder.prepare(settings.state_folder)
    with statefolder.hold(folder):
        keys = keyfiles.load_or_create(folder.path, settings.log_origin, entropy)
        quad = Quad(keys.quad_roots, entropy)
        books = await SqliteBooks.open(folder.path / BOOKS_FILE, sealer=quad, entropy=entropy, clock=clock)
        try:
            yield await _core(settings, folder, keys, quad, books)
        finally:
            await books.close()


async def _core(
    settings: Settings,
    folder: statefolder.StateFolder,
    keys: keyfiles.GatewayKeys,
    quad: Quad,
    books: SqliteBooks,
) -> Core:
    signer = await _local_signer(settings, keys, books)
    keyring = KeyRing()
    manage_keys = ManageKeys(books, keyring, keys.api_key_pepper, clock, entropy)
    signers = ManageSigners(books, clock)
    checkpoints = CheckpointLog(books, signer)
    await manage_keys.load()
    await signers.load()
    await checkpoints.load()
    await books.commit(OpenAccount(OPERATOR.account, None))
    recovered = await RecoverAfterCrash(books, clock)()
    return Core(
        settings=settings,
        folder=folder,
        keys=keys,
        quad=quad,
        books=books,
        keyring=keyring,
        manage_keys=manage_keys,
        signers=signers,
        signer=signer,
        checkpoints=checkpoints,
        prove=ProveEntry(books, checkpoints),
        recovered=recovered,
    )


async def _local_signer(settings: Settings, keys: keyfiles.GatewayKeys, books: SqliteBooks) -> LocalSigner:
    stored = await books.checkpoint()
    last = None
    if stored is not None:
        checkpoint = verify_checkpoint(stored[1], keys.log.public)
        last = TreeHead(checkpoint.size, checkpoint.root)
    return LocalSigner(
        log_key=keys.log,
        answer_key=keys.answer,
        history_key=keys.history,
        origin=settings.log_origin,
        clock=clock,
        last=last,
    )


def first_key(settings: Settings) -> Mapping[str, object]:
    """Make the first client key of a new gateway, as [keys] says; return it as `keys.create` does."""
    arguments = {"principal": "me", "note": "made by macroslow init", **key_defaults(settings)}
    made = administer(settings, "keys.create", arguments)
    assert isinstance(made, Mapping)  # noqa: S101 (the verb's own shape)
    return made


def key_defaults(settings: Settings) -> dict[str, object]:
    """What [keys] says of every new key, as arguments of `keys.create`."""
    wanted = settings.keys
    days = wanted.expires_days
    return {
        "budget_usd_micros": None if wanted.budget_usd is None else _micros(wanted.budget_usd),
        "requests_per_minute": wanted.requests_per_minute,
        "scopes": None if wanted.scopes is None else [*wanted.scopes],
        "expires_ns": None if days is None else clock.now_ns() + days * NS_PER_DAY,
    }


def administer(settings: Settings, verb: str, arguments: Mapping[str, object]) -> object:
    """Perform one verb: by the running server if there is one, else on the state folder itself."""
    path = statefolder.prepare(settings.state_folder).control_socket
    if control.is_alive(path):
        return control.call(path, verb, arguments)
    return asyncio.run(_perform(settings, verb, arguments))


async def _perform(settings: Settings, verb: str, arguments: Mapping[str, object]) -> object:
    async with open_core(settings) as core:
        return await core.administration().perform(verb, arguments)


@dataclass(frozen=True, slots=True)
class Gateway:
    """Everything that serves: the use cases over an open core, its providers and its sandbox."""

    core: Core
    sandbox: Sandbox
    complete_chat: CompleteChat
    list_models: ListModels
    execute: ExecuteDocument
    validate: ValidateDocument
    runs: ReadRuns
    authenticate: Authenticate
    refusals: RecordRefusals
    administration: Administration


@asynccontextmanager
async def open_gateway(settings: Settings) -> AsyncIterator[Gateway]:
    """Start the sandbox, open the core, resolve the secrets and wire the use cases.

    The order is a promise: the sandbox's helper is exec'd before this process knows any secret.
    """
    async with AsyncExitStack() as stack:
        box = await sandbox.choose(preferred=settings.sandbox.backend)
        stack.push_async_callback(box.close)
        core = await stack.enter_async_context(open_core(settings))
        secrets = await _secrets(core)
        session = await stack.enter_async_context(aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()))
        providers = _providers(settings, secrets)
        for provider in providers.values():
            stack.push_async_callback(provider.close)
        chat = _complete_chat(core, providers)
        stack.push_async_callback(chat.close)
        call_api = CallAPI(_apis(settings, secrets, session), core.books, clock)
        yield _gateway(core, box, chat, call_api)


async def _secrets(core: Core) -> dict[str, Secret]:
    settings = core.settings
    source = settings.source
    return await resolve(
        settings.secrets(),
        {
            Scheme.ENV: EnvironmentSource(os.environ, source.dotenv),
            Scheme.FILE: FileSource(source.folder),
            Scheme.KEYSTORE: Keystore(core.folder.keystore, core.quad),
        },
    )


def _providers(settings: Settings, secrets: Mapping[str, Secret]) -> dict[str, OpenAIProvider]:
    return {
        name: OpenAIProvider(name, one.base_url, secrets.get(f"providers.{name}.key"), emulator=one.emulator)
        for name, one in settings.providers.items()
    }


def _apis(
    settings: Settings, secrets: Mapping[str, Secret], session: aiohttp.ClientSession
) -> dict[str, HTTPOutsideAPI]:
    return {
        name: HTTPOutsideAPI(
            name=name,
            base_url=api.base_url,
            paths=api.paths,
            secret=secrets.get(f"apis.{name}.secret"),
            placement=parse_placement(api.placement),
            session=session,
        )
        for name, api in settings.apis.items()
    }


def _complete_chat(core: Core, providers: Mapping[str, Provider]) -> CompleteChat:
    package = resources.files("macroslow.metering")
    catalogue = _catalogue(core.settings, parse_catalogue(package.joinpath("catalogue.toml").read_bytes()))
    vocabulary = package.joinpath("vocabularies", "o200k_base.tiktoken.gz").read_bytes()
    return CompleteChat(
        providers=providers,
        catalogue=catalogue,
        counter=count.load(vocabulary),
        books=core.books,
        admission=Admission(_quotas(core.settings, catalogue), clock),
        clock=clock,
        entropy=entropy,
    )


def _catalogue(settings: Settings, catalogue: Catalogue) -> Catalogue:
    """The catalogue with the operator's models, each model given to the provider that serves it."""
    added = {
        name: {
            "provider": "openai",
            "upstream": name,
            "encoding": model.encoding or "o200k_base",
            "context_tokens": model.context_tokens or 128_000,
            "max_output_tokens": model.max_output_tokens or 16_384,
            "input_usd_micros": _micros(model.input_usd),
            "cached_input_usd_micros": _micros(model.cached_input_usd or model.input_usd),
            "output_usd_micros": _micros(model.output_usd),
            "top_output_tokens_per_s": 500,
        }
        for name, model in settings.models.items()
    }
    whole = catalogue.with_models(added)
    return Catalogue(
        {name: replace(m, provider=_provider_of(settings, m.upstream)) for name, m in whole.models.items()}
    )


def _provider_of(settings: Settings, model: str) -> str:
    """The provider that names the model, by its longest pattern; else the first that names none."""
    named = [
        (len(pattern), name)
        for name, provider in settings.providers.items()
        for pattern in provider.models or ()
        if pattern == model or (pattern.endswith("*") and model.startswith(pattern[:-1]))
    ]
    open_to_all = [name for name, provider in settings.providers.items() if provider.models is None]
    return max(named)[1] if named else next(iter(open_to_all), "")


def _micros(usd: Decimal) -> int:
    """Micro-dollars, rounded up."""
    return int((usd * 1_000_000).to_integral_value(ROUND_CEILING))


def _quotas(settings: Settings, catalogue: Catalogue) -> dict[tuple[str, str], Quota]:
    quotas = {}
    for model in catalogue.models.values():
        if model.provider in settings.providers:
            limits = settings.providers[model.provider].limits
            quotas[model.provider, model.name] = Quota(
                requests=per_minute("requests per minute", limits.rpm) if limits.rpm else None,
                tokens=per_minute("tokens per minute", limits.tpm) if limits.tpm else None,
                concurrent=limits.concurrency,
            )
    return quotas


def _gateway(core: Core, box: Sandbox, chat: CompleteChat, call_api: CallAPI) -> Gateway:
    settings = core.settings
    admit = AdmitDocument(core.signers, _document_rules(settings), clock)
    under_way: dict[str, asyncio.Task[Outcome]] = {}
    execute = ExecuteDocument(
        admit=admit,
        books=core.books,
        sandbox=box,
        complete_chat=chat,
        call_api=call_api,
        open_egress=egress_opener(ListModels(chat.providers, chat.catalogue), clock, entropy),
        prove=core.prove,
        signer=core.signer,
        quad=core.quad,
        clock=clock,
        entropy=entropy,
        rules=RunRules(settings.sandbox.limits.bounds, RUN_BUDGET_USD_MICROS),
        under_way=under_way,
        slots=asyncio.Semaphore(settings.sandbox.runs_at_once),
    )
    return Gateway(
        core=core,
        sandbox=box,
        complete_chat=chat,
        list_models=ListModels(chat.providers, chat.catalogue),
        execute=execute,
        validate=ValidateDocument(admit),
        runs=ReadRuns(core.books, core.quad, core.signer, core.prove, under_way),
        authenticate=Authenticate(core.keyring, core.keys.api_key_pepper, clock),
        refusals=RecordRefusals(core.books, clock),
        administration=core.administration(execute),
    )


def _document_rules(settings: Settings) -> DocumentRules:
    installed = {dist.name: dist.version for dist in metadata.distributions()}
    return DocumentRules(
        signatures=SignatureRule(settings.signature_rule),
        operator=OperatorRights(
            gateway_names=tuple(dict.fromkeys((settings.gateway.name, *settings.gateway.aliases))),
            model_providers=frozenset(settings.providers),
            apis=frozenset(settings.apis),
            circuits=False,
        ),
        runtime=Runtime(installed, noise_models=frozenset()),
    )


@dataclass(frozen=True, slots=True)
class Started:
    """What the operator is told once the gateway serves."""

    url: str
    sandbox: str
    notes: tuple[str, ...]


async def serve(settings: Settings, announce: Callable[[Started], None]) -> None:
    """Serve until SIGINT or SIGTERM, then end in order. Raises ConfigurationError if it cannot start."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    sockets = bind(settings.server.host, settings.server.port)
    grace_s = settings.server.shutdown_grace_s
    async with (
        open_gateway(settings) as gateway,
        open_edges(gateway) as edges,
        serve_gate(edges.gate, sockets, edges.lifecycle, grace_s=grace_s),
    ):
        announce(_started(gateway, sockets[0]))
        await stop.wait()


@dataclass(frozen=True, slots=True)
class Edges:
    """The gate and what belongs to it."""

    gate: Gate
    lifecycle: Lifecycle


@asynccontextmanager
async def open_edges(gateway: Gateway) -> AsyncIterator[Edges]:
    """Build the gate, open the control socket and keep the tasks that serve both."""
    core, settings = gateway.core, gateway.core.settings
    lifecycle = Lifecycle()
    mcp = MCPEndpoint(
        _tools(gateway).handlers, version=__version__, max_body_bytes=settings.server.max_body_bytes
    )
    gate = Gate(
        _application(gateway, mcp, lifecycle),
        ROUTES,
        gateway.authenticate,
        gateway.refusals,
        clock,
        entropy,
        GateSettings(
            hosts=settings.server.hosts,
            bytes_in_flight=settings.server.in_flight_bytes,
            body_deadline_s=settings.server.receive_timeout_s,
            requests_per_minute=settings.keys.requests_per_minute,
        ),
    )
    await _note(core, EventType.SERVER_STARTED, {"version": __version__, "sandbox": gateway.sandbox.backend})
    recording = asyncio.create_task(gateway.refusals.run())
    try:
        async with control.serve_control(core.folder.control_socket, gateway.administration.perform):
            yield Edges(gate, lifecycle)
    finally:
        recording.cancel()
        await asyncio.wait({recording})
        await mcp.close()
        await gateway.refusals.flush(closing=True)
        await _note(core, EventType.SERVER_STOPPED, {"version": __version__})


def _application(gateway: Gateway, mcp: MCPEndpoint, lifecycle: Lifecycle) -> Application:
    books = gateway.core.books
    return Application(
        complete_chat=gateway.complete_chat,
        models=gateway.list_models,
        execute_document=gateway.execute,
        validate_document=gateway.validate,
        runs=gateway.runs,
        info=partial(_info, gateway),
        ready=list,
        checkpoint=gateway.core.checkpoints.newest,
        usage_by_model=partial(books.usage, "model"),
        mcp=mcp,
        metrics=Metrics(),
        lifecycle=lifecycle,
    )


def _tools(gateway: Gateway) -> AgentTools:
    return AgentTools(gateway.execute, gateway.validate, gateway.complete_chat, gateway.core.books, entropy)


def _info(gateway: Gateway) -> dict[str, object]:
    settings = gateway.core.settings
    return {
        "name": settings.gateway.name,
        "version": __version__,
        "profile": settings.gateway.profile,
        "mode": settings.gateway.mode,
        "signatures": settings.signature_rule,
        "sandbox": {"backend": gateway.sandbox.backend, "level": gateway.sandbox.level.value},
        "providers": {
            name: {"kind": p.kind, "emulator": p.emulator} for name, p in settings.providers.items()
        },
        "apis": sorted(settings.apis),
        "log": {"origin": settings.log_origin, "key_fingerprint": gateway.core.keys.log.public.fingerprint},
    }


def _started(gateway: Gateway, listener: socket.socket) -> Started:
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    box, settings, recovered = gateway.sandbox, gateway.core.settings, gateway.core.recovered
    notes = [f"state {settings.state_folder}, documents' signatures {settings.signature_rule}"]
    if box.level is Level.NONE:
        notes.append("no sandbox works here: code blocks are refused (macroslow doctor says why)")
    else:
        notes.append(f"sandbox {box.backend} ({box.level})")
    if not settings.providers:
        notes.append("no provider is configured: model calls are refused (macroslow init writes one)")
    if recovered.calls or recovered.runs:
        notes.append(
            f"after a crash: {recovered.calls} calls charged in full (${recovered.usd_micros / 1e6:.6f}),"
            f" {recovered.runs} runs reported as interrupted"
        )
    return Started(f"http://{shown}:{port}", box.level.value, tuple(notes))


async def _note(core: Core, event_type: EventType, fields: Mapping[str, object]) -> None:
    """One entry about the gateway itself."""
    await core.books.commit(Append(Event(event_type, clock.now_ns(), GATEWAY_SUBJECT, fields)))


def administer_gateway(settings: Settings, verb: str, arguments: Mapping[str, object]) -> Mapping[str, Any]:
    """As `administer`, for verbs that need providers and a sandbox: those of a server, or our own."""
    path = statefolder.prepare(settings.state_folder).control_socket
    if control.is_alive(path):
        outcome = control.call(path, verb, arguments)
    else:
        outcome = asyncio.run(_perform_whole(settings, verb, arguments))
    assert isinstance(outcome, Mapping)  # noqa: S101 (every verb's own shape)
    return outcome


async def _perform_whole(settings: Settings, verb: str, arguments: Mapping[str, object]) -> object:
    async with open_gateway(settings) as gateway:
        return await gateway.administration.perform(verb, arguments)


def create_app(config: Settings | Path | None = None) -> ASGIApp:
    """The gateway as an ASGI application; its lifespan opens and closes everything."""
    settings = config if isinstance(config, Settings) else load(config, os.environ)
    stack, edges = AsyncExitStack(), list[Edges]()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await edges[0].gate(scope, receive, send)
            return
        await receive()
        try:
            edges.append(await _enter(stack, settings))
        except ConfigurationError as error:
            await send({"type": "lifespan.startup.failed", "message": error.detail})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        edges[0].lifecycle.stop()
        await stack.aclose()
        await send({"type": "lifespan.shutdown.complete"})

    return app


async def _enter(stack: AsyncExitStack, settings: Settings) -> Edges:
    try:
        gateway = await stack.enter_async_context(open_gateway(settings))
        edges = await stack.enter_async_context(open_edges(gateway))
    except BaseException:
        await stack.aclose()
        raise
    edges.lifecycle.serve()
    return edges
