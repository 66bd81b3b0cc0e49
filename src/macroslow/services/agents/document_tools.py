"""Tools for workflow documents."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from macroslow.mcp.ask import Ask, Handler
from macroslow.mcp.tools.documents import RUN_DOCUMENT, VALIDATE_DOCUMENT, VERIFY_DOCUMENT
from macroslow.services.agents.octets import octets
from macroslow.services.agents.telling import telling
from macroslow.services.documents.admit_document import Submission
from macroslow.services.documents.execute_document import STEPS, ExecuteDocument
from macroslow.services.documents.validate_document import ValidateDocument
from macroslow.services.documents.verify_document import VerifyDocument


@dataclass(frozen=True, slots=True)
class DocumentTools:
    """One method a tool. Its fields are everything that they touch."""

    execute: ExecuteDocument
    validate: ValidateDocument
    verify: VerifyDocument

    @property
    def handlers(self) -> Mapping[str, Handler]:
        return {
            RUN_DOCUMENT.name: self.run_document,
            VALIDATE_DOCUMENT.name: self.validate_document,
            VERIFY_DOCUMENT.name: self.verify_document,
        }

    async def run_document(self, ask: Ask) -> Mapping[str, object]:
        """The answer of /execute. A caller that goes away stops the run."""
        run = partial(self.execute, ask.principal, _submission(ask), request_id=ask.request_id)
        if ask.tell is None:
            return await run()
        steps = itertools.count(1)
        return await telling(ask.tell, lambda note: run(say=lambda step: note((next(steps), STEPS, step))))

    async def validate_document(self, ask: Ask) -> Mapping[str, object]:
        """The answer of /validate."""
        return await self.validate(ask.principal, _submission(ask))

    async def verify_document(self, ask: Ask) -> Mapping[str, object]:
        """Whose signature it has."""
        signature = ask.arguments.get("signature")
        return await self.verify(
            octets(ask.arguments["document"]), None if signature is None else octets(signature)
        )


def _submission(ask: Ask) -> Submission:
    return Submission(octets(ask.arguments["document"]), ask.arguments.get("inputs"))
