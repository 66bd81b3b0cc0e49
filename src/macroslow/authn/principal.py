"""Who acts: the outcome of authentication, and what everything above keys its state by."""

from dataclasses import dataclass, field
from typing import Final, Optional

from macroslow.authn.own_key import OwnKey
from macroslow.authn.terms import Terms

THE_OPERATOR: Final = "operator"
THE_GATEWAY: Final = "gateway"
RESERVED_NAMES: Final = frozenset({THE_OPERATOR, THE_GATEWAY})
"""Who acts where no client does. No key has one of these names, or runs and claims would be mixed up."""
PSEUDONYM_PREFIX: Final = "erased-"
"""How the names of persons who were erased begin. No key has one: it would take up their records."""


@dataclass(frozen=True, slots=True)
class Principal(Terms):
    """One caller, by one credential or by a key and a token together.

    `name` identifies the caller in the log and is the subject of its personal data; `account`
    is the ledger account that pays; `generation` is which secret of the key was shown. Where a key came
    with a token, `key` is the caller that the key alone would make and `token` the token's. `own_key` is a
    provider's key that came with the request: its calls go to that provider, by that key. `makers` are the
    callers that the keys would make which made the key, the nearest first: what it spends, they spend.
    """

    name: str
    account: str
    key_id: str = ""
    generation: int = 0
    key: Optional["Principal"] = None
    token: Optional["Principal"] = None
    makers: tuple["Principal", ...] = ()
    own_key: OwnKey | None = field(default=None, repr=False, compare=False)

    def credentials(self) -> tuple["Principal", ...]:
        """Each credential that came: the bounds of all of them hold, and each must cover a URI."""
        return (self,) if self.key is None or self.token is None else (self.key, self.token)


@dataclass(frozen=True, slots=True)
class TokenPrincipal(Principal):
    """A caller by a JSON Web Token, with what a revocation would name it by.

    `issuer` is the operator's word for the issuer; `jti` and `issued_s` (seconds since 1970) are the
    token's, where it has them. `budget_usd_micros` is what its subject may spend in all.
    """

    issuer: str = ""
    subject: str = ""
    jti: str = ""
    issued_s: int | None = None
    budget_usd_micros: int | None = None


def together(key: Principal, token: Principal) -> Principal:
    """Who acts where a key and a token came together: the token's subject, and the key's account pays.

    What both may is left. Grants are not joined here: two lists of patterns have no exact intersection, so
    that whoever decides on a URI asks each of `credentials`.
    """
    ends = [each.expires_ns for each in (key, token) if each.expires_ns is not None]
    return Principal(
        token.name,
        key.account,
        key.key_id,
        key.generation,
        key,
        token,
        key.makers,
        scopes=key.scopes & token.scopes,
        team=key.team or token.team,  # of whoever pays: a token must not move its spending elsewhere
        weight=min(key.weight, token.weight),
        expires_ns=min(ends, default=None),
    )
