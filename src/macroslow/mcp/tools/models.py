"""Tools for language models: ask one, count what a question would take, see which there are."""

from typing import Final

from macroslow.authz import scopes
from macroslow.mcp.tools.tool import (
    ACTS,
    FLAG,
    READS,
    TEXT,
    TOKENS,
    USD_MICROS,
    Tool,
    closed,
    list_of,
    maybe,
    text,
    whole,
)

_MODEL: Final = text("A model's name as list_models has it.", most=200, least=1)
_MESSAGES: Final = {
    "type": "array",
    "description": "The conversation, oldest first.",
    "minItems": 1,
    "maxItems": 1000,
    "items": closed({"role": {"enum": ["system", "developer", "user", "assistant"]}, "content": TEXT}),
}

COMPLETE_CHAT: Final = Tool(
    "complete_chat",
    "Ask a language model",
    "Complete a chat with a model that this gateway offers, for example for a second opinion or to have"
    " another model do a part of the work. It costs money: the most that the call can cost is reserved"
    " against your budget before it, and settled at the true cost after it; set max_tokens to bound it."
    " Returns the provider's answer in OpenAI's shape, what it cost (usd_micros) and the number of its log"
    " entry (log_index, for prove_entry).",
    scopes.INFERENCE_CHAT,
    ACTS,
    closed(
        {
            "model": _MODEL,
            "messages": _MESSAGES,
            "max_tokens": whole("Most tokens that the answer may have.", least=1),
            "temperature": {"type": "number", "minimum": 0, "maximum": 2},
        },
        "max_tokens",
        "temperature",
    ),
    {
        "type": "object",
        "description": "The provider's members as they came, whatever they are, and two of ours.",
        "properties": {
            "choices": {"description": "In OpenAI's shape: choices[0].message.content is the text."},
            "usd_micros": USD_MICROS,
            "log_index": whole("Number of the call's entry in the log."),
        },
        "required": ["usd_micros", "log_index"],
    },
)

COUNT_TOKENS: Final = Tool(
    "count_tokens",
    "Count tokens",
    "Count how many input tokens a chat would take with a model, by this gateway's own count, and the most"
    " that its input can cost. Use it before a long complete_chat. Nothing is sent to anybody, and it costs"
    " nothing.",
    scopes.INFERENCE_CHAT,
    READS,
    closed({"model": _MODEL, "messages": _MESSAGES}),
    closed(
        {
            "model": text("The model that would answer."),
            "input_tokens": TOKENS,
            "exact": {**FLAG, "description": "Whether the count is the model's own, or an estimate."},
            "most_usd_micros": USD_MICROS,
            "context_tokens": TOKENS,
            "max_output_tokens": TOKENS,
        }
    ),
)

_PRICE: Final = whole("Millionths of a US dollar for a million tokens.")
LIST_MODELS: Final = Tool(
    "list_models",
    "List the models",
    "List the models that this gateway offers, with their prices and sizes. Use it to choose one for"
    " complete_chat. Costs nothing.",
    scopes.INFERENCE_CHAT,
    READS,
    closed({}),
    closed(
        {
            "models": list_of(
                closed(
                    {
                        "id": text("The name to ask for."),
                        "provider": TEXT,
                        "operations": list_of(TEXT, "complete_chat needs chat.completions."),
                        "context_tokens": TOKENS,
                        "max_output_tokens": TOKENS,
                        "input_usd_micros": _PRICE,
                        "output_usd_micros": _PRICE,
                        "reasoning": {
                            **FLAG,
                            "description": "It thinks in tokens that are paid and not seen.",
                        },
                        "retires": maybe(text("The day on which its provider ends it.")),
                        "verified": {**FLAG, "description": "Whether its prices were found in two places."},
                    }
                )
            )
        }
    ),
)

MODEL_TOOLS: Final = (COMPLETE_CHAT, COUNT_TOKENS, LIST_MODELS)
