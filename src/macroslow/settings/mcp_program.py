"""The settings of an MCP server that is a program on this machine: its command, and all that it may reach.

Only this file names commands: no route, verb or document can. `environment` holds plain values, `secrets`
references; together they are the whole environment of the program, besides a few names of the box's own.
"""

import json
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Annotated, Final, Self, TypeVar

from pydantic import AfterValidator, Field, PlainSerializer, model_validator

from macroslow.ports import MIB
from macroslow.settings.fields import AsTexts, SecretReference, Texts, refuse
from macroslow.settings.section import Section
from macroslow.workflow.box import BoxLimits, Program, check_mounts, read_host, read_mount

T = TypeVar("T")
MAX_NAMED: Final = 64  # of each: arguments, mounts, hosts, variables
MAX_TEXT: Final = 32 * 1024  # of command and mounts, escaped: they travel in one message
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")


def _read(read: Callable[[str], object], fix: str) -> AfterValidator:
    """Refuse texts that `read` refuses, in its words: a mount or a host is no secret."""

    def check(texts: tuple[str, ...]) -> tuple[str, ...]:
        for text in texts:
            try:
                read(text)
            except ValueError as error:
                raise refuse(str(error), fix) from None
        return texts

    return AfterValidator(check)


def _command(value: tuple[str, ...] | None) -> tuple[str, ...] | None:
    if value is not None and (not value or not value[0] or any("\0" in word for word in value)):
        raise refuse("not a command", 'write for example ["npx", "-y", "@example/server", "/srv/docs"]')
    return value


def _variables(value: Mapping[str, T]) -> Mapping[str, T]:
    if not all(_VARIABLE.fullmatch(name) for name in value):
        raise refuse("not a name of a variable", "use A-Z, 0-9 and _, beginning with a letter")
    return MappingProxyType(value)


class ServerProgram(Section):
    """A command and its box. `memory_mib` and `processes` hold for all that the program starts, together."""

    command: Annotated[Texts | None, Field(max_length=MAX_NAMED), AfterValidator(_command)] = None
    mounts: Annotated[Texts, Field(max_length=MAX_NAMED), _read(read_mount, 'write "/srv/docs:ro"')] = ()
    hosts: Annotated[Texts, Field(max_length=MAX_NAMED), _read(read_host, 'write "api.github.com:443"')] = ()
    environment: Annotated[
        Mapping[str, str], Field(max_length=MAX_NAMED), AfterValidator(_variables), PlainSerializer(dict)
    ] = Field(default_factory=dict)
    secrets: Annotated[
        Mapping[str, SecretReference],
        Field(max_length=MAX_NAMED),
        AfterValidator(_variables),
        AsTexts,
    ] = Field(default_factory=dict)
    memory_mib: Annotated[int, Field(ge=32, le=1024 * 1024)] = BoxLimits().memory_bytes // MIB
    processes: Annotated[int, Field(ge=1, le=4096)] = BoxLimits().processes

    @model_validator(mode="after")
    def _fits_a_program(self) -> Self:
        if self.command is None and (self.mounts or self.hosts or self.environment or self.secrets):
            raise refuse("mounts, hosts, environment and secrets are a program's", "write its command")
        if both := sorted({*self.environment} & {*self.secrets}):
            raise refuse(f"{both[0]} is in environment and in secrets", "keep one of them")
        if len(json.dumps([self.command, self.mounts])) > MAX_TEXT:
            raise refuse(f"command and mounts have more than {MAX_TEXT} characters", "put them into a script")
        try:
            check_mounts(tuple(map(read_mount, self.mounts)))
        except ValueError as error:
            raise refuse(str(error), "leave one of them out") from None
        return self

    def program(self, name: str) -> Program | None:
        """What runs in the box of the server called `name`; None for one that is elsewhere."""
        if self.command is None:
            return None
        return Program(
            name,
            self.command,
            tuple(map(read_mount, self.mounts)),
            tuple(map(read_host, self.hosts)),
            BoxLimits(memory_bytes=self.memory_mib * MIB, processes=self.processes),
        )
