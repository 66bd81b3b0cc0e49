"""What clients may ask of a model: the operations, one for each route of the providers' APIs."""

from typing import Final

from macroslow.inference.chat import ChatCompletions
from macroslow.inference.embeddings import Embeddings
from macroslow.inference.messages import CountTokens, Messages
from macroslow.inference.operation import Operation
from macroslow.inference.responses import Responses

CHAT_COMPLETIONS: Final[Operation] = ChatCompletions()
RESPONSES: Final[Operation] = Responses()
EMBEDDINGS: Final[Operation] = Embeddings()
MESSAGES: Final[Operation] = Messages()
COUNT_TOKENS: Final = CountTokens()

ALL_OPERATIONS: Final = (CHAT_COMPLETIONS, RESPONSES, EMBEDDINGS, MESSAGES)
"""Those that are paid for."""

__all__ = ["ALL_OPERATIONS", "CHAT_COMPLETIONS", "COUNT_TOKENS", "EMBEDDINGS", "MESSAGES", "RESPONSES"]
