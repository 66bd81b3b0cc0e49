"""Providers that speak OpenAI's HTTP API: OpenAI itself, and whatever is compatible with it."""

from macroslow.adapters.openai.provider import OpenAIProvider

__all__ = ["OpenAIProvider"]
