"""The operator's verb about rights."""

from dataclasses import asdict, dataclass

from macroslow.services.identity.explain_rights import ExplainRights


@dataclass(frozen=True, slots=True)
class RightsVerbs:
    """Every verb takes JSON and returns JSON."""

    explain: ExplainRights

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
