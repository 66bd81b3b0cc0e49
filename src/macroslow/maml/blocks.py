"""Code blocks: what the fenced blocks under Code_Blocks are to run, and under which name and limit.

An info string is the language, then `name=` and `timeout=` in seconds, as in `python name=load timeout=5`.
A block without a language is refused, since nothing would say how to run it.
"""

import re
from collections.abc import Iterable
from typing import Final

from macroslow.maml.body import Fence
from macroslow.maml.complaints import Complaints, did_you_mean, quoted
from macroslow.maml.document import LANGUAGES, CodeBlock
from macroslow.maml.fields import MAX_TIMEOUT_S

MAX_BLOCKS: Final = 256

_FIELD: Final = "Code_Blocks"
_ATTRIBUTE: Final = re.compile(r"""([A-Za-z_][\w-]*+)=("[^"]*+"|'[^']*+'|[^\s"']++)|(\S++)""", re.ASCII)
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")
_SECONDS: Final = re.compile(r"(\d{1,6}(?:\.\d{1,3})?)s?", re.ASCII)
_LANGUAGES: Final = f"write one of: {', '.join(LANGUAGES)}"


def read_blocks(fences: Iterable[Fence], complaints: Complaints) -> tuple[CodeBlock, ...]:
    """The code blocks in order. A block without a name is called block-1, block-2 … by its place."""
    blocks = []
    names: set[str] = set()
    for number, fence in enumerate(fences, start=1):
        if number > MAX_BLOCKS:
            complaints.refuse(f"more than {MAX_BLOCKS} code blocks", "split the document", fence.line, _FIELD)
            break
        block = _read_block(fence, number, complaints)
        if block.name in names:
            message = f"the block name {quoted(block.name)} is used twice"
            complaints.refuse(message, "give each block a name of its own", fence.line, _FIELD)
        names.add(block.name)
        blocks.append(block)
    return tuple(blocks)


def _read_block(fence: Fence, number: int, complaints: Complaints) -> CodeBlock:
    language, _, rest = fence.info.partition(" ")
    name, timeout_s = f"block-{number}", None
    for key, value, stray in _ATTRIBUTE.findall(rest[:1_024]):
        text = value.strip("\"'")
        match key.lower():
            case "name":
                name = _name(text, fence, complaints) or name
            case "timeout":
                timeout_s = _timeout_s(text, fence, complaints)
            case _:
                message = f"{quoted(key or stray)} after the language is not read"
                complaints.warn(message, "only name= and timeout= are", fence.line, _FIELD)
    return CodeBlock(_language(language, fence, complaints), name, fence.text, fence.line + 1, timeout_s)


def _language(word: str, fence: Fence, complaints: Complaints) -> str:
    language = word.lower()
    if not word or "=" in word:
        complaints.refuse(
            "a code block without a language", "write ```python, for example", fence.line, _FIELD
        )
    elif language not in LANGUAGES:
        hint = did_you_mean(_ALIASES.get(language, language), LANGUAGES, _LANGUAGES)
        complaints.refuse(f"the language {quoted(word)} is not known", hint, fence.line, _FIELD)
    return language


_ALIASES: Final = {"py": "python", "python3": "python", "js": "javascript", "sh": "bash", "shell": "bash"}


def _name(text: str, fence: Fence, complaints: Complaints) -> str:
    if _NAME.fullmatch(text):
        return text
    fix = "a name is a letter and then letters, digits and _ . -"
    complaints.refuse(f"the block name {quoted(text)} is not valid", fix, fence.line, _FIELD)
    return ""


def _timeout_s(text: str, fence: Fence, complaints: Complaints) -> float | None:
    found = _SECONDS.fullmatch(text)
    if found and 0 < float(found[1]) <= MAX_TIMEOUT_S:
        return float(found[1])
    complaints.refuse(f"timeout={text[:32]} is not a number of seconds", "timeout=30", fence.line, _FIELD)
    return None
