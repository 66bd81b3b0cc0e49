"""Whose API is spoken. The words are those of the configuration (`kind`)."""

import enum


class Dialect(enum.StrEnum):
    """The API that a provider serves and a client speaks; many other vendors serve OpenAI's."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"
