"""The operator's verbs about rights."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Annotated

from pydantic import Field

from macroslow.authn.api_keys import MAX_LEGACY_BYTES
from macroslow.authn.ports import KeyRecord
from macroslow.services.identity.explain_rights import ExplainRights, Step
from macroslow.services.identity.explain_tokens import configured
from macroslow.services.identity.jwt_verbs import TokenText
from macroslow.services.identity.verify_tokens import VerifyTokens

KeyText = Annotated[str, Field(min_length=1, max_length=MAX_LEGACY_BYTES)]


@dataclass(frozen=True, slots=True)
class RightsVerbs:
    """Every verb takes JSON and returns JSON. `tokens` is absent where no issuer is configured."""

    explain: ExplainRights
    tokens: VerifyTokens | None = None

    async def can(self, principal: str, action: str, uri: str = "") -> object:
        return _of_keys(self.explain(principal, action, uri))

    async def can_key(self, key: KeyText, action: str, uri: str = "") -> object:
        return _of_keys([self.explain.of_key(key, action, uri)])

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


def _of_keys(explained: Iterable[tuple[KeyRecord, list[Step]]]) -> object:
    keys = [
        {
            "key_id": record.id,
            "principal": record.principal,
            "allowed": all(step.allowed for step in steps),
            "steps": [asdict(step) for step in steps],
        }
        for record, steps in explained
    ]
    return {"allowed": any(key["allowed"] for key in keys), "keys": keys}
