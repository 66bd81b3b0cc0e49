"""Programs of other people's in boxes: a zygote for each, and the starts of its program.

All that a program may be shown, its command, mounts, limits and whether it has a way out, is in the profile
of its zygote, which the launcher is told while the gateway knows no secret. Nothing that comes later changes
it: a later message brings only the environment and the streams of one more start.
"""

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from macroslow.adapters.sandbox import _cgroup
from macroslow.adapters.sandbox._box import Box
from macroslow.adapters.sandbox._choose import repair
from macroslow.adapters.sandbox._meter import Meter
from macroslow.adapters.sandbox._process import fork
from macroslow.adapters.sandbox._profile import placed, profile_of
from macroslow.adapters.sandbox._way_out import WayOut
from macroslow.adapters.sandbox._zygote import Launcher, Zygote
from macroslow.adapters.sandbox.inside.wire import NATIVE
from macroslow.errors import SandboxUnavailableError
from macroslow.workflow.box import Program

# Programs of the system, and the certificates that those which speak TLS trust.
_FOLDERS: Final = ("/usr", "/etc/alternatives", "/etc/ssl/certs", "/etc/pki/ca-trust/extracted")


def box_name(program: Program) -> str:
    """What the launcher knows the zygote of `program` by."""
    return f"mcp/{program.name}"


def box_profile(program: Program) -> dict[str, object]:
    """What the zygote of `program` is told first."""
    limits = program.limits
    own = {
        "folders": placed(path for path in _FOLDERS if Path(path).is_dir()),
        "sys_path": [],
        "command": list(program.command),
        "mounts": {mount.path: mount.writable for mount in program.mounts},
        "egress": bool(program.hosts),
        "cpu_s": 0,
        "file_bytes": limits.scratch_bytes,
        "files": limits.scratch_files,
        "processes": limits.processes + 1,  # init is one more
        "open_files_per_process": limits.open_files_per_process,
    }
    return profile_of(NATIVE, own)


@dataclass(slots=True, eq=False)
class Boxes:
    """One program's boxes, one after another: of the full level, or there is none.

    `launcher` starts the zygote, for a gateway that has restricted itself.
    """

    program: Program
    launcher: Launcher | None = None
    way_out: WayOut = field(init=False)
    _zygote: Zygote | None = None
    _parent: _cgroup.GroupParent | None = field(default_factory=_cgroup.find_parent)
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        self.way_out = WayOut(self.program.name, self.program.hosts)

    async def start(self, environment: Mapping[str, str]) -> Box:
        """Start the program, with this environment and no other. SandboxUnavailableError if it cannot be."""
        async with self._lock, contextlib.AsyncExitStack() as stack:
            zygote = await self._living()
            try:
                box = await self._fork(zygote, stack)
            except EOFError:
                raise SandboxUnavailableError("its zygote died") from None
            await box.begin(environment)
            box.stack = stack.pop_all()
            return box

    async def close(self) -> None:
        """End the zygote, and with it every box of this program."""
        async with self._lock:
            if self._zygote is not None:
                await self._zygote.close()
                self._zygote = None

    async def _living(self) -> Zygote:
        if self._zygote is not None and not self._zygote.alive:
            await self._zygote.close()
            self._zygote = None
        if self._zygote is None:
            try:
                profile = box_profile(self.program)
                self._zygote = await Zygote.start(profile, self.launcher, box_name(self.program))
            except SandboxUnavailableError as error:
                reason = f"a program needs a full sandbox, and none works here: {error.detail}"
                raise SandboxUnavailableError(reason, fix=repair(error.detail)) from error
        return self._zygote

    async def _fork(self, zygote: Zygote, stack: contextlib.AsyncExitStack) -> Box:
        """Fork one box; what it leaves behind is undone by `stack`."""
        name, limits = _cgroup.fresh_name(), self.program.limits
        memory = _cgroup.memory_group(self._parent, name, limits.memory_bytes)
        groups: list[_cgroup.Group] = [] if memory is None else [memory]
        if memory is None or not memory.share(limits.cpus):
            time_share = _cgroup.share(name, limits.cpus)
            groups += [] if time_share is None else [time_share]
        process = await fork(zygote, {"kind": "box", "shared_memory": memory is not None}, groups, stack)
        if process.listener is not None:
            await stack.enter_async_context(self.way_out.serve(process.listener))
        return Box(self.program, process, Meter(process.pid, memory), stack)
