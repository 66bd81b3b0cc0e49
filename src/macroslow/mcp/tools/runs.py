"""Tools for runs: what is under way, what came of it, stopping it. Others' runs are unknown ones."""

from typing import Final

from macroslow.authz import scopes
from macroslow.mcp.tools.documents import ANSWER
from macroslow.mcp.tools.tool import (
    READS,
    RUN_ID,
    SHA256,
    STOPS,
    TEXT,
    TIME,
    Tool,
    closed,
    list_of,
    maybe,
    text,
    whole,
)

MAX_LISTED: Final = 100
LISTED: Final = 20  # unless asked for more: a list costs its reader context

_STATE: Final = {"enum": ["running", "success", "failed", "cancelled", "interrupted"]}
_RUN: Final = {
    "run_id": RUN_ID,
    "principal": TEXT,
    "state": _STATE,
    "accepted_at": TIME,
    "finished_at": maybe(TIME),
    "document_sha256": SHA256,
    "document_bytes": whole("Bytes."),
    "origin": TEXT,
    "signer": maybe(text("Key id of whoever signed the document.")),
    "accepted_index": whole("Number of the log entry of its beginning: see prove_entry."),
    "finished_index": maybe(whole("Number of the log entry of its end.")),
}

LIST_RUNS: Final = Tool(
    "list_runs",
    "List your runs",
    "List the documents that you ran, the newest first, with their states. Costs nothing.",
    scopes.RUNS_READ,
    READS,
    closed(
        {"limit": {**whole("How many.", least=1, most=MAX_LISTED), "default": LISTED}},
        "limit",
    ),
    closed({"runs": list_of(closed(_RUN))}),
)

GET_RUN: Final = Tool(
    "get_run",
    "See one run",
    "Return the state of one run of yours: when it began and ended, and the numbers of its log entries. Use"
    " it to see whether a run is still under way. Costs nothing. What it computed: get_run_result.",
    scopes.RUNS_READ,
    READS,
    closed({"run_id": RUN_ID}),
    closed(_RUN),
)

GET_RUN_RESULT: Final = Tool(
    "get_run_result",
    "Get what a run computed",
    "Return the answer of one run of yours as run_document gave it, without the receipt. Use it when that"
    " call was lost. `answer` is null while the run is under way, and where it is not kept any more. Costs"
    " nothing.",
    scopes.RUNS_READ,
    READS,
    closed({"run_id": RUN_ID}),
    closed({"run_id": RUN_ID, "state": _STATE, "answer": maybe(ANSWER)}),
)

CANCEL_RUN: Final = Tool(
    "cancel_run",
    "Stop a run",
    "Stop a run of yours that is under way. What it has spent stays spent. Returns at once; the run's"
    " state is cancelled when it has ended. A run that has ended cannot be stopped, and says so.",
    scopes.DOCUMENTS_EXECUTE,
    STOPS,
    closed({"run_id": RUN_ID}),
    closed({"run_id": RUN_ID, "cancelling": {"const": True}}),
)

RUN_TOOLS: Final = (LIST_RUNS, GET_RUN, GET_RUN_RESULT, CANCEL_RUN)
