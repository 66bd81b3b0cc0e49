"""MCP servers that are programs of this machine: what their boxes may show, told early, and the servers.

The commands are those of the configuration: nothing else in this process knows a way to name one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from macroslow.adapters import keyfiles, sandbox
from macroslow.adapters.mcp_stdio import StdioServer, Streams
from macroslow.adapters.statefolder import StateFolder
from macroslow.bootstrap.signing.places import IN_STATE, OFF, at_home
from macroslow.errors import ConfigurationError, Problem, SandboxUnavailableError
from macroslow.secretstore.reference import Scheme
from macroslow.secretstore.secret import Secret
from macroslow.settings import Settings
from macroslow.settings.origin import problem
from macroslow.workflow.box import Mount, Program, is_within

_NO_PLACES: Final = frozenset({OFF, IN_STATE})
_ALLOWING: Final = frozenset({"auto", sandbox.NATIVE})


def programs(settings: Settings) -> Mapping[str, Program]:
    """The programs that the configuration names, by their server."""
    found = {name: server.program(name) for name, server in settings.mcp.servers.items()}
    return {name: program for name, program in found.items() if program is not None}


def box_profiles(settings: Settings) -> dict[str, Mapping[str, object]]:
    """What the launcher must know of each program, before this process restricts itself.

    ConfigurationError that names every mount which cannot be made, or would show what is the gateway's own.
    """
    if problems := mount_problems(settings):
        raise ConfigurationError("not all mounts of MCP servers can be made", problems, step="configuration")
    return {
        sandbox.box_name(program): sandbox.box_profile(program) for program in programs(settings).values()
    }


def mount_problems(settings: Settings) -> list[Problem]:
    """What is wrong with the mounts of all programs."""
    named = programs(settings)
    own = _own_places(settings) if named else []
    found = []
    for name, program in named.items():
        path = ("mcp", "servers", name, "mounts")
        others = [
            (other, each) for other, of_other in named.items() if other != name for each in of_other.mounts
        ]
        reasons = (
            sandbox.mount_refusal(mount, own) or _changeable(mount, others) for mount in program.mounts
        )
        found += [
            problem(path, reason, "name another folder", settings.source.origins)
            for reason in reasons
            if reason is not None
        ]
    return found


def _changeable(mount: Mount, others: Iterable[tuple[str, Mount]]) -> str | None:
    """Why another server could put something else in its place: a link there would end our next start."""
    for name, other in others:
        if other.writable and mount.path != other.path and is_within(mount.path, other.path):
            return f"{mount.path} lies in {other.path}, which the MCP server {name} may change"
    return None


@dataclass(frozen=True, slots=True)
class BoxedPrograms:
    """Starts one program in its box, with the operator's environment and no other."""

    boxes: sandbox.Boxes
    backend: str  # that the operator chose for all code
    environment: Mapping[str, str]
    secrets: Mapping[str, Secret]

    async def start(self) -> Streams:
        """Start it; SandboxUnavailableError, with the repair, where no full sandbox is to be had."""
        if self.backend not in _ALLOWING:
            raise SandboxUnavailableError(
                f'a program needs a full sandbox, and [sandbox] backend = "{self.backend}" allows none',
                fix='write backend = "auto"',
            )
        revealed = {name: secret.reveal() for name, secret in self.secrets.items()}
        return await self.boxes.start({**self.environment, **revealed})

    async def close(self) -> None:
        """End its zygote."""
        await self.boxes.close()


def boxed_servers(
    settings: Settings, secrets: Mapping[str, Secret], launcher: sandbox.ZygoteLauncher | None
) -> dict[str, StdioServer]:
    """The servers that are programs, by name; each is started when it is first needed."""
    found = {}
    for name, program in programs(settings).items():
        server, boxes = settings.mcp.servers[name], sandbox.Boxes(program, launcher)
        own = {variable: secrets[f"mcp.servers.{name}.secrets.{variable}"] for variable in server.secrets}
        boxed = BoxedPrograms(boxes, settings.sandbox.backend, server.environment, own)
        found[name] = StdioServer(name, program.command, boxed, max_result_bytes=server.max_result_bytes)
    return found


def _own_places(settings: Settings) -> list[Path]:
    """What no program may see: state, keys and marks wherever they are or may come to lie, secrets.

    Asked before a start, when the state may not have been made.
    """
    source, folder = settings.source, StateFolder(settings.state_folder)
    named = [wanted.reference.name for wanted in settings.secrets() if wanted.reference.scheme is Scheme.FILE]
    chosen = (settings.log.keys, settings.log.high_water)
    named += [place for place in chosen if place is not None and place not in _NO_PLACES]
    if settings.server.tls is not None:
        named.append(str(settings.server.tls.key))
    keys = keyfiles.signer_folder(folder.path).parent if folder.has_keys else None
    places = [folder.path, source.file, source.dotenv, keys, at_home("signer"), at_home("high-water")]
    return [*(place for place in places if place is not None), *(source.folder / name for name in named)]
