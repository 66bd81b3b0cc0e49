"""The sandboxes that the gateway can have: by namespaces, by Landlock alone, or none."""

import asyncio
import contextlib
import os
import secrets
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from macroslow.adapters.sandbox import _cgroup, _folder, _zygote
from macroslow.adapters.sandbox._meter import Meter
from macroslow.adapters.sandbox._pool import Cabin, Pool, Wanted
from macroslow.adapters.sandbox._process import meet
from macroslow.adapters.sandbox._run import Run
from macroslow.adapters.sandbox._zygote import Launcher, Zygote, pid_of, profile_of
from macroslow.errors import SandboxUnavailableError
from macroslow.workflow.sandbox import EgressServer, Job, Level, Limits, Outcome

PRELOADED: Final = ("openai",)
# A new zygote after so many runs: all forks of one share the layout of their address space.
_RUNS_PER_ZYGOTE: Final = 1000
_START_RUN_S: Final = 20.0
_LANGUAGES: Final = frozenset({"python", "bash"})


@dataclass(slots=True, eq=False)
class ProcessSandbox:
    """Runs jobs in forks of a zygote. `mode` is "native" or "landlock".

    The `preload` modules cost tens of MiB and a second: the zygote loads them for the first job whose
    Python names one of them, and all later forks have them.
    """

    mode: str
    preload: tuple[str, ...] = PRELOADED
    runs_per_zygote: int = _RUNS_PER_ZYGOTE
    launcher: Launcher | None = None  # who starts zygotes for us, if we may not
    _pool: Pool = field(default_factory=Pool)
    _parent: _cgroup.GroupParent | None = field(default_factory=_cgroup.find_parent)
    _current: Zygote | None = None
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    _preloaded: bool = False  # from the first job on that names one of `preload`
    _closed: bool = False

    @property
    def backend(self) -> str:
        return self.mode

    @property
    def level(self) -> Level:
        return Level.FULL if self.mode == "native" else Level.REDUCED

    @property
    def counts_memory(self) -> bool:
        """Whether the kernel counts a run's memory, rather than a sampler."""
        return self._parent is not None

    @property
    def zygote_pid(self) -> int | None:
        """The process that new runs are forked from, for whoever watches the gateway."""
        return pid_of(self._current.process.pidfd) if self._current else None

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
        self._closed = True
        await self._pool.close()
        if self._current is not None:
            await self._current.close()
            self._current = None

    async def _take(self, job: Job, stack: contextlib.AsyncExitStack) -> Cabin:
        """Return an empty sandbox: a spare one if there is one, else a new one."""
        if not self._preloaded and self._names_preloaded(job):
            await self._preload()
        wanted = Wanted(job.limits, egress=True, cell=True)
        spare = self._pool.take(wanted, self._current) if self.mode == "native" else None
        if spare is not None:
            cabin = spare
        else:
            has_python = any(block.language == "python" for block in job.blocks)
            cabin = await self._fork(Wanted(job.limits, job.wants_egress, has_python))
        stack.push_async_callback(cabin.stack.aclose)
        if self.mode == "native":
            self._pool.refill(wanted, self._fork)
        return cabin

    def _names_preloaded(self, job: Job) -> bool:
        code = [block.code for block in job.blocks if block.language == "python"]
        return any(name in text for name in self.preload for text in code)

    async def _preload(self) -> None:
        """Load the modules ahead of all forks from now on; a spare that lacks them is dropped."""
        async with self._lock:
            self._preloaded = True
            self._pool.drop_all()
            if self._current is not None:
                await self._current.warm(self.preload)

    async def _fork(self, wanted: Wanted) -> Cabin:
        """Fork an empty sandbox, from a second zygote if the first has died."""
        for _ in range(2):
            async with self._lock:
                zygote = await self._zygote()
            try:
                async with contextlib.AsyncExitStack() as stack:
                    cabin = await self._spawn(zygote, wanted, stack)
                    cabin.stack = stack.pop_all()
                    return cabin
            except EOFError:
                await self._discard(zygote)
        raise SandboxUnavailableError("the sandbox process died twice while it started a run")

    async def _zygote(self) -> Zygote:
        """Return the living zygote, a new one if need be. Call with the lock held."""
        if self._closed:
            raise SandboxUnavailableError("the sandbox is closed")
        current = self._current
        if current is not None and not current.alive:
            await current.close()
            current = None
        if current is None or current.runs >= self.runs_per_zygote:
            fresh = await Zygote.start(profile_of(self.mode), self.launcher, self.mode)
            if current is not None:
                await self._retire(current)
            self._current = current = fresh
            if self._preloaded:
                await fresh.warm(self.preload)
        return current

    async def _retire(self, zygote: Zygote) -> None:
        """Let a zygote finish its runs; whoever ends the last one closes it."""
        zygote.retired = True
        if not zygote.active:
            await zygote.close()

    async def _discard(self, zygote: Zygote) -> None:
        async with self._lock:
            if self._current is zygote:
                self._current = None
                await zygote.close()

    async def _leave(self, zygote: Zygote) -> None:
        zygote.active -= 1
        if zygote.retired and not zygote.active:
            await zygote.close()

    async def _spawn(self, zygote: Zygote, wanted: Wanted, stack: contextlib.AsyncExitStack) -> Cabin:
        """Fork a sandbox of this zygote; what it leaves behind is undone by `stack`."""
        zygote.runs += 1
        zygote.active += 1
        stack.push_async_callback(self._leave, zygote)
        group = self._group(wanted.limits)
        if group is not None:
            stack.push_async_callback(asyncio.to_thread, group.remove)
        work, listener = "", None
        if self.mode == "landlock":
            work = await stack.enter_async_context(_work_folder())
            listener = _host_listener() if wanted.egress else None
        control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        stack.callback(control.close)
        request = self._request(wanted, work, listener, counted=group is not None)
        with theirs, group.door() if group else contextlib.nullcontext() as door:
            await zygote.ask(request, [theirs.fileno()] if door is None else [theirs.fileno(), door])
        try:
            async with asyncio.timeout(_START_RUN_S):
                process = await meet(control)
        except TimeoutError:
            raise SandboxUnavailableError("the sandbox process does not answer") from None
        process.listener = process.listener or listener
        stack.push_async_callback(process.end, gentle=self.mode == "landlock")
        return Cabin(process, Meter(process.pid, group), work or None, zygote, stack)

    def _group(self, limits: Limits) -> _cgroup.MemoryGroup | None:
        if self._parent is None:
            return None
        name = f"macroslow-{os.getpid()}-{secrets.token_hex(6)}"
        try:
            return self._parent.create(name, limits.memory_bytes)
        except OSError:
            return None

    def _request(
        self, wanted: Wanted, work: str, listener: socket.socket | None, *, counted: bool
    ) -> dict[str, object]:
        limits = wanted.limits
        others = _tasks_of_sandbox_user() if self.mode == "landlock" else 0
        return {
            "kind": "run",
            "egress": wanted.egress,
            "cell": wanted.cell,
            "shared_memory": counted,
            "work": work,
            "port": listener.getsockname()[1] if listener else 0,
            "cpu_s": limits.cpu_s,
            "file_bytes": limits.file_bytes,
            "files": limits.files,
            "processes": limits.processes + 1 + others,  # init is one more
            "open_files_per_process": limits.open_files_per_process,
        }


def _check(job: Job, serve_egress: EgressServer | None) -> None:
    for block in job.blocks:
        if block.language not in _LANGUAGES:
            raise ValueError(f"block {block.name!r}: no sandbox runs {block.language!r}")
    if job.wants_egress and serve_egress is None:
        raise ValueError(f"run {job.run_id}: it wants an egress and nobody serves one")


@contextlib.asynccontextmanager
async def _work_folder() -> AsyncIterator[str]:
    """A folder on the host's disk for a run that cannot mount one."""
    path = _folder.make(_zygote.sandbox_uid() if os.geteuid() == 0 else None)
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
    uid = _zygote.sandbox_uid() if os.geteuid() == 0 else os.geteuid()
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
