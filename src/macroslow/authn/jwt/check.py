"""One examination of a token, step by step, for whoever must decide and for whoever asks why.

Authentication takes the first finding that is not good as its reason; `macroslow jwt explain` prints
them all. What a finding says it saw is cut, escaped and safe to print; nothing of it goes to a caller.

Sources: RFC 7519, sections 4.1 and 7.2; RFC 8725 (section 3.1 algorithm, 3.2 and 3.10 key, 3.8 issuer and
subject, 3.9 audience, 3.11 type); RFC 9068, section 4 (an access token's validation).
"""

import enum
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from macroslow.authn.jwt.claims import find, words
from macroslow.authn.jwt.issuer import IssuerRules
from macroslow.authn.jwt.keys import KeySet
from macroslow.authn.jwt.revoked import Revocations
from macroslow.authn.jwt.token import UnverifiedToken, read
from macroslow.authn.terms import CALLER_NAME
from macroslow.crypto.jose import Algorithm, verify
from macroslow.errors import VerificationError

MAX_INSTANT_S: Final = 2**33  # in the year 2242: in nanoseconds it still fits 64 bits
MAX_SUBJECT_CHARACTERS: Final = 100
MAX_JTI_CHARACTERS: Final = 256  # what a revocation can name
PRINCIPAL_PREFIX: Final = "jwt/"  # of who comes with a token, and of his account: no key's begins so
_MAX_SEEN: Final = 120
_KEPT: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._@-")


class Step(enum.StrEnum):
    """What is looked at, in this order."""

    FORM = "form"
    ISSUER = "issuer"
    ALGORITHM = "algorithm"
    TYPE = "type"
    KEY = "key"
    SIGNATURE = "signature"
    EXPIRY = "expiry"
    NOT_BEFORE = "not-before"
    ISSUED = "issued"
    AUDIENCE = "audience"
    CLIENT = "client"
    CLAIMS = "claims"
    SUBJECT = "subject"
    TEAM = "team"
    RIGHTS = "rights"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class Finding:
    """One step: whether it is good, what was seen, and what was wanted instead (or as it is)."""

    step: Step
    ok: bool
    seen: str
    wanted: str = ""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a good token is of, and what it is worth: `scopes`, `grants` and `team` as mapped."""

    issuer: str
    subject: str
    scopes: frozenset[str]
    grants: tuple[str, ...]
    team: str
    expires_s: int
    issued_s: int | None
    jti: str

    @property
    def name(self) -> str:
        """The principal, and the account that pays."""
        return f"{PRINCIPAL_PREFIX}{self.issuer}/{self.subject}"


@dataclass(frozen=True, slots=True)
class Examination:
    """All that was found. `identity` is there if, and only if, everything is good.

    `issuer` is the name of the one that the token says, "" if that is none of ours.
    """

    findings: tuple[Finding, ...]
    issuer: str = ""
    identity: Identity | None = None

    @property
    def refused_at(self) -> Step | None:
        """The first step that is not good; None: the token is valid."""
        return next((finding.step for finding in self.findings if not finding.ok), None)


def examine(
    credential: bytes,
    issuers: Mapping[str, IssuerRules],
    keys_of: Callable[[str], KeySet],
    revocations: Revocations,
    now_s: int,
    *,
    whole: bool = True,
) -> Examination:
    """Look at a token from anybody. `issuers` are by their `iss`; `keys_of` takes an issuer's name.

    Unless `whole`, it ends with the first finding that is not good: a refusal costs no more than it must.
    """
    try:
        token = read(credential)
    except ValueError as error:
        return Examination((Finding(Step.FORM, False, str(error), "a signed JSON Web Token"),))
    seen = f"three parts, {len(credential)} bytes"
    form = Finding(Step.FORM, True, seen)
    rules = issuers.get(token.issuer) if token.issuer else None
    if rules is None:
        wanted = f"to the letter one of {listed(issuers)}"
        return Examination((form, Finding(Step.ISSUER, False, _shown(token.claims.get("iss")), wanted)))
    issuer = Finding(Step.ISSUER, True, _shown(token.issuer))
    examiner = _Examiner(token, rules, keys_of(rules.name), revocations, now_s, whole=whole)
    return examiner.examine(form, issuer)


class _EnoughError(Exception):
    """A finding is not good, and nobody asks for more."""


class _Examiner:
    """One token of a known issuer."""

    def __init__(
        self,
        token: UnverifiedToken,
        rules: IssuerRules,
        keys: KeySet,
        revocations: Revocations,
        now_s: int,
        *,
        whole: bool,
    ) -> None:
        self._token = token
        self._claims: Mapping[str, Any] = token.claims
        self._rules = rules
        self._keys = keys
        self._revocations = revocations
        self._now_s = now_s
        self._whole = whole
        self._findings: list[Finding] = []

    def examine(self, *before: Finding) -> Examination:
        self._findings.extend(before)
        try:
            identity = self._identity()
        except _EnoughError:
            identity = None
        good = all(finding.ok for finding in self._findings)
        return Examination(tuple(self._findings), self._rules.name, identity if good else None)

    def _identity(self) -> Identity | None:
        self._signature()
        expires_s = self._expiry()
        self._not_before()
        issued_s = self._issued()
        self._audience()
        self._client()
        self._required()
        subject = self._subject()
        identity = self._rights(subject, expires_s, issued_s)
        self._revoked(subject, issued_s)
        return identity

    def _say(self, step: Step, ok: bool, seen: str, wanted: str = "") -> None:
        self._findings.append(Finding(step, ok, seen, "" if ok else wanted))
        if not ok and not self._whole:
            raise _EnoughError

    def _signature(self) -> None:
        """The algorithm by our list, the key by its name, then the signature. Nothing else of the header."""
        token, rules = self._token, self._rules
        allowed = ", ".join(sorted(rules.algorithms))
        algorithm = next((each for each in rules.algorithms if each == token.algorithm), None)
        self._say(Step.ALGORITHM, algorithm is not None, _shown(token.algorithm), f"one of {allowed}")
        types = ", ".join(sorted(each or "none" for each in rules.types))
        self._say(Step.TYPE, token.typ in rules.types, token.typ or "none", f"one of {types}")
        key = None if algorithm is None else self._keys.find(token.kid, algorithm)
        named = f"key {_shown(token.kid)}" if token.kid else "no key is named"
        wanted = f"one of the issuer's keys for this algorithm; {len(self._keys)} are known"
        self._say(Step.KEY, key is not None, named, wanted)
        if key is None or algorithm is None:
            self._say(Step.SIGNATURE, False, "not checked: there is no key", "a signature that verifies")
            return
        self._say(Step.SIGNATURE, *self._verified(key, algorithm))

    def _verified(self, key: Any, algorithm: Algorithm) -> tuple[bool, str, str]:
        try:
            verify(key, algorithm, self._token.signature, self._token.signing_input)
        except VerificationError as error:
            return False, error.detail, "a signature that verifies"
        return True, f"verifies with {algorithm}", ""

    def _instant(self, step: Step, claim: str, *, required: bool) -> int | None:
        """A NumericDate; says what is wrong with it. Fractions of a second are not taken."""
        value = self._claims.get(claim)
        wanted = f"`{claim}` in whole seconds since 1970"
        if claim not in self._claims:
            if required:
                self._say(step, False, f"no `{claim}`", wanted)
            return None
        if type(value) is not int or not 0 <= value <= MAX_INSTANT_S:  # a bool is an int to isinstance
            self._say(step, False, f"`{claim}` is {_shown(value)}", wanted)
            return None
        return value

    def _expiry(self) -> int:
        expires_s = self._instant(Step.EXPIRY, "exp", required=True)
        if expires_s is None:
            return 0
        left_s = expires_s - self._now_s
        seen = f"in {left_s} s" if left_s >= 0 else f"{-left_s} s ago"
        ok = left_s + self._rules.leeway_s > 0
        if ok and left_s <= 0:
            seen += f", within leeway of {self._rules.leeway_s} s"
        self._say(Step.EXPIRY, ok, seen, f"not more than {self._rules.leeway_s} s ago")
        return expires_s

    def _not_before(self) -> None:
        start_s = self._instant(Step.NOT_BEFORE, "nbf", required=False)
        if start_s is not None:
            self._not_in_future(Step.NOT_BEFORE, start_s)

    def _issued(self) -> int | None:
        max_age_s = self._rules.max_age_s
        issued_s = self._instant(Step.ISSUED, "iat", required=max_age_s is not None)
        if issued_s is None:
            return None
        age_s = self._now_s - issued_s
        if max_age_s is not None and age_s > max_age_s + self._rules.leeway_s:
            self._say(Step.ISSUED, False, f"{age_s} s ago", f"not more than {max_age_s} s ago")
        else:
            self._not_in_future(Step.ISSUED, issued_s)
        return issued_s

    def _not_in_future(self, step: Step, instant_s: int) -> None:
        ahead_s = instant_s - self._now_s
        seen = f"in {ahead_s} s" if ahead_s > 0 else f"{-ahead_s} s ago"
        self._say(step, ahead_s <= self._rules.leeway_s, seen, f"at most {self._rules.leeway_s} s ahead")

    def _audience(self) -> None:
        if not self._rules.audiences:
            return
        audience = self._claims.get("aud")
        named = [audience] if isinstance(audience, str) else audience
        ok = isinstance(named, list) and any(
            isinstance(each, str) and each in self._rules.audiences for each in named
        )
        self._say(Step.AUDIENCE, ok, _shown(audience), f"one of {listed(self._rules.audiences)}")

    def _client(self) -> None:
        if not self._rules.client_ids:
            return
        claim = next((each for each in self._rules.client_claims if each in self._claims), "")
        client = self._token.text(claim)
        seen = f"`{claim}` is {_shown(self._claims[claim])}" if claim else "no client is named"
        wanted = f"one of {listed(self._rules.client_ids)}"
        self._say(Step.CLIENT, client in self._rules.client_ids, seen, wanted)

    def _required(self) -> None:
        for path, allowed in self._rules.required:
            found = find(self._claims, path)
            try:
                ok = not allowed.isdisjoint(_exactly(found))
            except ValueError:
                ok = False
            name = ".".join(path)
            self._say(
                Step.CLAIMS, ok, f"`{name}` is {_shown(found)}", f"`{name}` has one of {listed(allowed)}"
            )

    def _subject(self) -> str:
        path = self._rules.mapping.subject
        found = find(self._claims, path)
        subject = subject_name(found) if isinstance(found, str) else ""
        ok = 0 < len(subject) <= MAX_SUBJECT_CHARACTERS
        wanted = f"`{'.'.join(path)}`, a text that fits {MAX_SUBJECT_CHARACTERS} characters"
        self._say(Step.SUBJECT, ok, _shown(found), wanted)
        return subject if ok else ""

    def _rights(self, subject: str, expires_s: int, issued_s: int | None) -> Identity | None:
        mapping = self._rules.mapping
        team = mapping.terms.team
        if mapping.team:
            found = find(self._claims, mapping.team)
            team = found if isinstance(found, str) and CALLER_NAME.fullmatch(found) else ""
            self._say(Step.TEAM, bool(team), _shown(found), f"`{'.'.join(mapping.team)}`, the name of a team")
        try:
            said = mapping.words_in(self._claims)
        except ValueError as error:
            self._say(Step.RIGHTS, False, str(error), "text, or a list of texts")
            return None
        jti = self._token.text("jti")
        scopes, grants = mapping.scopes_of(said), mapping.grants_of(said)
        self._say(Step.RIGHTS, True, f"{listed(said)} → scopes {listed(scopes)}; grants {listed(grants)}")
        return Identity(self._rules.name, subject, scopes, grants, team, expires_s, issued_s, jti)

    def _revoked(self, subject: str, issued_s: int | None) -> None:
        """A token whose `jti` no revocation could name could not be revoked, and is refused."""
        jti = self._claims.get("jti", "")
        if not isinstance(jti, str) or len(jti) > MAX_JTI_CHARACTERS:
            wanted = f"`jti`, where there is one, is text of up to {MAX_JTI_CHARACTERS} characters"
            self._say(Step.REVOKED, False, f"`jti` is {_shown(jti)}", wanted)
            return
        revoked = self._revocations.cover(self._rules.name, jti, subject, issued_s)
        self._say(Step.REVOKED, not revoked, "revoked" if revoked else "not revoked", "not revoked")


def subject_name(subject: str) -> str:
    """A subject in the letters that a principal's name has; two subjects never have one name.

    Letters, digits and `. _ @ -` stay; every other octet of the UTF-8 becomes + and two hexadecimal digits.
    """
    return "".join(chr(octet) if octet in _KEPT else f"+{octet:02X}" for octet in subject.encode("utf-8"))


def _exactly(found: object) -> tuple[str, ...]:
    """The values of a required claim: a truth value counts as the word for it."""
    return (str(found).lower(),) if isinstance(found, bool) else words(found)


def listed(names: Iterable[str]) -> str:
    """Names in order, for people: escaped, and not more than fit a line."""
    return _cut(", ".join(ascii(each)[1:-1] for each in sorted(names)) or "none")


def _shown(value: object) -> str:
    """A value from a token, for people: escaped, and short."""
    return "nothing" if value is None else _cut(ascii(value))


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_SEEN else text[:_MAX_SEEN] + "…"
