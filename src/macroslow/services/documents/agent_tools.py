"""The tools that agents call over MCP, each one an existing use case with its arguments taken apart.

Arguments have passed the tool's schema; results are the use case's own JSON.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import orjson

from macroslow.authn.principal import Principal
from macroslow.errors import BadRequestError, UpstreamRefusedError
from macroslow.inference import CHAT_COMPLETIONS
from macroslow.ports import Entropy
from macroslow.services.calls.call_model import CallModel
from macroslow.services.calls.settle_call import ModelAnswer
from macroslow.services.documents.admit_document import Submission
from macroslow.services.documents.execute_document import ExecuteDocument
from macroslow.services.documents.validate_document import ValidateDocument
from macroslow.workflow.books import Books

Arguments = Mapping[str, Any]
REQUEST_ID_BYTES: Final = 12
MAX_DETAIL_CHARACTERS: Final = 1000


@dataclass(frozen=True, slots=True)
class AgentTools:
    """One method a tool; `handlers` is the table that the MCP server takes."""

    execute: ExecuteDocument
    validate: ValidateDocument
    chat: CallModel
    books: Books
    entropy: Entropy

    @property
    def handlers(self) -> Mapping[str, Callable[[Principal, Arguments], Awaitable[Mapping[str, object]]]]:
        return {
            "run_document": self.run_document,
            "validate_document": self.validate_document,
            "complete_chat": self.complete_chat,
            "usage": self.usage,
        }

    async def run_document(self, principal: Principal, arguments: Arguments) -> Mapping[str, object]:
        """The answer of /execute."""
        return await self.execute(principal, _submission(arguments), request_id=self._request_id())

    async def validate_document(self, principal: Principal, arguments: Arguments) -> Mapping[str, object]:
        """The answer of /validate."""
        return await self.validate(principal, _submission(arguments))

    async def complete_chat(self, principal: Principal, arguments: Arguments) -> Mapping[str, object]:
        """The provider's own answer; UpstreamRefusedError if it was an error."""
        body = orjson.dumps(dict(arguments))
        answer = await self.chat(principal, CHAT_COMPLETIONS, body, request_id=self._request_id())
        assert isinstance(answer, ModelAnswer)  # noqa: S101 (no stream was asked for)
        if answer.status >= 400:
            raise UpstreamRefusedError(_refusal(answer), upstream="provider", status=answer.status)
        return {**orjson.loads(answer.body), "usd_micros": answer.usd_micros}

    async def usage(self, principal: Principal, arguments: Arguments) -> Mapping[str, object]:
        """The caller's own spending."""
        by = arguments.get("by", "key")
        rows = await self.books.usage(by, principal=principal.name)
        return {"by": by, "rows": [asdict(row) for row in rows]}

    def _request_id(self) -> str:
        return self.entropy.random(REQUEST_ID_BYTES).hex()


def _submission(arguments: Arguments) -> Submission:
    try:
        return Submission(arguments["document"].encode(), arguments.get("inputs"))
    except UnicodeEncodeError:
        raise BadRequestError(
            "the document has half of a surrogate pair: it is no text",
            fix="send the whole character, or leave it out",
        ) from None


def _refusal(answer: ModelAnswer) -> str:
    """What a provider's error says, whatever shape it has; at most a few lines of it."""
    try:
        said = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        said = None
    match said:
        case {"error": {"message": str(message)}} | {"error": str(message)} | {"message": str(message)}:
            return message[:MAX_DETAIL_CHARACTERS]
        case _:
            return f"the provider refused the request with status {answer.status}"
