"""The sandboxes that the gateway can have: by namespaces, by Landlock alone, or none."""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from macroslow.adapters.sandbox import _cgroup, _folder
from macroslow.adapters.sandbox._meter import Meter
from macroslow.adapters.sandbox._pool import Cabin, Pool, Wanted
from macroslow.adapters.sandbox._process import fork, pid_of
from macroslow.adapters.sandbox._profile import sandbox_uid
from macroslow.adapters.sandbox._run import Run
from macroslow.adapters.sandbox._zygote import Launcher, Zygote
from macroslow.adapters.sandbox._zygotes import Zygotes
from macroslow.adapters.sandbox.inside.wire import NATIVE
from macroslow.errors import SandboxUnavailableError
from macroslow.workflow.sandbox import EgressServer, Job, Level, Outcome

PRELOADED: Final = ("openai",)
# A new zygote after so many runs: all forks of one share the layout of their address space.
_RUNS_PER_ZYGOTE: Final = 1000
_LANGUAGES: Final = frozenset({"python", "bash"})


@dataclass(slots=True, eq=False)
class ProcessSandbox:
    """Runs jobs in forks of a zygote. `backend` is "native" or "landlock".

    The `preload` modules cost tens of MiB and a second: the zygote loads them for the first job whose
    Python names one of them, and all later forks have them.
    """

    backend: str
    preload: tuple[str, ...] = PRELOADED
    runs_per_zygote: int = _RUNS_PER_ZYGOTE
    launcher: Launcher | None = None  # who starts zygotes for us, if we may not
    _zygotes: Zygotes = field(init=False)
    _pool: Pool = field(default_factory=Pool)
    _parent: _cgroup.GroupParent | None = field(default_factory=_cgroup.find_parent)

    def __post_init__(self) -> None:
        self._zygotes = Zygotes(self.backend, self.runs_per_zygote, self.launcher)

    @property
    def level(self) -> Level:
        return Level.FULL if self._native else Level.REDUCED

    @property
    def _native(self) -> bool:
        return self.backend == NATIVE

    @property
    def counts_memory(self) -> bool:
        """Whether the kernel counts a run's memory, rather than a sampler."""
        return self._parent is not None

    @property
    def zygote_pid(self) -> int | None:
        """The process that new runs are forked from, for whoever watches the gateway."""
        current = self._zygotes.current
        return pid_of(current.process.pidfd) if current else None

    @property
    def spare_pids(self) -> list[int]:
        """The inits of the sandboxes that wait for a job."""
        return [spare.process.pid for spare in self._pool.spares]

    async def run(self, job: Job, serve_egress: EgressServer | None = None) -> Outcome:
        """Run the blocks in order, stop at the first that fails; see `Sandbox.run`.

        ValueError for a language that is not run here, and for a job that wants an egress that nobody serves.
        """
        _check(job, serve_egress)
        async with contextlib.AsyncExitStack() as stack:
            cabin = await self._take(job, stack)
            process = cabin.process
            if job.wants_egress and serve_egress is not None and process.listener is not None:
                await stack.enter_async_context(serve_egress(process.listener))
            elif process.listener is not None:
                process.listener.close()  # a spare sandbox has a way out; this job may not use it
            outcomes, result = await Run(job, process, cabin.meter, cabin.folder).blocks()
            return Outcome(outcomes, result, self.backend, self.level)

    def keep_spares(self, count: int) -> None:
        """From the next job on, keep `count` sandboxes forked ahead (native only), each for one job."""
        self._pool.size = count

    async def close(self) -> None:
        await self._zygotes.close()
        await self._pool.close()

    async def _take(self, job: Job, stack: contextlib.AsyncExitStack) -> Cabin:
        """Return an empty sandbox: a spare one if there is one, else a new one."""
        if not self._zygotes.modules and self._names_preloaded(job):
            await self._zygotes.warm(self.preload)
        spare = Wanted(job.limits, egress=True, cell=True, modules=self._zygotes.modules)
        cabin = self._pool.take(spare, self._zygotes.current) if self._native else None
        if cabin is None:
            has_python = any(block.language == "python" for block in job.blocks)
            cabin = await self._fork(replace(spare, egress=job.wants_egress, cell=has_python))
        stack.push_async_callback(cabin.stack.aclose)
        if self._native:
            self._pool.refill(spare, self._fork)
        return cabin

    def _names_preloaded(self, job: Job) -> bool:
        code = [block.code for block in job.blocks if block.language == "python"]
        return any(name in text for name in self.preload for text in code)

    async def _fork(self, wanted: Wanted) -> Cabin:
        """Fork an empty sandbox, from a second zygote if the first has died."""
        for _ in range(2):
            zygote = await self._zygotes.take()
            try:
                async with contextlib.AsyncExitStack() as stack:
                    stack.push_async_callback(self._zygotes.leave, zygote)
                    return await self._cabin(zygote, wanted, stack)
            except EOFError:
                await self._zygotes.discard(zygote)
        raise SandboxUnavailableError("the sandbox process died twice while it started a run")

    async def _cabin(self, zygote: Zygote, wanted: Wanted, stack: contextlib.AsyncExitStack) -> Cabin:
        """Fork a sandbox of this zygote, which takes over from `stack` what undoes it."""
        work, listener, others = "", None, 0
        if not self._native:
            work = await stack.enter_async_context(_work_folder())
            listener = stack.enter_context(_host_listener()) if wanted.egress else None
            others = _tasks_of_sandbox_user()
        limits = wanted.limits
        memory = _cgroup.memory_group(self._parent, _cgroup.fresh_name(), limits.memory_bytes)
        request = {
            "kind": "run",
            "egress": wanted.egress,
            "cell": wanted.cell,
            "shared_memory": memory is not None,
            "work": work,
            "port": listener.getsockname()[1] if listener else 0,
            "cpu_s": limits.cpu_s,
            "file_bytes": limits.file_bytes,
            "files": limits.files,
            "processes": limits.processes + 1 + others,  # init is one more
            "open_files_per_process": limits.open_files_per_process,
        }
        groups = [] if memory is None else [memory]
        process = await fork(zygote, request, groups, stack, gentle=not self._native)
        process.listener = process.listener or listener
        return Cabin(process, Meter(process.pid, memory), work or None, zygote, stack.pop_all())


def _check(job: Job, serve_egress: EgressServer | None) -> None:
    for block in job.blocks:
        if block.language not in _LANGUAGES:
            raise ValueError(f"block {block.name!r}: no sandbox runs {block.language!r}")
    if job.wants_egress and serve_egress is None:
        raise ValueError(f"run {job.run_id}: it wants an egress and nobody serves one")


@contextlib.asynccontextmanager
async def _work_folder() -> AsyncIterator[str]:
    """A folder on the host's disk for a run that cannot mount one."""
    path = _folder.make(sandbox_uid() if os.geteuid() == 0 else None)
    try:
        yield path
    finally:
        await asyncio.to_thread(_folder.remove, path)


def _host_listener() -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.bind(("127.0.0.1", 0))
    listener.listen(64)
    return listener


def _tasks_of_sandbox_user() -> int:
    """How many threads the sandbox's user has already: without a user namespace the limit counts them all."""
    uid = sandbox_uid() if os.geteuid() == 0 else os.geteuid()
    count = 0
    for process in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if process.name.isdecimal() and process.stat().st_uid == uid:
                count += sum(1 for _ in (process / "task").iterdir())
    return count


@dataclass(frozen=True, slots=True)
class NoSandbox:
    """Stands where no sandbox works: refuses every job, with the reason and the repair."""

    reason: str
    repair: str

    @property
    def backend(self) -> str:
        return "none"

    @property
    def level(self) -> Level:
        return Level.NONE

    async def run(self, job: Job, serve_egress: EgressServer | None = None) -> Outcome:
        raise SandboxUnavailableError(self.reason, fix=self.repair, step="sandbox")

    async def close(self) -> None:
        return
