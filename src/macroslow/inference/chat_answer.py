"""The names that chat answers were read by before there were operations."""

from macroslow.inference.chat import ChatCompletions, ChatReader
from macroslow.inference.operation import AnswerUnreadableError, Possible, WholeAnswer

StreamReader = ChatReader
read_answer = ChatCompletions().read

__all__ = ["AnswerUnreadableError", "Possible", "StreamReader", "WholeAnswer", "read_answer"]
