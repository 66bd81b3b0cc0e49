"""The operator's verbs about rights."""

from dataclasses import asdict, dataclass

from macroslow.services.identity.explain_rights import ExplainRights, Step
from macroslow.services.identity.explain_tokens import configured
from macroslow.services.identity.jwt_verbs import TokenText
from macroslow.services.identity.verify_tokens import VerifyTokens


@dataclass(frozen=True, slots=True)
class RightsVerbs:
    """Every verb takes JSON and returns JSON. `tokens` is absent where no issuer is configured."""

    explain: ExplainRights
    tokens: VerifyTokens | None = None

    async def can(self, principal: str, action: str, uri: str = "") -> object:
        keys = [
            {
                "key_id": record.id,
                "principal": record.principal,
                "allowed": all(step.allowed for step in steps),
                "steps": [asdict(step) for step in steps],
            }
            for record, steps in self.explain(principal, action, uri)
        ]
        return {"allowed": any(key["allowed"] for key in keys), "keys": keys}

    async def can_token(self, token: TokenText, action: str, uri: str = "") -> object:
        tokens = configured(self.tokens)
        found = await tokens.examine(token.encode("utf-8", "surrogatepass"))
        if found.identity is None:
            reason = f"the token is not let in: it is refused at the step {found.refused_at}"
            steps = [Step("token", False, reason, "see why: macroslow jwt explain -")]
        else:
            principal = tokens.principal_of(found.identity)
            steps = [
                Step("token", True, "the token is let in"),
                *self.explain.of_token(principal, action, uri),
            ]
        return {
            "allowed": all(step.allowed for step in steps),
            "principal": None if found.identity is None else found.identity.name,
            "steps": [asdict(step) for step in steps],
        }
