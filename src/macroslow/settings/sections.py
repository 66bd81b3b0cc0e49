"""The sections of the configuration: every setting's name, kind, default and bounds, written down once.

Amounts carry their unit in their name. An unknown key is an error, and so is a value that another
version understands and this one does not: nothing in a configuration is ever ignored.
"""

from pathlib import Path
from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from macroslow.authz.scopes import ALL
from macroslow.settings.fields import (
    LOOPBACK_NAMES,
    USD,
    BaseURL,
    Count,
    Listen,
    LowerCase,
    Name,
    PathPrefix,
    Placement,
    SecretReference,
    Texts,
    check_plain_http,
    refuse,
    split_listen,
)
from macroslow.workflow.sandbox import Limits

MIB: Final = 1024 * 1024
_LIMITS: Final = Limits()
SignatureRule = Literal["required", "flagged", "optional"]


def _only(available: str, *later: str) -> AfterValidator:
    """Refuse the values that only another version can act on."""

    def check(value: str) -> str:
        if value in later:
            raise refuse(f'"{value}" is not available in this version', f'write "{available}"')
        return value

    return AfterValidator(check)


Encoding = Annotated[Literal["o200k_base", "cl100k_base"], _only("o200k_base", "cl100k_base")]


class Section(BaseModel):
    """One table of the file: frozen, strict about types, closed to unknown keys."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        extra="forbid", frozen=True, strict=True, validate_default=True
    )


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
    mode: Annotated[Literal["enforce", "observe"], _only("enforce", "observe")] = "enforce"
    environment: str = "development"


class Server(Section):
    """The listener, and what it takes in."""

    listen: Listen = "127.0.0.1:8000"
    allowed_hosts: Texts = ()
    max_body_bytes: Annotated[int, Field(ge=1024, le=512 * MIB)] = 8 * MIB
    in_flight_bytes: Annotated[int, Field(ge=1024)] = 256 * MIB
    receive_timeout_s: Annotated[float, Field(gt=0, le=3600)] = 30.0
    shutdown_grace_s: Annotated[float, Field(ge=0, le=600)] = 10.0
    log_level: Annotated[Literal["debug", "info", "warning", "error", "critical"], LowerCase] = "info"

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
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    @property
    def hosts(self) -> frozenset[str]:
        """Host names that requests may carry: loopback's, the listener's own and those allowed."""
        return LOOPBACK_NAMES | {self.host} | frozenset(self.allowed_hosts)

    @model_validator(mode="after")
    def _bodies_fit(self) -> Self:
        if self.in_flight_bytes < self.max_body_bytes:
            raise refuse("in_flight_bytes is below max_body_bytes", "raise in_flight_bytes")
        return self


class State(Section):
    """Where everything is kept. Relative to the configuration file."""

    folder: Annotated[Path, Field(strict=False)] = Path(".macroslow")


class ProviderLimits(Section):
    """What the provider accepts, where it is known beforehand: per minute, and calls at once."""

    rpm: Count | None = None
    tpm: Count | None = None
    concurrency: Count | None = None


class Provider(Section):
    """One model provider. `key` is sent to `base_url` and nowhere else.

    `models` are exact names, or prefixes ending in `*`; without it the provider serves every
    model that no other provider names.
    """

    kind: Annotated[Literal["openai", "anthropic"], _only("openai", "anthropic")] = "openai"
    base_url: BaseURL
    key: SecretReference | None = None
    emulator: bool = False
    plain_http: bool = False
    models: Texts | None = None
    limits: ProviderLimits = ProviderLimits()

    @model_validator(mode="after")
    def _encrypted(self) -> Self:
        check_plain_http(self.base_url, allowed=self.plain_http)
        return self


class Model(Section):
    """Price and bounds of a model that the catalogue does not have. US dollars for a million tokens."""

    input_usd: USD
    output_usd: USD
    cached_input_usd: USD | None = None
    context_tokens: Count | None = None
    max_output_tokens: Count | None = None
    encoding: Encoding | None = None


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
        Literal["auto", "native", "bubblewrap", "landlock", "none"], _only("auto", "bubblewrap")
    ] = "auto"
    runs_at_once: Count = 8
    limits: SandboxLimits = SandboxLimits()


def _not_public(value: bool) -> bool:
    if value:
        raise refuse("a public log is not available in this version", "remove public")
    return value


class Log(Section):
    """The audit log: its name in checkpoints, and whether everybody may read its tiles."""

    origin: Annotated[str, Field(pattern=r"^[!-*,-~]{1,200}$")] | None = None  # C2SP: no space, no plus
    public: Annotated[bool, AfterValidator(_not_public)] = False


def _scopes(value: tuple[str, ...]) -> tuple[str, ...]:
    if not set(value) <= ALL:
        raise refuse("not a scope", "choose among " + ", ".join(sorted(ALL)))
    return value


class Keys(Section):
    """What a new client key gets unless told otherwise. None: no bound."""

    budget_usd: USD | None = None
    requests_per_minute: Count | None = None
    expires_days: Count | None = None
    scopes: Annotated[Texts, AfterValidator(_scopes)] | None = None


def _no_byok(value: bool) -> bool:
    if value:
        raise refuse("callers' own provider keys are not available in this version", "remove byok")
    return value


class Auth(Section):
    """Kinds of credential besides client keys: none in this version."""

    byok: Annotated[bool, AfterValidator(_no_byok)] = False
