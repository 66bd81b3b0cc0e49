"""What LiteLLM's words mean here: prefixes of providers, members with prices, periods, and why not.

Source: LiteLLM documentation, "Config.yaml", "All settings" and "Supported models & providers" (2026-10).
"""

import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Final
from urllib.parse import urlsplit

from macroslow.inference.dialect import Dialect
from macroslow.maml.yaml_tree import Node, Scalar, Sequence, plain
from macroslow.metering.prices import TOKENS_PER_PRICE

ANTHROPIC_ALONE: Final = (
    "is served at /v1/messages, where Anthropic's SDK asks for it; at /v1/chat/completions it is 404,"
    " as nothing is translated"
)
DAYS: Final = frozenset({"1d", "24h", "daily"})
MONTHS: Final = frozenset({"1mo", "30d", "31d", "monthly"})


@dataclass(frozen=True, slots=True)
class Vendor:
    """How one of LiteLLM's prefixes is spoken to; `base_url` empty: the file must say it."""

    name: str
    base_url: str = ""
    kind: Dialect = Dialect.OPENAI
    auth: str = ""
    after_base: str = ""


_OPEN: Final = Vendor("openai", "https://api.openai.com/v1")
_CLAUDE: Final = Vendor("anthropic", "https://api.anthropic.com/v1", kind=Dialect.ANTHROPIC)
VENDORS: Final[dict[str, Vendor]] = {
    "openai": _OPEN,
    "anthropic": _CLAUDE,
    "azure": Vendor("azure", auth="api-key", after_base="/openai/v1"),
    "gemini": Vendor("gemini", "https://generativelanguage.googleapis.com/v1beta/openai"),
    "groq": Vendor("groq", "https://api.groq.com/openai/v1"),
    "mistral": Vendor("mistral", "https://api.mistral.ai/v1"),
    "deepseek": Vendor("deepseek", "https://api.deepseek.com/v1"),
    "xai": Vendor("xai", "https://api.x.ai/v1"),
    "openrouter": Vendor("openrouter", "https://openrouter.ai/api/v1"),
    "together_ai": Vendor("together", "https://api.together.xyz/v1"),
    "ollama": Vendor("ollama", "http://127.0.0.1:11434", after_base="/v1"),
    "ollama_chat": Vendor("ollama", "http://127.0.0.1:11434", after_base="/v1"),
    "hosted_vllm": Vendor("vllm"),
    "openai_like": Vendor("openai-like"),
    "custom_openai": Vendor("openai-like"),
}
"""Prefixes whose API is one of the two that are spoken here."""


PRICES: Final = {
    "input_cost_per_token": "input_usd",
    "output_cost_per_token": "output_usd",
    "cache_read_input_token_cost": "cached_input_usd",
    "cache_creation_input_token_cost": "cache_write_5m_usd",
}
KNOWN_PARAMS: Final = frozenset({"model", "api_key", "api_base", "base_url", "rpm", "tpm", *PRICES})
NOTHING_LIKE_IT: Final = "there is nothing like it here"
WHY: Final = {
    "master_key": "never carried: here the operator is whoever owns the state folder, and has no key",
    "database_url": "state is a folder, or a PostgreSQL of its own: [state] database",
    "api_version": "the provider's v1 API needs none",
    "salt_key": "never carried: provider's keys are references here",
    "redis_host": "several processes share [state] rates",
    "redis_password": "never carried; several processes share [state] rates",
    "context_window_fallbacks": "a request that is too long is refused at once with the number",
    "content_policy_fallbacks": "a refusal by policy is passed on as it is",
    "default_fallbacks": "fall-backs are given model by model here",
    "routing_strategy": "every model has one provider here; its keys are used by what room they have",
    "success_callback": "everything is in the log, the metrics and the traces",
    "drop_params": "what a provider does not know is refused, not dropped",
    "budget_duration": "no max_budget stands beside it",
    "timeout": "one deadline holds for all: [upstream] deadline_s",
}


def period_of(duration: str) -> str | None:
    """What a budget_duration is here: "day", "month", "total" (none was given), or None: there is no such."""
    word = duration.strip().lower()
    if not word:
        return "total"
    return "day" if word in DAYS else "month" if word in MONTHS else None


def plain_texts(node: Node) -> list[str]:
    """The texts of a list."""
    return [text for one in node.items if (text := text_of(one))] if isinstance(node, Sequence) else []


def vendor_of(model: str) -> tuple[Vendor | None, str]:
    """Who serves a `litellm_params.model`, and the provider's own name for it."""
    prefix, slash, rest = model.partition("/")
    if slash and prefix in VENDORS:
        return VENDORS[prefix], rest
    if not slash and re.match(r"gpt-|chatgpt-|o[1-9]|text-embedding-", model):
        return _OPEN, model
    if not slash and model.startswith("claude-"):
        return _CLAUDE, model
    return None, model


def text_of(node: Node | None) -> str:
    return node.value if isinstance(node, Scalar) and isinstance(node.value, str) else ""


def amount_of(node: Node | None) -> str | None:
    """Dollars as exact text; None if it is none."""
    value = plain(node) if node is not None else None
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        return None
    return f"{amount:f}" if amount.is_finite() and 0 <= amount < 10**9 else None


def usd_per_million(node: Node | None) -> str | None:
    usd = amount_of(node)
    return None if usd is None else f"{(Decimal(usd) * TOKENS_PER_PRICE).normalize():f}"


def is_plain_http(base_url: str) -> bool:
    parts = urlsplit(base_url)
    return parts.scheme == "http" and parts.hostname not in {"localhost", "127.0.0.1", "::1"}
