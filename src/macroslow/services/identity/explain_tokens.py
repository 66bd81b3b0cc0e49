"""What came where a token was expected, whether it would let somebody in, and what to do if it would not.

The steps are those of a request with it (`VerifyTokens`); only the words are this module's. A client key in
its place is told by its id. No secret is repeated.
"""

from dataclasses import dataclass
from typing import Final

from macroslow.authn.api_keys import KEY_PREFIX, id_of
from macroslow.authn.jwt.advice import advice
from macroslow.authn.jwt.check import Finding, Identity, Step
from macroslow.authn.keyring import IN_FORCE
from macroslow.authn.refusal import Refusal
from macroslow.authz.scopes import INFERENCE_CHAT
from macroslow.errors import ConfigurationError
from macroslow.services.identity.manage_keys import ManageKeys
from macroslow.services.identity.verify_tokens import VerifyTokens

_WANTED: Final = "a signed JSON Web Token"


@dataclass(frozen=True, slots=True)
class Explained:
    """Every step, and in one sentence whether a request with it is let in. `fix` is "" where all is well.

    `issuer` is the one of ours that it names, ""; none. `identity` is there if, and only if, it is let in.
    """

    findings: tuple[Finding, ...]
    verdict: str
    fix: str
    issuer: str = ""
    identity: Identity | None = None

    @property
    def refused_at(self) -> Step | None:
        """The first step that is not good; None: it is let in."""
        return next((finding.step for finding in self.findings if not finding.ok), None)


@dataclass(frozen=True, slots=True)
class ExplainTokens:
    """`tokens` is None where no issuer is configured."""

    keys: ManageKeys
    tokens: VerifyTokens | None

    async def __call__(self, text: str) -> Explained:
        """Explain a text from anybody. ConfigurationError if it is no key and there is no issuer."""
        if text.startswith(KEY_PREFIX) or self._state(id_of(text)):
            return self._key(text)
        tokens = configured(self.tokens)
        credential = text.encode("utf-8", "surrogatepass")
        found = await tokens.examine(credential)
        fix = advice(credential, found, tokens.rules)
        if found.identity is None:
            verdict = f"refused at the step {found.refused_at}, as every bad credential is (401)"
        elif found.identity.scopes:
            verdict = f"let in as {found.identity.name}, scopes {', '.join(sorted(found.identity.scopes))}"
        else:
            verdict = (
                f"let in as {found.identity.name}, and refused whatever it asks for (403): it has no scope"
            )
        return Explained(found.findings, verdict, fix, found.issuer, found.identity)

    def _key(self, text: str) -> Explained:
        key_id, refusal = id_of(text), self.keys.refusal(text)
        state = self._state(key_id)
        if not key_id:
            seen, fix = "a client key that is not whole", "copy it again: a letter is lost or changed"
        elif not state:
            seen, fix = (
                f"the client key {key_id}, unknown here",
                "see what keys there are: macroslow keys list",
            )
        elif state != IN_FORCE:
            seen, fix = f"the client key {key_id}, {state}", f"macroslow keys show {key_id}"
        elif refusal is not None:
            old = " that was rotated away" if refusal is Refusal.ROTATED else " that is not its own"
            seen, fix = (
                f"the client key {key_id}, with a secret{old}",
                f"use the newest; if it is lost: macroslow keys rotate {key_id}",
            )
        else:
            seen, fix = (
                f"the client key {key_id}",
                f"see what it may: macroslow can {key_id} {INFERENCE_CHAT}",
            )
        verdict = "no token; a request with it as `x-api-key` or Bearer is refused (401)"
        if refusal is None:
            verdict = "no token, and let in as a key"
        return Explained((Finding(Step.FORM, False, seen, _WANTED),), verdict, fix)

    def _state(self, key_id: str) -> str:
        """Of a key that is known here; "" if none is."""
        return next((self.keys.state(each) for each in self.keys.list() if each.id == key_id), "")


def configured(tokens: VerifyTokens | None) -> VerifyTokens:
    """The issuers there are. ConfigurationError if there is none."""
    if tokens is None:
        raise ConfigurationError("no issuer of tokens is configured", fix="write [auth.issuers.NAME]")
    return tokens
