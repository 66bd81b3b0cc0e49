"""Tokens revoked before their time: kept, logged and in force from the next request on.

A token cannot be taken back where it is, so what is kept is what no longer counts: one by its `jti`, or
all of a subject or of an issuer that were issued before an instant. These last are kept for good: there is
one for each subject or issuer that the operator ever named, and no caller adds to them; were one dropped, a
longer lifetime that is allowed later would make tokens count again that were revoked.
"""

import asyncio
from collections.abc import Sequence

from macroslow.authn.api_keys import without_credentials
from macroslow.authn.jwt.check import MAX_INSTANT_S, MAX_JTI_CHARACTERS, PRINCIPAL_PREFIX
from macroslow.authn.jwt.issuer import MAX_LEEWAY_S, IssuerRules
from macroslow.authn.jwt.revoked import EVERYBODY, Revocation, Revocations
from macroslow.authn.jwt.token import read
from macroslow.authn.ports import DropRevocation, PutRevocation
from macroslow.authn.principal import THE_OPERATOR
from macroslow.errors import BadRequestError, NotFoundError
from macroslow.ports import NS_PER_S, Clock
from macroslow.tlog.event import Event, EventType, PersonFields
from macroslow.tlog.ports import Append
from macroslow.workflow.books import Books


class ManageRevocations:
    """Single writer of the revocations: one instance a process, sharing `revocations` with authentication."""

    def __init__(
        self, books: Books, revocations: Revocations, issuers: Sequence[IssuerRules], clock: Clock
    ) -> None:
        self._books = books
        self._revocations = revocations
        self._issuers = {each.name: each for each in issuers}
        self._clock = clock
        self._changing = asyncio.Lock()

    async def load(self) -> None:
        """Read what is stored, without single tokens whose time is over.

        Only these are ever dropped: until then they are only kept for longer.
        """
        async with self._changing:  # what was read before a revocation must not undo it
            stored = await self._books.revocations()
            gone = [each for each in stored if each.expires_s is not None and each.expires_s <= self._now_s()]
            if gone:
                await self._books.commit(*(DropRevocation(each.id) for each in gone))
            self._revocations.replace_all(each for each in stored if each not in gone)

    async def revoke(
        self, who: str, *, jti: str = "", before_s: int | None = None, reason: str = ""
    ) -> Revocation:
        """Revoke tokens of `who`: an issuer's name, or a principal `jwt/ISSUER/SUBJECT`.

        With `jti`, that one token of the issuer; else all that were issued before `before_s`, None: until
        now. Never less than was revoked before. NotFoundError for an issuer that is not configured,
        BadRequestError for what makes no sense.
        """
        issuer, subject = self._named(who)
        if jti:
            return await self._keep(self._one(issuer, subject, jti, None), reason)
        now_s = self._now_s()
        if before_s is not None and before_s > now_s + 1:
            raise BadRequestError(
                "tokens that are not issued yet cannot be revoked", fix="an instant before now"
            )
        before_s = now_s + 1 if before_s is None else before_s  # + 1: those of this very second too
        return await self._keep(Revocation(issuer.name, "", subject, before_s), reason)

    async def revoke_token(self, token: str, reason: str = "", *, verified: bool = False) -> Revocation:
        """Revoke the very token, whether or not it would be taken. BadRequestError if it has no `jti`.

        `verified`: its signature was found good. Else its `exp` may be anybody's, and says nothing.
        """
        try:
            read_token = read(token.encode("utf-8", "replace"))
        except ValueError as error:
            raise BadRequestError(
                f"this is no token: {error}", fix="give the token itself, as it was issued"
            ) from None
        rules = next((each for each in self._issuers.values() if each.issuer == read_token.issuer), None)
        if rules is None:
            raise NotFoundError(
                "the token is of no issuer of this configuration", fix="macroslow config show"
            )
        jti = read_token.text("jti")
        if not jti:
            fix = f"revoke all of its subject: macroslow jwt revoke {PRINCIPAL_PREFIX}{rules.name}/SUBJECT"
            raise BadRequestError("the token has no `jti` to name it by", fix=fix)
        exp = read_token.claims.get("exp") if verified else None
        return await self._keep(self._one(rules, EVERYBODY, jti, exp), reason)

    async def revoke_all(self, reason: str) -> list[Revocation]:
        """Revoke every token of every issuer that was issued until now."""
        return [await self.revoke(name, reason=reason) for name in self._issuers]

    @property
    def issuers(self) -> list[str]:
        """The names of all that are configured."""
        return sorted(self._issuers)

    def all(self) -> list[Revocation]:
        """All that are kept, by their ids."""
        return self._revocations.all()

    def _named(self, who: str) -> tuple[IssuerRules, str]:
        name, subject = who, EVERYBODY
        if who.startswith(PRINCIPAL_PREFIX):
            name, _, subject = who.removeprefix(PRINCIPAL_PREFIX).partition("/")
            if not subject:
                fix = f"{PRINCIPAL_PREFIX}ISSUER/SUBJECT, or ISSUER"
                raise BadRequestError(f"{who!r} names no subject", fix=fix)
        rules = self._issuers.get(name)
        if rules is None:
            known = ", ".join(sorted(self._issuers)) or "none"
            raise NotFoundError(f"no issuer {name!r} is configured", fix=f"one of: {known}")
        return rules, subject

    def _one(self, rules: IssuerRules, subject: str, jti: str, exp: object) -> Revocation:
        if subject or len(jti) > MAX_JTI_CHARACTERS:
            fix = "name the issuer alone: a `jti` is unique within it"
            raise BadRequestError(
                f"a `jti` has up to {MAX_JTI_CHARACTERS} characters and no subject", fix=fix
            )
        leeway_s = rules.leeway_s + MAX_LEEWAY_S  # whatever the leeway is set to later
        if type(exp) is int and 0 <= exp <= MAX_INSTANT_S:  # no token is valid with another
            return Revocation(rules.name, jti, expires_s=exp + leeway_s)
        return Revocation(rules.name, jti, expires_s=_end_s(rules, self._now_s()))

    async def _keep(self, wanted: Revocation, reason: str) -> Revocation:
        async with self._changing:
            stored = {each.id: each for each in await self._books.revocations()}
            held = stored.get(wanted.id)
            if held is not None and _covers(held, wanted):
                self._revocations.put(held)
                return held
            await self._books.commit(PutRevocation(wanted), Append(self._event(wanted, reason)))
            self._revocations.put(wanted)
        return wanted

    def _event(self, revoked: Revocation, reason: str) -> Event:
        """The operator's act; whose tokens they were is that person's own part of it."""
        fields = {
            "issuer": revoked.issuer,
            "revoked": "token" if revoked.jti else "subject" if revoked.subject else "issuer",
            "jti": revoked.jti,
            "before_s": revoked.before_s,
            "reason": without_credentials(reason),  # not refused: a revocation waits for nothing
        }
        whose = f"{PRINCIPAL_PREFIX}{revoked.issuer}/{revoked.subject}"
        others = (PersonFields(whose, {"subject": revoked.subject}),) if revoked.subject else ()
        return Event(EventType.JWT_REVOKED, self._clock.now_ns(), THE_OPERATOR, fields, others)

    def _now_s(self) -> int:
        return self._clock.now_ns() // NS_PER_S


def _covers(held: Revocation, wanted: Revocation) -> bool:
    """Whether nothing more is revoked, nor for longer, by `wanted` of the same id.

    Of a single token the later end stands: another with its `jti` may say less, or nothing that counts.
    """
    if not wanted.jti:
        return held.before_s >= wanted.before_s
    return held.expires_s is None or (wanted.expires_s is not None and held.expires_s >= wanted.expires_s)


def _end_s(rules: IssuerRules, issued_s: int) -> int | None:
    """When no token of the issuer that was issued by then can be valid; None: nobody knows."""
    return None if rules.max_age_s is None else issued_s + rules.max_age_s + rules.leeway_s + MAX_LEEWAY_S
