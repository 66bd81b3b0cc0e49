"""Counting a prompt before it is sent: what it probably has, and what it can have at most.

Text is counted with the model's own vocabulary where that is public, and framed as `prompts` says. Other
models' tokens are estimated: counted in a vocabulary of OpenAI's, times a factor that the
catalogue states. No byte-pair vocabulary makes more tokens of a text than it has bytes, so there is
a bound for them too. A provider's figure is believed up to the bound, and money is held for it.
"""

from collections.abc import Iterable, Sequence
from typing import Final, Protocol

from macroslow.errors import InvalidModelRequestError
from macroslow.metering.encodings import upper_bound_tokens
from macroslow.metering.images import Image
from macroslow.metering.models import Model
from macroslow.metering.prompts import Prompt
from macroslow.values import value

OFF_LOOP_BYTES: Final = 32 * 1024
"""A body above this is parsed and counted in a thread: it may take milliseconds."""

LEAST_DRIFT_TOKENS: Final = 16
DRIFT_SHARE: Final = 50
"""Framing is not published in full: a fiftieth of a prompt, and at least so many tokens, may come to it."""


@value
class Counted:
    """A prompt's tokens: the likely number, and the largest that an honest provider can report."""

    tokens: int
    most_tokens: int

    def plus(self, tokens: int) -> "Counted":
        """The same with `tokens` more, which are known."""
        return Counted(self.tokens + tokens, self.most_tokens + tokens)


class TextCounters(Protocol):
    """Counts tokens of every vocabulary, by its name."""

    def texts(self, encoding: str, texts: Iterable[str]) -> int: ...


def count_prompt(prompt: Prompt, model: Model, counters: TextCounters, param: str = "messages") -> Counted:
    """Count `prompt` as `model` would. The bound is within what the model takes, unless the count is not.

    Raises InvalidModelRequestError, naming `param`, for images that have no price with this model.
    """
    text_tokens = counters.texts(model.encoding, prompt.texts)
    framing_tokens = prompt.framing_tokens
    image_tokens, most_image_tokens = _images(prompt.images, model, param) if prompt.images else (0, 0)
    if model.counting == "exact":
        tokens = most_tokens = text_tokens + framing_tokens + image_tokens
    else:
        likely_tokens = -(-(text_tokens + framing_tokens) * model.tokens_per_1000_counted // 1000)
        tokens = likely_tokens + image_tokens
        most_tokens = sum(map(upper_bound_tokens, prompt.texts)) + 2 * framing_tokens + most_image_tokens
    most_tokens = max(most_tokens, tokens)
    drift_tokens = max(LEAST_DRIFT_TOKENS, -(-most_tokens // DRIFT_SHARE))
    return Counted(tokens, max(tokens, min(most_tokens + drift_tokens, model.max_input_tokens)))


def _images(images: Sequence[Image], model: Model, param: str) -> tuple[int, int]:
    """The likely and the largest number of tokens of all `images` together."""
    rule = model.images
    if rule is None:
        raise InvalidModelRequestError(
            f"{model.name} takes no images that have a price here",
            param=param,
            fix="leave the images out, or name a model that takes them",
        )
    return sum(rule.tokens(image) for image in images), rule.most_tokens * len(images)
