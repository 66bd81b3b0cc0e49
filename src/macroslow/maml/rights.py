"""What a document asks for, and what of it document, caller and operator all allow.

A document asks in `permissions.execute` (`gateway://`, `api://`, `quantum://`), in `permissions.read` and
`write` (data sources), and for model providers also in `requires`. Each thing that this gateway has is one
concrete URI, decided by `authz.decision`; patterns are never intersected. What a document names literally
and does not get refuses the run; what a pattern merely could have covered is left out.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from macroslow.authz.decision import Decision, Party, decide
from macroslow.authz.uri import URI, Pattern, any_covers
from macroslow.errors import BadRequestError, ConfigurationError, MissingRightError, Problem
from macroslow.maml.document import Parsed
from macroslow.maml.requirements import package_name

GATEWAY_NAMES: Final = ("local", "dunes-mcp", "chimera-mcp", "glastonbury-mcp")
CIRCUITS: Final = URI("quantum", ("simulator",))
"""The one thing that `quantum://…` opens here: simulating circuits."""

_KNOWN_SCHEMES: Final = frozenset({"gateway", "api", "quantum"})


@dataclass(frozen=True, slots=True)
class OperatorRights:
    """What this gateway has to offer, all of it named by its operator.

    `model_providers` and `apis` are the names behind `api://NAME`; `sources` those of data sources.
    """

    gateway_names: tuple[str, ...] = GATEWAY_NAMES
    model_providers: frozenset[str] = frozenset()
    apis: frozenset[str] = frozenset()
    sources_read: frozenset[str] = frozenset()
    sources_write: frozenset[str] = frozenset()
    circuits: bool = True

    def offers(self, uri: URI) -> bool:
        """Whether this gateway has what `uri` names, for somebody."""
        match uri.scheme, uri.segments:
            case "gateway", (name,):
                return name in self.gateway_names
            case "api", (name,):
                return name in self.model_providers or name in self.apis
            case "quantum", _:
                return self.circuits and uri == CIRCUITS
            case scheme, ("all",):
                return scheme in self.sources_read or scheme in self.sources_write
            case _:
                return False


@dataclass(frozen=True, slots=True)
class Rights:
    """What one run may touch: every member was decided against document, caller and operator."""

    gateway: str
    providers: tuple[str, ...] = ()
    apis: tuple[str, ...] = ()
    sources_read: tuple[str, ...] = ()
    sources_write: tuple[str, ...] = ()
    circuits: bool = False
    warnings: tuple[Problem, ...] = field(default=(), compare=False)

    @property
    def uris(self) -> tuple[str, ...]:
        """Every right as a concrete URI, for the log and the receipt."""
        apis = sorted({*self.providers, *self.apis})
        return (
            f"gateway://{self.gateway}",
            *(f"api://{name}" for name in apis),
            *(f"read:{source_uri(name)}" for name in self.sources_read),
            *(f"write:{source_uri(name)}" for name in self.sources_write),
            *((str(CIRCUITS),) if self.circuits else ()),
        )


def source_uri(name: str) -> URI:
    """The whole of a data source. Its name is the scheme, so `NAME://*` asks for it."""
    return URI(name, ("all",))


def decide_rights(
    parsed: Parsed, *, caller_grants: Sequence[Sequence[str]], operator: OperatorRights
) -> Rights:
    """Decide everything that the document asks for.

    Raises MissingRightError for the first thing that it names and does not get; its `fix` is the line
    to write into the front matter, or says whose decision is missing. `caller_grants` are the patterns
    of each credential that the caller came with.
    """
    decider = _Decider(parsed, tuple(map(_patterns, caller_grants)))
    gateway = decider.gateway(operator)
    return Rights(
        gateway=gateway,
        providers=decider.providers(operator),
        apis=decider.apis(operator),
        sources_read=decider.sources("read", operator.sources_read),
        sources_write=decider.sources("write", operator.sources_write),
        circuits=decider.circuits(operator),
        warnings=tuple(decider.unheard_of(operator)),
    )


def declared_providers(parsed: Parsed, known: Iterable[str]) -> frozenset[str]:
    """The `known` model providers that `requires` declares, in `apis` or by a library of that name."""
    apis = {entry.partition("/")[0] for entry in parsed.front.requires.apis}
    libs = {package_name(entry) for entry in parsed.front.requires.libs}
    return frozenset(
        name
        for name in known
        if name in apis or name in libs or any(lib.startswith(f"{name}-") for lib in libs)
    )


@dataclass(frozen=True, slots=True)
class _Decider:
    """One document and one caller, asked about one thing after another."""

    parsed: Parsed
    callers: tuple[tuple[Pattern, ...], ...]

    def gateway(self, operator: OperatorRights) -> str:
        """The name under which the document may run here."""
        decisions = [self._execute(URI("gateway", (name,)), True) for name in operator.gateway_names]
        allowed = [decision for decision in decisions if decision.allowed]
        if allowed:
            return allowed[0].uri.segments[0]
        asked = [decision for decision in decisions if decision.missing is not Party.DOCUMENT]
        raise self._missing((asked or decisions)[0], "execute")

    def providers(self, operator: OperatorRights) -> tuple[str, ...]:
        """Model providers: by `api://NAME`, or by what `requires` declares."""
        named = {entry.partition("/")[0] for entry in self.parsed.front.requires.apis if "/" in entry}
        declared = declared_providers(self.parsed, operator.model_providers | named)
        also = tuple(Pattern("api", (name,), open_ended=False) for name in declared)
        names = {*operator.model_providers, *(named - operator.apis)}
        return self._apis(names, operator.model_providers, also, named)

    def apis(self, operator: OperatorRights) -> tuple[str, ...]:
        """Outside APIs: by `api://NAME` alone. One that is required and not permitted is named."""
        literal = {
            pattern.segments[0]
            for pattern in self.parsed.front.permissions.execute
            if pattern.scheme == "api" and pattern.is_literal
        }
        required = {entry for entry in self.parsed.front.requires.apis if "/" not in entry}
        names = {*operator.apis, *literal, *required} - operator.model_providers
        return self._apis(names, operator.apis, (), required)

    def _apis(
        self, names: set[str], offered: frozenset[str], also: tuple[Pattern, ...], required: set[str]
    ) -> tuple[str, ...]:
        granted = []
        for name in sorted(names):
            decision = self._execute(_api_uri(name), name in offered, also)
            if decision.allowed:
                granted.append(name)
            elif name in required or self._names(decision):
                raise self._missing(decision, "execute")
        return tuple(granted)

    def circuits(self, operator: OperatorRights) -> bool:
        """Whether circuits may run; a `qiskit` block asks for them."""
        decision = self._execute(CIRCUITS, operator.circuits)
        if not decision.allowed and any(block.language == "qiskit" for block in self.parsed.blocks):
            raise self._missing(decision, "execute")
        return decision.allowed

    def sources(self, mode: str, offered: frozenset[str]) -> tuple[str, ...]:
        """Data sources that are bound here, asked for and granted."""
        patterns = getattr(self.parsed.front.permissions, mode)
        granted = []
        for name in sorted(offered):
            uri = source_uri(name)
            decision = decide(
                uri, document=patterns, callers=self.callers, operator=(Pattern(name, (), open_ended=True),)
            )
            if decision.allowed:
                granted.append(name)
            elif decision.missing is not Party.DOCUMENT:
                raise self._missing(decision, mode)
        return tuple(granted)

    def unheard_of(self, operator: OperatorRights) -> Iterable[Problem]:
        """Permissions that open nothing here. They are no reason to refuse: another gateway may know them."""
        bound = {"read": operator.sources_read, "write": operator.sources_write, "execute": _KNOWN_SCHEMES}
        line = self.parsed.front.lines.get("permissions")
        for mode, schemes in bound.items():
            for pattern in getattr(self.parsed.front.permissions, mode):
                if pattern.scheme not in schemes:
                    yield Problem(
                        f"{pattern} opens nothing at this gateway",
                        "leave it out unless another gateway needs it",
                        line,
                        f"permissions.{mode}",
                    )

    def _execute(self, uri: URI, offered: bool, also: tuple[Pattern, ...] = ()) -> Decision:
        """Decide one URI of `execute`; `also` is what the document asks for elsewhere than in its list."""
        operator = (Pattern(uri.scheme, uri.segments, open_ended=False),) if offered else ()
        document = (*self.parsed.front.permissions.execute, *also)
        return decide(uri, document=document, callers=self.callers, operator=operator)

    def _names(self, decision: Decision) -> bool:
        """Whether the document names the URI itself, rather than by a wildcard."""
        literal = [pattern for pattern in self.parsed.front.permissions.execute if pattern.is_literal]
        return decision.missing is not Party.DOCUMENT and any_covers(literal, decision.uri)

    def _missing(self, decision: Decision, mode: str) -> MissingRightError:
        uri = decision.uri
        match decision.missing:
            case Party.CALLER:
                fix = f"ask for a key with the grant {uri}: macroslow keys create --grant {uri}"
            case Party.OPERATOR:
                fix = f"the operator must configure {uri}, or the document must do without it"
            case _:
                fix = self._line_to_write(uri, mode)
        return MissingRightError(decision.reason, uri=str(uri), fix=fix)

    def _line_to_write(self, uri: URI, mode: str) -> str:
        """The whole line of the list, with what it holds already."""
        listed = [*map(str, getattr(self.parsed.front.permissions, mode)), str(uri)]
        return f"under permissions, write: {mode}: [{', '.join(map(_quote, listed))}]"


def _quote(text: str) -> str:
    return f'"{text}"'


def _api_uri(name: str) -> URI:
    try:
        return URI.parse(f"api://{name}")
    except BadRequestError as error:
        fix = "an API is named by ASCII letters, digits and . _ ~ -"
        raise MissingRightError(error.detail, uri=f"api://{name[:80]}", fix=fix) from None


def _patterns(grants: Sequence[str]) -> tuple[Pattern, ...]:
    try:
        return tuple(map(Pattern.parse, grants))
    except BadRequestError as error:
        raise ConfigurationError(f"a grant of this key is no pattern: {error.detail}") from error
