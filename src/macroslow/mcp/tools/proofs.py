"""Tools for proofs: receipts of what one did oneself, and the check of anybody's."""

from typing import Final

from macroslow.authz import scopes
from macroslow.mcp.tools.tool import (
    FLAG,
    OBJECT,
    READS,
    TEXT,
    TIME,
    Tool,
    closed,
    list_of,
    maybe,
    text,
    whole,
)

_RECEIPT: Final = {
    **OBJECT,
    "description": "One file that proves one action to a stranger, offline: give it away as it is.",
}

GET_RECEIPT: Final = Tool(
    "get_receipt",
    "Get the receipt of a request",
    "Return the receipt of a request of yours that was sent with the header x-macroslow-receipt: true, by the"
    " request id that its answer named. Receipts can be had for 30 days. Costs nothing. For an entry whose"
    " number you know, such as log_index of complete_chat, use prove_entry.",
    scopes.MCP_CONNECT,
    READS,
    closed({"request_id": text("The x-request-id of the answer.", most=100, least=1)}),
    closed({"receipt": _RECEIPT}),
)

PROVE_ENTRY: Final = Tool(
    "prove_entry",
    "Prove an entry of the log",
    "Return the receipt of an entry of the gateway's log that is about something you did, by its number"
    " (log_index, accepted_index, finished_index). It proves to a stranger who did what, when and with what"
    " outcome. Costs nothing. Entries about anybody else are not found.",
    scopes.RUNS_READ,
    READS,
    closed({"log_index": whole("Number of the entry, from 0.", most=2**53 - 1)}),
    closed({"receipt": _RECEIPT}),
)

VERIFY_RECEIPT: Final = Tool(
    "verify_receipt",
    "Check a receipt",
    "Check a receipt, of this gateway or any other, and say what it proves. Costs nothing. Pass the log's"
    " public key that you got from somebody you trust: without one it is held against this gateway's own"
    " keys (`checked_with` says which), and that proves only that this gateway stands by it. Pass the answer"
    " or the document, exactly as they were, to check that the receipt is about them. A receipt that does not"
    " hold is an answer with verified false.",
    scopes.MCP_CONNECT,
    READS,
    closed(
        {
            "receipt": {
                "type": ["object", "string"],
                "maxLength": 4_194_304,
                "description": "The receipt, or an answer of run_document that holds one.",
            },
            "log_key": text("The text of a log's public key: two lines of C2SP verifier keys.", most=8192),
            "answer": text("The exact text of the answer that it should be about.", most=4_194_304),
            "document": text("The exact text of the document that it should be about.", most=1_048_576),
        },
        "log_key",
        "answer",
        "document",
    ),
    closed(
        {
            "verified": FLAG,
            "detail": text("What is wrong, or how strongly it is proved."),
            "checked_with": {"enum": ["given_key", "gateway_key"]},
            "statement": {"type": ["object", "null"], "description": "Who did what, when, as it was logged."},
            "origin": maybe(text("The log's name.")),
            "index": maybe(whole("Number of the entry.")),
            "size": maybe(whole("Entries of the tree that the checkpoint is of.")),
            "checkpoint_time": maybe(TIME),
            "key_fingerprint": maybe(text("Of the key under which it verified: compare it with its owner.")),
            "checked": list_of(TEXT, "What of answer and document was held against it."),
            "not_checked": list_of(TEXT, "What could make it stronger and was not looked at."),
        }
    ),
)

PROOF_TOOLS: Final = (GET_RECEIPT, PROVE_ENTRY, VERIFY_RECEIPT)
