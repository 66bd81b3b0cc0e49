"""What a zygote is told first, while the gateway is sound: its backend, what it may show, who it becomes."""

import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

_OF_INTERPRETER: Final = ("bin", "lib", "lib64")  # folders below the interpreter's prefix
# Who root becomes. A number of our own, so that nothing else on the machine shares it; containers
# that map few ids get the traditional nobody.
_OWN_UID: Final = 1_879_000_000
_NOBODY: Final = 65_534


def folders() -> list[str]:
    """Return what a run may read: the system's programs, the interpreter and its libraries.

    Not all below the interpreter's prefix, which may be somebody's home.
    """
    prefix = Path(sys.base_prefix).resolve()
    interpreter = [str(prefix / name) for name in _OF_INTERPRETER]
    wanted = ["/usr", "/etc/alternatives", *interpreter, *libraries()]
    kept: list[str] = []
    for path in wanted:
        covered = any(Path(path).is_relative_to(other) for other in kept)
        if not covered and Path(path).is_dir():
            kept.append(path)
    return kept


def libraries() -> list[str]:
    """Return the folders of installed packages that this interpreter uses."""
    return [path for path in sys.path if Path(path).name in {"site-packages", "dist-packages"}]


def placed(paths: Iterable[str]) -> dict[str, str]:
    """Where each path leads to now, links followed: a zygote follows none."""
    return {path: os.path.realpath(path) for path in paths}


def sandbox_uid() -> int:
    """Return the user that a gateway running as root turns its sandbox into."""
    mapped = [line.split() for line in Path("/proc/self/uid_map").read_text().splitlines()]
    known = any(int(first) <= _OWN_UID < int(first) + int(count) for first, _, count in mapped)
    return _OWN_UID if known else _NOBODY


def profile_of(backend: str, more: Mapping[str, object] | None = None) -> dict[str, object]:
    """What a zygote is told first; `more`: what that of a box is told besides, or instead."""
    own: dict[str, object] = {
        "backend": backend,
        "folders": placed(folders()),
        "sys_path": libraries(),
        "uid": sandbox_uid(),
    }
    return own | dict(more or {})
