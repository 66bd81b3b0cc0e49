"""Images as models count them: by size in pixels and level of detail, never by bytes."""

from dataclasses import dataclass
from typing import Literal

Detail = Literal["low", "high", "auto"]


@dataclass(frozen=True, slots=True)
class Image:
    """One image of a prompt. Sizes are None where it stands elsewhere (a URL that the provider fetches)."""

    width_px: int | None
    height_px: int | None
    detail: Detail = "auto"
