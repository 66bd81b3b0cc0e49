"""The whole configuration as one checked, frozen value."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Final, Self

from pydantic import AfterValidator, Field, PlainSerializer, PrivateAttr, model_validator

from macroslow.metering.budgets import BudgetRule
from macroslow.secretstore.reference import Reference
from macroslow.secretstore.resolve import Wanted
from macroslow.settings.fields import LOOPBACK_NAMES, Table, is_loopback, refuse, split_listen
from macroslow.settings.images import Images
from macroslow.settings.issuers.auth import Auth
from macroslow.settings.log import Log
from macroslow.settings.mcp import MCP
from macroslow.settings.origin import KeyPath, Origin, nearest
from macroslow.settings.section import Section
from macroslow.settings.sections import (
    API,
    Administration,
    Documents,
    Gateway,
    Sandbox,
    Server,
    SignatureRule,
    State,
)
from macroslow.settings.spending import Alerts, BudgetSection, Keys
from macroslow.settings.telemetry import Telemetry
from macroslow.settings.upstream import Model, Provider, Queue, Upstream

_HOW_TO_SERVE: Final = frozenset({"server", "gateway"})  # where the variables lie that every platform sets


@dataclass(frozen=True, slots=True)
class Source:
    """Where the values came from: the file, the `.env` beside it, and the origin of each value set."""

    folder: Path = Path()
    file: Path | None = None
    dotenv: Path | None = None
    origins: Mapping[KeyPath, Origin] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def describes_gateway(self) -> bool:
        """Whether there is a file, or variables or options say more than how to serve, as PORT does."""
        return self.file is not None or any(path and path[0] not in _HOW_TO_SERVE for path in self.origins)


class Settings(Section):
    """The whole configuration, checked. `source` says where each value came from."""

    gateway: Gateway = Gateway()
    server: Server = Server()
    administration: Administration = Administration()
    state: State = State()
    providers: Table[Provider] = Field(default_factory=dict)
    models: Annotated[Mapping[str, Model], AfterValidator(MappingProxyType), PlainSerializer(dict)] = Field(
        default_factory=dict
    )
    budgets: Annotated[tuple[BudgetSection, ...], Field(strict=False, max_length=1000)] = ()
    alerts: Alerts = Alerts()
    queue: Queue = Queue()
    upstream: Upstream = Upstream()
    documents: Documents = Documents()
    apis: Table[API] = Field(default_factory=dict)
    sandbox: Sandbox = Sandbox()
    log: Log = Field(default_factory=Log)
    keys: Keys = Keys()
    auth: Auth = Field(default_factory=Auth)
    telemetry: Telemetry = Field(default_factory=Telemetry)
    mcp: MCP = Field(default_factory=MCP)
    images: Images = Field(default_factory=Images)

    _source: Source = PrivateAttr(default_factory=Source)

    @model_validator(mode="after")
    def _development_stays_here(self) -> Self:
        server = self.server
        settings = {
            "listen": not is_loopback(server.host),
            "allowed_hosts": server.allowed_hosts,
            "trusted_proxies": server.trusted_proxies,
        }
        reached = ", ".join(f"server.{name}" for name, opens in settings.items() if opens)
        if reached and any(issuer.is_development for issuer in self.auth.issuers.values()):
            raise refuse(
                f"a development issuer counts on this machine alone, and others come by {reached}",
                f'remove the issuer with preset = "development", or what lets others in: {reached}',
            )
        return self

    @model_validator(mode="after")
    def _administrators_are_not_overheard(self) -> Self:
        listen = self.administration.listen
        if listen is not None and self.server.tls is None and not is_loopback(split_listen(listen)[0]):
            raise refuse(
                "administration.listen is beyond loopback without [server.tls]: keys could be overheard",
                "set [server.tls], or listen on 127.0.0.1 and come through ssh: ssh -L 8001:127.0.0.1:8001",
            )
        return self

    @model_validator(mode="after")
    def _own_keys_have_a_place(self) -> Self:
        named = self.auth.byok
        if named and named not in self.providers:
            raise refuse(f"auth.byok names no provider: {named}", "name one of [providers]")
        if named and not self.auth.issuers:
            raise refuse("auth.byok without an issuer: nobody could use it", "configure [auth.issuers]")
        return self

    @property
    def source(self) -> Source:
        """File, folder and origin of each value."""
        return self._source

    @property
    def observes(self) -> bool:
        """Whether nothing is refused: the operator only looks on."""
        return self.gateway.mode == "observe"

    @property
    def is_exposed(self) -> bool:
        """Whether credentials may cross a network in clear: no TLS here, and no proxy named that has it."""
        server = self.server
        return server.tls is None and not server.trusted_proxies and not is_loopback(server.host)

    @property
    def administration_hosts(self) -> frozenset[str]:
        """Host names that administrators' requests may carry."""
        listen = self.administration.listen
        own = frozenset() if listen is None else frozenset({split_listen(listen)[0]})
        return LOOPBACK_NAMES | own | frozenset(self.administration.allowed_hosts)

    @property
    def signature_rule(self) -> SignatureRule:
        """The rule in force: as set, else optional where only this machine can ask, and required elsewhere.

        Names in `allowed_hosts` say that a proxy lets others in, though the listener is on loopback.
        """
        alone = is_loopback(self.server.host) and not self.server.allowed_hosts
        return self.documents.signatures or ("optional" if alone else "required")

    @property
    def log_origin(self) -> str:
        """The log's name in checkpoints (C2SP tlog-checkpoint, origin)."""
        return self.log.origin or f"macroslow/{self.gateway.name}"

    @property
    def state_folder(self) -> Path:
        """The state folder, resolved against the folder of the configuration."""
        return self.source.folder / self.state.folder

    @property
    def budget_rules(self) -> tuple[BudgetRule, ...]:
        """[[budgets]] as the ledger takes them."""
        return tuple(one.rule for one in self.budgets)

    def secrets(self) -> tuple[Wanted, ...]:
        """Every setting whose secret a server needs, for `secretstore.resolve`."""
        accounts = [one for name, provider in self.providers.items() for one in provider.accounts(name)]
        named = {one.setting: one.key for one in accounts}
        named |= {f"apis.{name}.secret": one.secret for name, one in self.apis.items()}
        named |= {f"images.{name}.key": one.key for name, one in self.images.named.items()}
        named |= {f"auth.issuers.{name}.secret": one.secret for name, one in self.auth.issuers.items()}
        named |= {"state.database": self.state.database, "state.rates": self.state.rates}
        named |= {f"alerts.webhooks[{n}].secret": one.secret for n, one in enumerate(self.alerts.webhooks)}
        named |= {f"telemetry.headers.{name}": one for name, one in self.telemetry.headers.items()}
        for server, each in self.mcp.servers.items():
            named |= {f"mcp.servers.{server}.headers.{name}": one for name, one in each.headers.items()}
            named |= {f"mcp.servers.{server}.secrets.{name}": one for name, one in each.secrets.items()}
        return tuple(self._wanted(setting, reference) for setting, reference in named.items() if reference)

    def store_secrets(self) -> tuple[Wanted, ...]:
        """Those that are needed to open the books."""
        return () if self.state.database is None else (self._wanted("state.database", self.state.database),)

    def usage_secrets(self) -> tuple[Wanted, ...]:
        """The administrators' keys that `usage reconcile` asks providers with, and no server holds."""
        named = {f"providers.{name}.usage_key": one.usage_key for name, one in self.providers.items()}
        return tuple(self._wanted(setting, reference) for setting, reference in named.items() if reference)

    def _wanted(self, setting: str, reference: Reference) -> Wanted:
        path = tuple(setting.replace("[", ".[").split("."))
        origin = nearest(path, self.source.origins)
        return Wanted(setting, reference, origin.place, origin.line)


@cache
def schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of the configuration file."""
    return Settings.model_json_schema()
