"""What the emulator says: text derived from the request alone, so the same request gets the same answer.

By the last user message:
- `Answer with exactly: TEXT` (anywhere in it; TEXT goes to its end) is answered by TEXT;
- `Answer with N words` is answered by N numbered words, to use as many tokens as a test wants;
- anything else by a line that says how long it was and how it begins.

Then the answer is cut as a model's would be: before the first stop sequence, and at the maximum.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import orjson

from macroslow.emulator import refusals
from macroslow.emulator.members import refuse
from macroslow.emulator.messages import text_of
from macroslow.emulator.request import ChatRequest
from macroslow.metering.count import Counter, prompt_of

_EXACTLY: Final = re.compile(r"Answer with exactly:(.*)", re.DOTALL)
_WORDS: Final = re.compile(r"Answer with (\d{1,5}) words")
_CHUNK: Final = re.compile(r"\s*\S+|\s+")
_QUOTED_WORDS: Final = 12

# No token of o200k_base is longer: it has runs of spaces up to this many.
_LONGEST_TOKEN_CHARACTERS: Final = 128


@dataclass(frozen=True, slots=True)
class Answer:
    """One text for every choice, and what it all counts. `finish_reason` is "stop" or "length"."""

    content: str
    finish_reason: str
    input_tokens: int
    output_tokens: int
    choices: int

    def chunks(self) -> Iterator[str]:
        """The content in pieces for a stream: a word each, with the space before it."""
        return iter(_CHUNK.findall(self.content))


def answer(request: ChatRequest, counter: Counter) -> Answer:
    """Count `request` and answer it. Raises RefusedError if it does not fit the model's context."""
    input_tokens = _input_tokens(request, counter)
    room_tokens = request.model.context_tokens - input_tokens
    content = _before_stop(_content(request), request.stops)
    most_tokens = min(request.max_tokens or request.model.max_output_tokens, room_tokens)
    kept = prefix_within(content, most_tokens, counter)
    return Answer(
        content=kept,
        finish_reason="stop" if kept == content else "length",
        input_tokens=input_tokens,
        output_tokens=counter.text(kept) * request.choices,
        choices=request.choices,
    )


def _input_tokens(request: ChatRequest, counter: Counter) -> int:
    prompt = prompt_of(request.messages, request.tools, request.response_format)
    if request.wants_json and not any("json" in text.lower() for text in prompt.texts):
        message = "'messages' must contain the word 'json' in some form, to use 'response_format'"
        refuse(refusals.bad_value("messages", f"{message} of type 'json_object'.", None))
    input_tokens, context_tokens = counter.prompt(prompt), request.model.context_tokens
    if input_tokens + (request.max_tokens or 1) > context_tokens:
        refuse(refusals.context_exceeded(context_tokens, input_tokens, request.max_tokens or 0))
    return input_tokens


def _content(request: ChatRequest) -> str:
    users = [message for message in request.messages if message["role"] == "user"]
    content = _reply(text_of(users[-1]) if users else "")
    return orjson.dumps({"answer": content}).decode() if request.wants_json else content


def _reply(text: str) -> str:
    if exact := _EXACTLY.search(text):
        return exact[1].strip()
    if words := _WORDS.search(text):
        return " ".join(f"word{at}" for at in range(1, int(words[1]) + 1))
    said = text.split()
    begins = " ".join(said[:_QUOTED_WORDS])
    more = " …" if len(said) > _QUOTED_WORDS else ""
    return f"Emulated answer to {len(said)} words: {begins}{more}" if said else "Emulated answer to no words."


def _before_stop(content: str, stops: Sequence[str]) -> str:
    ends = [content.find(stop) for stop in stops if stop]
    return content[: min((end for end in ends if end >= 0), default=len(content))]


def prefix_within(content: str, most_tokens: int, counter: Counter) -> str:
    """`content`, or as much of its beginning as makes `most_tokens` tokens and one more character would not.

    The number of tokens of growing prefixes is not quite monotonic, so a little more might fit again.
    """
    longest = most_tokens * _LONGEST_TOKEN_CHARACTERS
    if len(content) <= longest and counter.text(content) <= most_tokens:
        return content
    fits, too_long = 0, min(len(content), longest + 1)
    while too_long - fits > 1:
        middle = (fits + too_long) // 2
        if counter.text(content[:middle]) <= most_tokens:
            fits = middle
        else:
            too_long = middle
    return content[:fits]
