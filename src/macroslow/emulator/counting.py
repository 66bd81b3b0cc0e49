"""What the emulated provider counts: the truth that an estimate is measured against."""

from dataclasses import dataclass, replace

from macroslow.emulator.ask import Ask, Message
from macroslow.metering.count import count_prompt
from macroslow.metering.encodings import Counters
from macroslow.metering.models import Model
from macroslow.metering.prompts import prompt_of


@dataclass(frozen=True, slots=True)
class Scales:
    """Counts the tokens of every model. The first use of an encoding takes a third of a second."""

    counters: Counters

    def text(self, model: Model, text: str) -> int:
        """Tokens that `model` makes of a text."""
        counted = self.counters[model.encoding].text(text)
        exact = model.counting == "exact"
        return counted if exact else -(-counted * model.tokens_per_1000_counted // 1000)

    def input(self, ask: Ask) -> int:
        """Tokens of what is asked, with all that the provider wraps around it. The model takes its images."""
        prompt = prompt_of([_in_text(message) for message in ask.messages], ask.tools, ask.response_format)
        counted = count_prompt(replace(prompt, images=ask.images), ask.model, self.counters)
        return counted.tokens + ask.added_tokens


def _in_text(message: Message) -> Message:
    """The message without its images."""
    if not isinstance(message.get("content"), list):
        return message
    return {**message, "content": [part for part in message["content"] if part["type"] != "image"]}
