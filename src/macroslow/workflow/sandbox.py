"""The sandbox as the run sees it: blocks in, outcomes out. Implementations are in adapters/sandbox."""

import enum
import socket
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol


class Level(enum.StrEnum):
    """How much stands between code and the machine."""

    FULL = "full"  # namespaces, no rights, seccomp, limits
    REDUCED = "reduced"  # Landlock and seccomp only
    NONE = "none"  # nothing works here: code blocks are refused


class BlockStatus(enum.StrEnum):
    """How one block ended."""

    OK = "ok"
    ERROR = "error"  # ended with an exit code other than 0, or an exception
    CRASH = "crash"  # killed by a signal of its own making
    TIMEOUT = "timeout"  # wall clock
    CPU = "cpu"
    MEMORY = "memory"
    OUTPUT = "output"
    FORBIDDEN = "forbidden"  # a system call that the filter kills
    SKIPPED = "skipped"  # an earlier block failed


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one run. All of them hold for all its processes together, unless the name says otherwise."""

    wall_s: float = 60.0
    cpu_s: int = 30
    memory_bytes: int = 512 * 1024 * 1024
    output_bytes: int = 1024 * 1024
    result_bytes: int = 1024 * 1024
    file_bytes: int = 64 * 1024 * 1024
    files: int = 4096
    processes: int = 64
    open_files_per_process: int = 256


@dataclass(frozen=True, slots=True)
class Block:
    """One code block. `language` is "python" or "bash"; `line` is where it starts in the document."""

    language: str
    name: str
    code: str
    line: int = 1
    timeout_s: float | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """All that one run may know. `environment` values may contain `{port}`: the run's egress port.

    `apis` maps a granted outside API to its local path, e.g. {"openweathermap": "/api/openweathermap"};
    the sandbox turns it into `apis[name]` and MAML_API_NAME with the run's own base URL.
    """

    run_id: str
    blocks: tuple[Block, ...]
    inputs: Mapping[str, object]
    limits: Limits = Limits()
    environment: Mapping[str, str] = field(default_factory=dict)
    apis: Mapping[str, str] = field(default_factory=dict)
    wants_egress: bool = False


@dataclass(frozen=True, slots=True)
class BlockOutcome:
    """What one block did. `limit` and `peak` are set when a limit ended it; `error` is one sentence."""

    language: str
    name: str
    status: BlockStatus
    exit_code: int | None
    stdout: str
    stderr: str
    duration_ms: int
    error: str = ""
    limit: str = ""
    peak: int | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run did. `result_json` is the document's result as the code gave it (None: no result).

    It comes from hostile code: parse it with caps.
    """

    blocks: tuple[BlockOutcome, ...]
    result_json: bytes | None
    backend: str
    level: Level


EgressServer = Callable[[socket.socket], AbstractAsyncContextManager[None]]
"""Serves the run's only way out on a listening socket until the context is left."""


class Sandbox(Protocol):
    """Runs a job and leaves nothing behind."""

    @property
    def backend(self) -> str:
        """Name of what does the work: "native", "landlock" or "none"."""
        ...

    @property
    def level(self) -> Level: ...

    async def run(self, job: Job, serve_egress: EgressServer | None = None) -> Outcome:
        """Run the blocks in order, stop at the first that fails.

        Raises SandboxUnavailableError if no sandbox works. Cancelling kills everything in it.
        """
        ...

    async def close(self) -> None:
        """End all helper processes."""
        ...
