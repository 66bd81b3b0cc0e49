"""The tools that this gateway offers to agents, as data: name, words, schemas, and the scope that each needs.

The descriptions are written for a model: what it does, when to use it, what it costs and what comes back.
"""

from typing import Final

from macroslow.mcp.tools.documents import DOCUMENT_TOOLS
from macroslow.mcp.tools.images import IMAGE_TOOLS
from macroslow.mcp.tools.models import MODEL_TOOLS
from macroslow.mcp.tools.proofs import PROOF_TOOLS
from macroslow.mcp.tools.runs import RUN_TOOLS
from macroslow.mcp.tools.spending import SPENDING_TOOLS
from macroslow.mcp.tools.tool import Tool

TOOLS: Final[tuple[Tool, ...]] = (
    *DOCUMENT_TOOLS,
    *RUN_TOOLS,
    *MODEL_TOOLS,
    *SPENDING_TOOLS,
    *IMAGE_TOOLS,
    *PROOF_TOOLS,
)
