"""A JSON Web Token becomes a principal: checked once, then known until something about it changes.

What is known of a token is kept under the SHA-256 of all of it, so that tokens with a common beginning
are strangers to each other (CVE-2026-35030). It is forgotten when the token's time is over, when the
issuer's keys are others and when anything is revoked.

A subject pays from an account of its own, `jwt/ISSUER/SUBJECT`, which its first token opens; its budget is a
counter beside it, so that it holds where a key pays. What is kept is bounded for each issuer: whoever can
make an issuer name many subjects drives out, and shuts out, none of another's.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from macroslow.authn.jwt.check import Examination, Identity, Step, examine
from macroslow.authn.jwt.issuer import IssuerRules
from macroslow.authn.jwt.keys import KeySet
from macroslow.authn.jwt.memory import FairMemory
from macroslow.authn.jwt.ports import KeySource
from macroslow.authn.jwt.revoked import Revocations
from macroslow.authn.jwt.token import looks_like_one, read
from macroslow.authn.principal import TokenPrincipal
from macroslow.authn.refusal import bad_credential
from macroslow.authn.terms import terms_of
from macroslow.errors import CredentialError
from macroslow.metering.ledger import OpenAccount
from macroslow.ports import NS_PER_S, Clock
from macroslow.workflow.books import Books

MAX_KNOWN: Final = 10_000  # tokens: some 20 MB with what hangs on them
MAX_SUBJECTS: Final = 100_000  # that one process opens accounts for: of each issuer an equal share


@dataclass(frozen=True, slots=True)
class TrustedIssuer:
    """One issuer of the configuration: its rules, its keys, and the budget that each of its subjects gets."""

    rules: IssuerRules
    source: KeySource
    budget_usd_micros: int | None = None


@dataclass(frozen=True, slots=True)
class _Known:
    """A token that was good, until `ends_s` and while its issuer's keys are these."""

    principal: TokenPrincipal
    issuer: TrustedIssuer
    keys: KeySet
    ends_s: int
    revocations: int


class VerifyTokens:
    """The tokens of all issuers. One instance a process."""

    def __init__(
        self, issuers: Sequence[TrustedIssuer], revocations: Revocations, books: Books, clock: Clock
    ) -> None:
        self._issuers: Mapping[str, TrustedIssuer] = {each.rules.name: each for each in issuers}
        self._rules = {each.rules.issuer: each.rules for each in issuers}
        self._revocations = revocations
        self._books = books
        self._clock = clock
        self._known: FairMemory[_Known] = FairMemory(MAX_KNOWN)
        self._opened: Mapping[str, set[str]] = {name: set() for name in self._issuers}

    @property
    def rules(self) -> Sequence[IssuerRules]:
        """What the operator says of each issuer."""
        return list(self._rules.values())

    def is_ours(self, credential: bytes) -> bool:
        """Whether a credential is a token that names an issuer of ours, good or bad."""
        if not looks_like_one(credential):
            return False
        try:
            return read(credential).issuer in self._rules
        except ValueError:
            return False

    async def __call__(self, token: bytes) -> TokenPrincipal:
        """Who acts by this token. CredentialError, whose `reason` is "jwt-" and the step that was not good.

        Waits only for an issuer's newer keys and for a new subject's account. LogUnavailableError if that
        cannot be opened.
        """
        digest = hashlib.sha256(token).digest()
        known = self._known.pop(digest)
        if known is not None and self._still_good(known):
            self._known.put(known.principal.issuer, digest, known)  # as the newest: it is in use
            return known.principal
        examination = await self.examine(token, whole=False)
        identity = examination.identity
        if identity is None:
            raise _refused(examination.refused_at or Step.FORM)
        issuer = self._issuers[identity.issuer]
        known = _Known(
            self.principal_of(identity),
            issuer,
            issuer.source.keys,
            _ends_s(identity, issuer.rules),
            self._revocations.version,
        )
        await self._open_account(identity)
        if not self._still_good(known):  # what it was checked against changed meanwhile
            return await self(token)
        self._known.put(identity.issuer, digest, known)
        return known.principal

    async def examine(self, token: bytes, *, whole: bool = True) -> Examination:
        """Every step of the check, from the beginning; with newer keys if the token names an unknown one.

        Unless `whole`, up to the first step that is not good.
        """
        examination = self._examined(token, whole)
        if examination.refused_at is Step.KEY:  # the steps before it are good
            source = self._issuers[examination.issuer].source
            before = source.keys
            await source.renew()
            if source.keys is not before:
                examination = self._examined(token, whole)
        return examination

    def is_signed(self, token: bytes) -> bool:
        """Whether a token's signature is good by the keys that are known now, whatever else it says."""
        findings = self._examined(token, whole=True).findings
        return any(finding.step is Step.SIGNATURE and finding.ok for finding in findings)

    def principal_of(self, identity: Identity) -> TokenPrincipal:
        """Who acts by a token of this identity."""
        issuer = self._issuers[identity.issuer]
        terms = terms_of(issuer.rules.mapping.terms) | {
            "scopes": identity.scopes,
            "grants": identity.grants,
            "team": identity.team,
            "expires_ns": identity.expires_s * NS_PER_S,
        }
        return TokenPrincipal(
            identity.name,
            identity.name,
            issuer=identity.issuer,
            subject=identity.subject,
            jti=identity.jti,
            issued_s=identity.issued_s,
            budget_usd_micros=issuer.budget_usd_micros,
            **terms,
        )

    def admits(self, principal: TokenPrincipal) -> bool:
        """Whether nothing that was revoked since concerns this caller. One whose time is over finishes."""
        return not self._revocations.cover(
            principal.issuer, principal.jti, principal.subject, principal.issued_s
        )

    def _examined(self, token: bytes, whole: bool) -> Examination:
        now_s = self._clock.now_ns() // NS_PER_S
        return examine(token, self._rules, self._keys_of, self._revocations, now_s, whole=whole)

    def _keys_of(self, issuer: str) -> KeySet:
        return self._issuers[issuer].source.keys

    def _still_good(self, known: _Known) -> bool:
        return (
            self._clock.now_ns() // NS_PER_S < known.ends_s
            and known.issuer.source.keys is known.keys
            and known.revocations == self._revocations.version
        )

    async def _open_account(self, identity: Identity) -> None:
        """Have the subject's account in the books."""
        opened = self._opened[identity.issuer]
        if identity.subject in opened:
            return
        if len(opened) >= MAX_SUBJECTS // len(self._opened):
            raise bad_credential("jwt-too-many-subjects")
        await self._books.commit(OpenAccount(identity.name, None))
        opened.add(identity.subject)


def _ends_s(identity: Identity, rules: IssuerRules) -> int:
    """The first second in which the token is not good any more."""
    ends_s = identity.expires_s
    if rules.max_age_s is not None and identity.issued_s is not None:
        ends_s = min(ends_s, identity.issued_s + rules.max_age_s + 1)
    return ends_s + rules.leeway_s


def _refused(step: Step) -> CredentialError:
    return bad_credential(f"jwt-{step}")
