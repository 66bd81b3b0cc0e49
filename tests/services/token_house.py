"""What the tests of tokens share: an issuer whose keys are set by hand, books in memory, both credentials."""

from tests.authn.jwt.tokens import NOW_S, RULES, usual_keys
from tests.services.key_house import PEPPER, KeyHouse

from macroslow.authn.jwt.issuer import IssuerRules
from macroslow.authn.jwt.keys import KeySet
from macroslow.authn.jwt.revoked import Revocations
from macroslow.authn.principal import Principal
from macroslow.ports import NS_PER_S
from macroslow.services.identity.authenticate import Authenticate, Credentials
from macroslow.services.identity.manage_revocations import ManageRevocations
from macroslow.services.identity.verify_tokens import TrustedIssuer, VerifyTokens


class SetKeys:
    """A key source: `next` comes with the next renewal."""

    def __init__(self, keys: KeySet) -> None:
        self.keys = keys
        self.next: KeySet | None = None
        self.renewals = 0

    async def renew(self) -> None:
        self.renewals += 1
        if self.next is not None:
            self.keys, self.next = self.next, None


class TokenHouse(KeyHouse):
    """Keys and tokens, over one store. All issuers have the same keys."""

    def __init__(self, *rules: IssuerRules, budget_usd_micros: int | None = None) -> None:
        super().__init__()
        self.clock.time_ns = NOW_S * NS_PER_S
        self.source = SetKeys(usual_keys())
        self.revocations = Revocations()
        known = rules or (RULES,)
        issuers = [TrustedIssuer(each, self.source, budget_usd_micros) for each in known]
        self.tokens = VerifyTokens(issuers, self.revocations, self.books, self.clock)
        self.authenticate = Authenticate(self.keyring, PEPPER, self.clock, self.tokens)
        self.manage = ManageRevocations(self.books, self.revocations, known, self.clock)

    async def by(self, token: bytes, key: str = "", address: str = "") -> Principal:
        """Who a request with this token is of, and with this key beside it."""
        return await self.authenticate(Credentials(key.encode() or None, token, address))

    def later(self, seconds: int) -> None:
        self.clock.time_ns += seconds * NS_PER_S
