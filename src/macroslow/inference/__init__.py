"""What clients may ask of a model: the operations, one for each route of the providers' APIs."""

from macroslow.inference.chat import ChatCompletions
from macroslow.inference.embeddings import Embeddings
from macroslow.inference.operation import Operation

CHAT_COMPLETIONS: Operation = ChatCompletions()
EMBEDDINGS: Operation = Embeddings()

__all__ = ["CHAT_COMPLETIONS", "EMBEDDINGS"]
