"""The tools that agents see, as data: names, texts a model understands, schemas, needed scopes.

Schemas are JSON Schema 2020-12 with everything inline: nothing is ever fetched.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from macroslow.authz import scopes


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool. A principal without `scope` does not see it. `writes`: it runs code or spends money."""

    name: str
    title: str
    description: str
    scope: str
    input_schema: Mapping[str, object]
    output_schema: Mapping[str, object]
    writes: bool


def _object(required: list[str], **properties: object) -> dict[str, object]:
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


_DOCUMENT: Final = {
    "type": "string",
    "description": "The whole MAML document: YAML front matter between --- lines, then Markdown. Pass"
    " a signed document byte for byte, its signature trailer included.",
    "maxLength": 1_048_576,
}
_INPUTS: Final = {"type": "object", "description": "Values for the document's Input_Schema."}
_ANY_OBJECT: Final[Mapping[str, object]] = {"type": "object"}

TOOLS: Final = (
    Tool(
        "run_document",
        "Run a workflow document",
        "Run a MAML workflow document in a sandbox, under the permissions it declares, and return its result,"
        " the output of each block, what it cost and a signed receipt. Refusals name the line to mend.",
        scopes.DOCUMENTS_EXECUTE,
        _object(["document"], document=_DOCUMENT, inputs=_INPUTS),
        {
            "type": "object",
            "properties": {
                "status": {"enum": ["success", "failed"]},
                "run_id": {"type": "string"},
                "result": {},
            },
            "required": ["status", "run_id", "result", "outputs", "usage", "receipt"],
        },
        writes=True,
    ),
    Tool(
        "validate_document",
        "Check a workflow document",
        "Check a MAML document without running it: format, signature, permissions and inputs. All problems"
        " are reported at once, each with line, field and repair.",
        scopes.DOCUMENTS_VALIDATE,
        _object(["document"], document=_DOCUMENT, inputs=_INPUTS),
        {"type": "object", "properties": {"valid": {"type": "boolean"}}, "required": ["valid"]},
        writes=False,
    ),
    Tool(
        "complete_chat",
        "Ask a language model",
        "Complete a chat with a model that this gateway offers. The cost is reserved against your budget"
        " before the call and settled after it.",
        scopes.INFERENCE_CHAT,
        _object(
            ["model", "messages"],
            model={"type": "string", "description": "A model name as listed by GET /v1/models."},
            messages={
                "type": "array",
                "minItems": 1,
                "maxItems": 1000,
                "items": _object(
                    ["role", "content"],
                    role={"enum": ["system", "developer", "user", "assistant"]},
                    content={"type": "string"},
                ),
            },
            max_tokens={"type": "integer", "minimum": 1, "description": "Most tokens the answer may have."},
            temperature={"type": "number", "minimum": 0, "maximum": 2},
        ),
        _ANY_OBJECT,
        writes=True,
    ),
    Tool(
        "usage",
        "See your own spending",
        "What your key has used and may still use: calls, tokens, and money in millionths of a US dollar.",
        scopes.USAGE_READ,
        _object([], by={"enum": ["key", "principal", "model", "tag", "day"], "default": "key"}),
        {"type": "object", "properties": {"rows": {"type": "array"}}, "required": ["rows"]},
        writes=False,
    ),
)
