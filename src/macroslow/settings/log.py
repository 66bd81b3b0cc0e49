"""The section [log]: the audit log's name, its dials, and third parties that vouch for it."""

from typing import Annotated

from pydantic import Field

from macroslow.settings.section import Section


class Log(Section):
    """The audit log: its name in checkpoints, and whether everybody may read its tiles."""

    origin: Annotated[str, Field(pattern=r"^[!-*,-~]{1,200}$")] | None = None  # C2SP: no space, no plus
    disk_reserve_mib: Annotated[int, Field(ge=0, le=1024 * 1024)] = 256
    public: bool = False
