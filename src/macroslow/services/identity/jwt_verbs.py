"""The operator's verbs about tokens of issuers."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Annotated

from pydantic import Field

from macroslow.authn.jwt.revoked import Revocation
from macroslow.authn.jwt.token import MAX_TOKEN_BYTES
from macroslow.errors import ConfigurationError
from macroslow.ports import NS_PER_S
from macroslow.services.identity.explain_tokens import ExplainTokens
from macroslow.services.identity.manage_revocations import ManageRevocations
from macroslow.services.identity.mint_tokens import MintTokens
from macroslow.services.verbs import GivenReason, Reason, Texts, Whole, utc

TokenText = Annotated[str, Field(min_length=1, max_length=2 * MAX_TOKEN_BYTES)]


@dataclass(frozen=True, slots=True)
class JWTVerbs:
    """Every verb takes JSON and returns JSON.

    `minter` is absent where no development issuer is configured.
    """

    revocations: ManageRevocations
    explainer: ExplainTokens
    minter: MintTokens | None

    async def explain(self, token: TokenText) -> object:
        found = await self.explainer(token)
        identity = found.identity
        return {
            "valid": identity is not None,
            "refused_at": found.refused_at,
            "issuer": found.issuer,
            "principal": None if identity is None else identity.name,
            "scopes": [] if identity is None else sorted(identity.scopes),
            "grants": [] if identity is None else [*identity.grants],
            "team": "" if identity is None else identity.team,
            "findings": [asdict(finding) for finding in found.findings],
            "verdict": found.verdict,
            "fix": found.fix,
            "issuers": self.revocations.issuers,
        }

    async def mint(self, subject: str, scopes: Texts, lifetime_s: Whole) -> object:
        if self.minter is None:
            fix = 'write [auth.issuers.development] and preset = "development"'
            raise ConfigurationError("no development issuer is configured", fix=fix)
        return {"token": self.minter(subject, scopes, lifetime_s)}

    async def list(self) -> object:
        return {"revoked": _told(self.revocations.all())}

    async def revoke(
        self, who: str, jti: str = "", before_s: Whole | None = None, reason: Reason = ""
    ) -> object:
        revoked = await self.revocations.revoke(who, jti=jti, before_s=before_s, reason=reason)
        return {"revoked": _told([revoked])}

    async def revoke_token(self, token: TokenText, reason: Reason = "") -> object:
        tokens = self.explainer.tokens
        verified = tokens is not None and tokens.is_signed(token.encode("utf-8", "surrogatepass"))
        return {"revoked": _told([await self.revocations.revoke_token(token, reason, verified=verified)])}

    async def revoke_all(self, reason: GivenReason) -> object:
        return {"revoked": _told(await self.revocations.revoke_all(reason))}


def _told(revoked: Sequence[Revocation]) -> list[dict[str, object]]:
    return [
        {
            "issuer": each.issuer,
            "subject": each.subject,
            "jti": each.jti,
            "issued_before": None if each.jti else utc(each.before_s * NS_PER_S),
            "forgotten_at": None if each.expires_s is None else utc(each.expires_s * NS_PER_S),
        }
        for each in revoked
    ]
