"""What goes into a model, gathered from requests that are not in the shape of chat completions.

Each message, item or block becomes texts and pictures; framing follows the one rule of
`metering.count`. What a provider gives back sealed (thinking that it wrote and alone can read) has no
text here: it is taken for a token per four characters, which errs on the high side.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import orjson

from macroslow.metering.images import Image
from macroslow.metering.prompts import Prompt, prompt_of

_SEALED_CHARACTERS_PER_TOKEN: Final = 4


@dataclass(slots=True)
class Gathered:
    """The pieces of one prompt so far."""

    messages: list[dict[str, Any]] = field(default_factory=list)
    tools: list[Mapping[str, Any]] = field(default_factory=list)
    images: list[Image] = field(default_factory=list)
    other_tokens: int = 0

    def message(self, texts: list[str]) -> None:
        """Add one message that consists of `texts`."""
        self.messages.append({"content": [{"type": "text", "text": text} for text in texts]})

    def sealed(self, content: str) -> None:
        """Add what the provider alone can read."""
        self.other_tokens += -(-len(content) // _SEALED_CHARACTERS_PER_TOKEN)

    def prompt(self, schema: object = None) -> Prompt:
        """The whole; `schema` is what the answer must be like, if anything."""
        tools = [{"function": tool} for tool in self.tools]
        prompt = prompt_of(self.messages, tools, None if schema is None else {"json_schema": schema})
        return replace(
            prompt,
            framing_tokens=prompt.framing_tokens + self.other_tokens,
            images=tuple(self.images),
        )


def json_text(value: object) -> str:
    """`value` as compact JSON, which is how it is counted."""
    return orjson.dumps(value).decode()
