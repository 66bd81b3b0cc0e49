"""[log.timestamps]: a third party that dates the log's checkpoints (RFC 3161)."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from macroslow.settings.fields import BaseURL
from macroslow.settings.section import Section, needs_extra


class LogTimestamps(Section):
    """A time-stamping authority and the root certificates (PEM) that its stamps must lead to.

    Plain http is usual and does no harm: a stamp is believed for its signature, and asked for with a
    digest. `roots` is relative to the configuration file.
    """

    url: BaseURL
    roots: Annotated[Path, Field(strict=False), needs_extra("rfc3161_client", "timestamps")]
    every_hours: Annotated[int, Field(ge=1, le=8760)] = 24
