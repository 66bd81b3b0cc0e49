"""The whole configuration as one checked, frozen value."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

from pydantic import AfterValidator, Field, PlainSerializer, PrivateAttr

from macroslow.secretstore.resolve import Wanted
from macroslow.settings.fields import Table, is_loopback
from macroslow.settings.origin import KeyPath, Origin
from macroslow.settings.sections import (
    API,
    Auth,
    Documents,
    Gateway,
    Keys,
    Log,
    Model,
    Provider,
    Sandbox,
    Section,
    Server,
    SignatureRule,
    State,
)


@dataclass(frozen=True, slots=True)
class Source:
    """Where the values came from: the file, the `.env` beside it, and the origin of each value set."""

    folder: Path = Path()
    file: Path | None = None
    dotenv: Path | None = None
    origins: Mapping[KeyPath, Origin] = field(default_factory=lambda: MappingProxyType({}))


class Settings(Section):
    """The whole configuration, checked. `source` says where each value came from."""

    gateway: Gateway = Gateway()
    server: Server = Server()
    state: State = State()
    providers: Table[Provider] = Field(default_factory=dict)
    models: Annotated[Mapping[str, Model], AfterValidator(MappingProxyType), PlainSerializer(dict)] = Field(
        default_factory=dict
    )
    documents: Documents = Documents()
    apis: Table[API] = Field(default_factory=dict)
    sandbox: Sandbox = Sandbox()
    log: Log = Log()
    keys: Keys = Keys()
    auth: Auth = Auth()

    _source: Source = PrivateAttr(default_factory=Source)

    @property
    def source(self) -> Source:
        """File, folder and origin of each value."""
        return self._source

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

    def secrets(self) -> tuple[Wanted, ...]:
        """Every setting that refers to a secret, for `secretstore.resolve`."""
        named = {("providers", name, "key"): one.key for name, one in self.providers.items()}
        named |= {("apis", name, "secret"): one.secret for name, one in self.apis.items()}
        wanted = []
        for path, reference in named.items():
            if reference is not None:
                origin = self.source.origins.get(path, Origin(""))
                wanted.append(Wanted(".".join(path), reference, origin.place, origin.line))
        return tuple(wanted)


@cache
def schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of the configuration file."""
    return Settings.model_json_schema()
