"""What the operator says of one issuer: which of its tokens count, and what their claims are worth here.

Nothing in a token can widen what stands here. A claim gives a right only through the operator's table,
so what an issuer lets its users write about themselves opens nothing by its name.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from macroslow.authn.jwt.claims import Path, find, words
from macroslow.authn.terms import Terms
from macroslow.crypto.jose import Algorithm

DEFAULT_LEEWAY_S: Final = 60
MAX_LEEWAY_S: Final = 300
DEFAULT_ALGORITHMS: Final = frozenset({Algorithm.RS256, Algorithm.PS256, Algorithm.ES256, Algorithm.EDDSA})
ACCESS_TOKEN_TYPES: Final = frozenset({"at+jwt", "application/at+jwt"})  # RFC 9068, section 2.1
ANY_JWT_TYPES: Final = ACCESS_TOKEN_TYPES | {"jwt", "application/jwt", ""}

_Table = Mapping[str, tuple[str, ...]]


def _nothing() -> _Table:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimMapping:
    """How claims become rights.

    `values` are the paths whose words are looked up: in `scopes` and `grants` (a word, and what it is
    worth here), and among `pass_scopes`, the scopes of ours that count under their own names. Every
    token has `terms` besides: their scopes and grants are added to, their bounds are the issuer's.
    `team` is the path of the claim that names the team, () where `terms.team` is everybody's.
    """

    subject: Path = ("sub",)
    team: Path = ()
    values: tuple[Path, ...] = (("scope",),)
    scopes: _Table = field(default_factory=_nothing)
    pass_scopes: frozenset[str] = frozenset()
    grants: _Table = field(default_factory=_nothing)
    terms: Terms = field(default_factory=Terms)

    def words_in(self, claims: Mapping[str, Any]) -> tuple[str, ...]:
        """The words at all of `values`, in their order. ValueError if a claim there is of another form."""
        found: dict[str, None] = {}
        for path in self.values:
            try:
                found.update(dict.fromkeys(words(find(claims, path))))
            except ValueError as error:
                raise ValueError(f"`{'.'.join(path)}` is {error}") from None
        return tuple(found)

    def scopes_of(self, said: tuple[str, ...]) -> frozenset[str]:
        """The scopes that these words are worth, with those that every token of the issuer has."""
        mapped = {scope for word in said for scope in self.scopes.get(word, ())}
        return self.terms.scopes | mapped | (self.pass_scopes & frozenset(said))

    @property
    def scopes_ever(self) -> frozenset[str]:
        """All scopes that some token of the issuer may have; none: nobody can ever do anything by one."""
        mapped = (scope for scopes in self.scopes.values() for scope in scopes)
        return self.terms.scopes | (self.pass_scopes.union(mapped) if self.values else frozenset())

    def grants_of(self, said: tuple[str, ...]) -> tuple[str, ...]:
        """The grants that these words are worth, with those that every token of the issuer has."""
        mapped = (grant for word in said for grant in self.grants.get(word, ()))
        return tuple(dict.fromkeys((*self.terms.grants, *mapped)))


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerRules:
    """One issuer. `name` is the operator's word for it, `issuer` what `iss` must be, to the letter.

    `audiences`: one of them must be in `aud`; without any, `client_ids` must be there and one of them be
    the client of the token (`client_claims`, the first that it has). `required` are claims that must have
    (among their words) one of the values given. `max_age_s` bounds how long ago a token may have
    been issued; without it, its `exp` alone does.
    """

    name: str
    issuer: str
    algorithms: frozenset[Algorithm] = DEFAULT_ALGORITHMS
    audiences: frozenset[str] = frozenset()
    client_ids: frozenset[str] = frozenset()
    client_claims: tuple[str, ...] = ("client_id", "azp")
    types: frozenset[str] = ANY_JWT_TYPES
    required: tuple[tuple[Path, frozenset[str]], ...] = ()
    leeway_s: int = DEFAULT_LEEWAY_S
    max_age_s: int | None = None
    mapping: ClaimMapping = field(default_factory=ClaimMapping)

    def __post_init__(self) -> None:
        if not self.audiences and not self.client_ids:
            raise ValueError(
                f"issuer {self.name!r}: neither audiences nor client_ids: whose tokens are ours?"
            )
        if not 0 <= self.leeway_s <= MAX_LEEWAY_S:
            raise ValueError(f"issuer {self.name!r}: a leeway outside 0 to {MAX_LEEWAY_S} s")
