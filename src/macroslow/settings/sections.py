"""The sections of the configuration: every setting's name, kind, default and bounds, written down once.

Those about providers are in `upstream`, those about money in `spending`.

Amounts carry their unit in their name. An unknown key is an error, and so is a value that another
version understands and this one does not: nothing in a configuration is ever ignored.
"""

from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from macroslow.ports import MIB
from macroslow.settings.fields import (
    LOOPBACK_NAMES,
    BaseURL,
    Count,
    Listen,
    LowerCase,
    Name,
    Networks,
    PathPrefix,
    Placement,
    SecretReference,
    Texts,
    check_plain_http,
    refuse,
    split_listen,
)
from macroslow.settings.section import Section, needs_extra, only
from macroslow.workflow.sandbox import Limits

_LIMITS: Final = Limits()
PRODUCTION: Final = "production"
SignatureRule = Literal["required", "flagged", "optional"]


class Gateway(Section):
    """Who this gateway is and how it behaves as a whole."""

    name: Name = "local"
    aliases: Annotated[tuple[Name, ...], Field(strict=False)] = (
        "local",
        "dunes-mcp",
        "chimera-mcp",
        "glastonbury-mcp",
    )
    profile: Literal["dunes", "chimera", "glastonbury"] = "dunes"
    mode: Literal["enforce", "observe"] = "enforce"
    environment: str = "development"

    @property
    def is_production(self) -> bool:
        """Whether real work depends on it, so that an emulator is refused as provider."""
        return self.environment.lower() == PRODUCTION


class TLS(Section):
    """A PEM chain and its unencrypted key, relative to the configuration file; renewed ones are taken."""

    certificate: Annotated[Path, Field(strict=False)]
    key: Annotated[Path, Field(strict=False)]


class Server(Section):
    """The listener, and what it takes in.

    `trusted_proxies` are the networks whose `x-forwarded-for` and `x-forwarded-proto` are believed.
    """

    listen: Listen = "127.0.0.1:8000"
    tls: TLS | None = None
    trusted_proxies: Networks = ()
    connections: Annotated[int, Field(ge=1, le=100_000)] = 1000
    allowed_hosts: Texts = ()
    max_body_bytes: Annotated[int, Field(ge=1024, le=512 * MIB)] = 8 * MIB
    in_flight_bytes: Annotated[int, Field(ge=1024)] = 256 * MIB
    receive_timeout_s: Annotated[float, Field(gt=0, le=3600)] = 30.0
    failures_per_minute: Annotated[int, Field(ge=1, le=1_000_000)] = 120
    shutdown_grace_s: Annotated[float, Field(ge=0, le=600)] = 10.0
    log_level: Annotated[Literal["debug", "info", "warning", "error", "critical"], LowerCase] = "info"
    log_format: Literal["text", "json"] = "text"

    @property
    def host(self) -> str:
        """The address to bind, without brackets."""
        return split_listen(self.listen)[0]

    @property
    def port(self) -> int:
        """The port to bind; 0 lets the system choose."""
        return split_listen(self.listen)[1]

    @property
    def url(self) -> str:
        """Where a client on this machine finds the listener."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104 (compared, not bound)
        scheme = "http" if self.tls is None else "https"
        return f"{scheme}://[{host}]:{self.port}" if ":" in host else f"{scheme}://{host}:{self.port}"

    @property
    def hosts(self) -> frozenset[str]:
        """Host names that requests may carry: loopback's, the listener's own and those allowed."""
        return LOOPBACK_NAMES | {self.host} | frozenset(self.allowed_hosts)

    @model_validator(mode="after")
    def _bodies_fit(self) -> Self:
        if self.in_flight_bytes < self.max_body_bytes:
            raise refuse("in_flight_bytes is below max_body_bytes", "raise in_flight_bytes")
        return self


class Administration(Section):
    """A listener for administrators besides `control.sock`; `allow` are the networks that reach it."""

    listen: Listen | None = None
    allow: Networks = ("127.0.0.0/8", "::1/128")
    allowed_hosts: Texts = ()


class State(Section):
    """Where everything is kept. The folder is relative to the configuration file.

    Several processes share `database` (a PostgreSQL URL) for the books and `rates` (a Redis URL) for
    the counts of the providers' limits; each is a secret, as it holds a password.
    """

    folder: Annotated[Path, Field(strict=False)] = Path(".macroslow")
    database: Annotated[SecretReference | None, needs_extra("asyncpg", "postgres")] = None
    rates: Annotated[SecretReference | None, needs_extra("redis", "redis")] = None


class Documents(Section):
    """Which documents must be signed. None: required beyond loopback, optional on it."""

    signatures: SignatureRule | None = None


class API(Section):
    """One outside API that runs may be granted as api://NAME."""

    base_url: BaseURL
    secret: SecretReference | None = None
    placement: Placement = "bearer"
    plain_http: bool = False
    methods: Annotated[tuple[Literal["GET"], ...], Field(strict=False)] = ("GET",)
    paths: Annotated[tuple[PathPrefix, ...], Field(strict=False)] = ("/",)

    @model_validator(mode="after")
    def _encrypted(self) -> Self:
        check_plain_http(self.base_url, allowed=self.plain_http)
        return self


class SandboxLimits(Section):
    """Bounds of one run, as workflow.sandbox.Limits has them."""

    wall_s: Annotated[float, Field(gt=0, le=3600)] = _LIMITS.wall_s
    cpu_s: Count = _LIMITS.cpu_s
    memory_bytes: Annotated[int, Field(ge=32 * MIB)] = _LIMITS.memory_bytes
    output_bytes: Count = _LIMITS.output_bytes
    result_bytes: Count = _LIMITS.result_bytes
    file_bytes: Count = _LIMITS.file_bytes
    files: Annotated[int, Field(ge=16)] = _LIMITS.files
    processes: Count = _LIMITS.processes
    open_files_per_process: Annotated[int, Field(ge=16)] = _LIMITS.open_files_per_process

    @property
    def bounds(self) -> Limits:
        """The same, as the sandbox takes them."""
        return Limits(**self.model_dump())


class Sandbox(Section):
    """What runs code blocks, how much of the machine one run gets, and how many run at once."""

    backend: Annotated[
        Literal["auto", "native", "bubblewrap", "landlock", "none"], only("auto", "bubblewrap")
    ] = "auto"
    runs_at_once: Count = 8
    limits: SandboxLimits = SandboxLimits()
