"""The variable that has a client's key: MCP clients are told its name, and `serve --stdio` reads it."""

from typing import Final

KEY_VARIABLE: Final = "MACROSLOW_API_KEY"
