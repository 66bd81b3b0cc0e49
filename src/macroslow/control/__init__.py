"""The operator's own door: commands that work beside a running server, over `control.sock`.

One JSON object a line each way: before the result of a long verb, lines of its progress. The socket is mode
0600 in a 0700 folder and the peer's user id is checked besides, so whoever gets in could read the state
folder anyway. Instead of verbs, a connection may carry one MCP client's conversation.
"""

from macroslow.control.client import RemoteError, begin_conversation, call, is_alive
from macroslow.control.server import serve_control

__all__ = [
    "RemoteError",
    "begin_conversation",
    "call",
    "is_alive",
    "serve_control",
]
