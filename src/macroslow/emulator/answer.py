"""What the emulator says: derived from the request alone, so the same request gets the same answer.

By the last user message:
- `Answer with exactly: TEXT` (anywhere in it; TEXT goes to its end) is answered by TEXT;
- `Answer with N words` is answered by N numbered words, to use as many tokens as a test wants;
- `Call the tool NAME with {…}` by a call of that tool, if it is offered and fits, until its result is there;
- anything else by a line that says how long it was and how it begins.

A tool that the request demands is called with `{}` if the message does not say otherwise. With
`Think for N tokens` a reasoning model thinks first, in tokens that are counted and not shown.

Then the answer is cut as a model's would be: before the first stop sequence, and at the maximum.
"""

import enum
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import orjson

from macroslow.emulator.ask import Ask, Calls, text_of
from macroslow.emulator.bodies import json_object
from macroslow.emulator.counting import Scales

_EXACTLY: Final = re.compile(r"Answer with exactly:(.*)", re.DOTALL)
_WORDS: Final = re.compile(r"Answer with (\d{1,5}) words")
_CALL: Final = re.compile(r"Call the tool ([A-Za-z0-9_.-]{1,128})(?: with (\{.*\}))?", re.DOTALL)
_THINK: Final = re.compile(r"Think for (\d{1,5}) tokens")
_PIECE: Final = re.compile(r"\s*\S+|\s+")
_QUOTED_WORDS: Final = 12

# No token of o200k_base is longer: it has runs of spaces up to this many.
_LONGEST_TOKEN_CHARACTERS: Final = 128


class Ending(enum.Enum):
    """Why the model stopped."""

    DONE = enum.auto()
    STOP_SEQUENCE = enum.auto()
    TOOL = enum.auto()
    MAXIMUM = enum.auto()


class ContextExceededError(Exception):
    """The request does not fit the model's context. `output_tokens` is the maximum asked for, or 0."""

    def __init__(self, context_tokens: int, input_tokens: int, output_tokens: int) -> None:
        super().__init__(f"{input_tokens} + {output_tokens} > {context_tokens}")
        self.context_tokens = context_tokens
        self.input_tokens = input_tokens
        self.output_tokens = output_tokens


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call of a tool: `arguments` is the text of a JSON object."""

    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Answer:
    """One text, or one call, for every choice, and what it all counts.

    `reasoning_tokens` are part of `output_tokens`; `stop` is the stop sequence that ended it.
    """

    content: str
    ending: Ending
    input_tokens: int
    output_tokens: int
    choices: int = 1
    reasoning_tokens: int = 0
    call: ToolCall | None = None
    stop: str | None = None


def pieces(text: str) -> Iterator[str]:
    """A text as a stream brings it: a word each, with the space before it."""
    return iter(_PIECE.findall(text))


def answer(ask: Ask, scales: Scales) -> Answer:
    """Count `ask` and answer it. Raises ContextExceededError."""
    model, input_tokens = ask.model, scales.input(ask)
    asked_tokens = ask.max_tokens or 0
    if input_tokens + max(asked_tokens, 1) > model.context_tokens:
        raise ContextExceededError(model.context_tokens, input_tokens, asked_tokens)
    most_tokens = min(asked_tokens or model.max_output_tokens, model.context_tokens - input_tokens)
    thought_tokens = min(_thought_tokens(ask), most_tokens)
    written = _call(ask, scales, most_tokens - thought_tokens)
    written = written or _text(ask, scales, most_tokens - thought_tokens)
    return replace(
        written,
        input_tokens=input_tokens,
        output_tokens=(thought_tokens + written.output_tokens) * ask.choices,
        reasoning_tokens=thought_tokens * ask.choices,
        choices=ask.choices,
    )


def _call(ask: Ask, scales: Scales, most_tokens: int) -> Answer | None:
    """A call, if one is asked for and fits; then `output_tokens` are those of one choice."""
    call = _asked_call(ask)
    if call is None:
        return None
    tokens = scales.text(ask.model, call.name) + scales.text(ask.model, call.arguments)
    return Answer("", Ending.TOOL, 0, tokens, call=call) if tokens <= most_tokens else None


def _text(ask: Ask, scales: Scales, most_tokens: int) -> Answer:
    """A text, cut where it has to be; `output_tokens` are those of one choice."""
    whole, stop = _before_stop(_content(ask), ask.stops)
    content = prefix_within(whole, most_tokens, partial(scales.text, ask.model))
    tokens = scales.text(ask.model, content)
    if content != whole:
        return Answer(content, Ending.MAXIMUM, 0, tokens)
    return Answer(content, Ending.STOP_SEQUENCE if stop else Ending.DONE, 0, tokens, stop=stop)


def _user_text(ask: Ask) -> str:
    users = [message for message in ask.messages if message["role"] == "user"]
    return text_of(users[-1]) if users else ""


def _thought_tokens(ask: Ask) -> int:
    match = _THINK.search(_user_text(ask)) if ask.model.reasoning else None
    return int(match[1]) if match else 0


def _asked_call(ask: Ask) -> ToolCall | None:
    """The call that is asked for, unless a result came after the last user message."""
    names = [ask.tool] if ask.tool is not None else ask.tool_names
    roles = [message["role"] for message in ask.messages if message["role"] in ("user", "tool")]
    if not names or ask.calls is Calls.FORBIDDEN or roles[-1:] == ["tool"]:
        return None
    match = _CALL.search(_user_text(ask))
    if match and match[1] in names:
        return ToolCall(match[1], _object(match[2]))
    return ToolCall(names[0], "{}") if ask.calls is Calls.REQUIRED else None


def _object(text: str | None) -> str:
    """The compact form of a JSON object, `{}` for what is none."""
    return orjson.dumps(json_object((text or "").encode()) or {}).decode()


def _content(ask: Ask) -> str:
    content = _reply(_user_text(ask))
    return orjson.dumps({"answer": content}).decode() if ask.wants_json else content


def _reply(text: str) -> str:
    if exact := _EXACTLY.search(text):
        return exact[1].strip()
    if words := _WORDS.search(text):
        return " ".join(f"word{at}" for at in range(1, int(words[1]) + 1))
    said = text.split()
    begins = " ".join(said[:_QUOTED_WORDS])
    more = " …" if len(said) > _QUOTED_WORDS else ""
    return f"Emulated answer to {len(said)} words: {begins}{more}" if said else "Emulated answer to no words."


def _before_stop(content: str, stops: Sequence[str]) -> tuple[str, str | None]:
    """What stands before the first stop sequence, and that sequence."""
    found = [(content.find(stop), stop) for stop in stops if stop and stop in content]
    if not found:
        return content, None
    end, stop = min(found)
    return content[:end], stop


def prefix_within(content: str, most_tokens: int, count: Callable[[str], int]) -> str:
    """`content`, or as much of its beginning as makes `most_tokens` tokens and one more character would not.

    The number of tokens of growing prefixes is not quite monotonic, so a little more might fit again.
    """
    longest = most_tokens * _LONGEST_TOKEN_CHARACTERS
    if len(content) <= longest and count(content) <= most_tokens:
        return content
    fits, too_long = 0, min(len(content), longest + 1)
    while too_long - fits > 1:
        middle = (fits + too_long) // 2
        if count(content[:middle]) <= most_tokens:
            fits = middle
        else:
            too_long = middle
    return content[:fits]
