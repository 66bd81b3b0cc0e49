"""Providers of models over their own HTTP APIs: OpenAI's, Anthropic's, and whatever speaks as they do."""

from macroslow.adapters.model_api.provider import ModelAPI
from macroslow.adapters.model_api.usage_client import UsageAPI
from macroslow.outbound.exchange import Patience

__all__ = ["ModelAPI", "Patience", "UsageAPI"]
