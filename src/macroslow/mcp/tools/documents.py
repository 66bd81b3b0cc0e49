"""Tools for workflow documents: run one, check one, look at its signature."""

from typing import Final

from macroslow.authz import scopes
from macroslow.mcp.tools.tool import (
    ACTS,
    OBJECT,
    READS,
    SHA256,
    TEXT,
    TIME,
    TOKENS,
    USD_MICROS,
    Tool,
    closed,
    list_of,
    maybe,
    text,
    whole,
)

_DOCUMENT: Final = text(
    "The whole MAML document: YAML front matter between --- lines, then Markdown. Pass a signed document"
    " byte for byte, its signature trailer included. The format: resource macroslow://reference/maml.",
    most=1_048_576,
)
_INPUTS: Final = {"type": "object", "description": "Values for the document's Input_Schema."}
_SIGNER: Final = maybe(text("Key id of whoever signed the document; null: nobody did."))
_USED: Final = {"input_tokens": TOKENS, "output_tokens": TOKENS, "usd_micros": USD_MICROS}
_VERIFICATION: Final = {"type": "object", "additionalProperties": TEXT}
_PROBLEM: Final = closed(
    {"message": TEXT, "fix": TEXT, "line": maybe(whole("Line of the document.")), "field": TEXT, "file": TEXT}
)
_OUTPUT: Final = closed(
    {
        "language": TEXT,
        "name": TEXT,
        "status": {
            "enum": ["ok", "error", "crash", "timeout", "cpu", "memory", "output", "forbidden", "skipped"]
        },
        "exit_code": {"type": ["integer", "null"]},
        "stdout": TEXT,
        "stderr": TEXT,
        "duration_ms": whole("Milliseconds."),
        "error": text("One sentence, if it failed."),
        "limit": text("The limit that ended it, if one did."),
        "peak": {"type": ["integer", "null"], "description": "How much of what `limit` bounds it had used."},
    },
    "error",
    "limit",
    "peak",
)
_ANSWER: Final = {
    "status": {"enum": ["success", "failed"]},
    "run_id": TEXT,
    "result": {"description": "What the document computed; null if it failed."},
    "error": maybe(text("Why it failed.")),
    "outputs": list_of(_OUTPUT, "One for each code block."),
    "usage": closed(
        {
            **_USED,
            "by_model": {
                "type": "object",
                "additionalProperties": closed({"calls": whole("Model calls."), **_USED}),
            },
        }
    ),
    "signer": _SIGNER,
    "sandbox": closed({"backend": TEXT, "level": {"enum": ["full", "reduced", "none"]}}),
    "verification": _VERIFICATION,
    "warnings": list_of(_PROBLEM),
    "duration_ms": whole("Milliseconds."),
    "execution_time": TEXT,
    "signature": maybe(text("The gateway's own signature of this answer, if one was asked for.")),
    "quantum_checksum": maybe(text("The digest that it signed.")),
}
ANSWER: Final = closed(_ANSWER)
"""The answer of a run as it is kept: its receipt is made when it is asked for."""

RUN_DOCUMENT: Final = Tool(
    "run_document",
    "Run a workflow document",
    "Run a MAML workflow document in a sandbox, under the permissions that it declares. Use it when code has"
    " to be run, or a workflow that somebody wrote; check the document with validate_document first. Model"
    " calls that it makes are charged to your budget, the run itself is free. Returns the result, the output"
    " of each block, what it cost and a signed receipt. A document whose code fails is an answer with status"
    " failed and not an error; a refusal names the line to mend. Long runs report progress, with the run_id"
    " as soon as there is one; cancelling the call stops the run.",
    scopes.DOCUMENTS_EXECUTE,
    ACTS,
    closed({"document": _DOCUMENT, "inputs": _INPUTS}, "inputs"),
    closed({**_ANSWER, "receipt": {**OBJECT, "description": "Proof for strangers: see verify_receipt."}}),
)

VALIDATE_DOCUMENT: Final = Tool(
    "validate_document",
    "Check a workflow document",
    "Check a MAML document exactly as a run would, and run nothing: format, signature, permissions and"
    " inputs. Use it while you write one, until it passes. Costs nothing and leaves no trace. Returns what"
    " the document is and may do. All problems are reported at once, each with line, field and repair.",
    scopes.DOCUMENTS_VALIDATE,
    READS,
    closed({"document": _DOCUMENT, "inputs": _INPUTS}, "inputs"),
    closed(
        {
            "valid": {"const": True},
            "id": TEXT,
            "type": TEXT,
            "origin": TEXT,
            "signer": _SIGNER,
            "document_sha256": SHA256,
            "rights": list_of(TEXT, "The URIs that it may use here."),
            "blocks": list_of(closed({"language": TEXT, "name": TEXT})),
            "verification": _VERIFICATION,
            "warnings": list_of(_PROBLEM),
        }
    ),
)

VERIFY_DOCUMENT: Final = Tool(
    "verify_document",
    "Check who signed a document",
    "Check the signature of a document over its exact bytes: whether there is one, whose key made it, whether"
    " this gateway's operator trusts that key, and whether it may speak for the document's origin. Use it"
    " before you rely on a document that came from somewhere else. Costs nothing; nothing is run or signed,"
    " and no tool here can sign a document. `status` is trusted, unsigned or refused; `detail` says why.",
    scopes.DOCUMENTS_VALIDATE,
    READS,
    closed(
        {
            "document": _DOCUMENT,
            "signature": text("The signature's JSON, if it came in a file of its own.", most=8192),
        },
        "signature",
    ),
    closed(
        {
            "status": {"enum": ["trusted", "unsigned", "refused"]},
            "detail": TEXT,
            "signer": {
                **closed({"key_id": TEXT, "name": TEXT, "origins": list_of(TEXT), "signed_at": TIME}),
                "type": ["object", "null"],
            },
            "origin": maybe(text("Whom the document says it is of; null where it cannot be read.")),
            "speaks_for_origin": {
                "type": ["boolean", "null"],
                "description": "Whether the signer may sign in the name of `origin`; null: not known.",
            },
            "document_sha256": SHA256,
            "signed_sha256": {**SHA256, "description": "Of the bytes without the trailer."},
        }
    ),
)

DOCUMENT_TOOLS: Final = (RUN_DOCUMENT, VALIDATE_DOCUMENT, VERIFY_DOCUMENT)
