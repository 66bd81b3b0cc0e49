"""What the command of an MCP server names and its box will not have, as far as can be told before a start."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from macroslow.bootstrap.upstreams.boxes import programs
from macroslow.settings import Settings
from macroslow.workflow.box import Program, is_within

SEARCHED: Final = "/usr/local/bin:/usr/bin:/bin"  # PATH in a box
SYSTEM: Final = ("/usr", "/bin", "/sbin", "/lib", "/lib64")  # what each box has of the machine


def unseen_words(settings: Settings) -> list[str]:
    """One line, with its repair, for each word of a command that leads nowhere in its box."""
    return [line for program in programs(settings).values() for line in _unseen(program)]


def _unseen(program: Program) -> Iterator[str]:
    first, *others = program.command
    place = f"mcp.servers.{program.name}.command"
    if "/" not in first and shutil.which(first, path=SEARCHED) is None:
        yield f"{place}: {first} is not in {SEARCHED} (fix: write its path, and show that under mounts)"
    for word in (first, *others):
        if word.startswith("/") and not _is_shown(word, program) and (word is first or Path(word).exists()):
            yield f"{place} names {word}, which no mount shows (fix: add {word}:ro to mounts)"


def _is_shown(path: str, program: Program) -> bool:
    return any(is_within(path, folder) for folder in (*SYSTEM, *(mount.path for mount in program.mounts)))
