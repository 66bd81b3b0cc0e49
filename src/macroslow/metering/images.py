"""Images as models count them: by size in pixels and level of detail, never by bytes.

Three kinds of rule, whose numbers are data of the catalogue. *Tiles*: an image is shrunk to fit a
square, then until its shorter side fits, and covered by square tiles; each costs the same, and there
is a base that is all an image of low detail costs. *Patches*: it is covered by small squares, and
shrunk first if they would be too many. *Pixels*: its area, after shrinking, by a divisor.

An image whose size is not known costs what the largest would. Where the sources leave rounding open,
it is rounded up. Integers throughout, so nothing depends on how a machine rounds.

Sources: OpenAI, "Images and vision", Calculating costs; Anthropic, "Vision", Evaluate image size.
"""

from dataclasses import dataclass
from math import isqrt
from typing import Literal, Protocol

Detail = Literal["low", "high", "auto"]


@dataclass(frozen=True, slots=True)
class Image:
    """One image of a prompt. Sizes are None where it stands elsewhere (a URL that the provider fetches)."""

    width_px: int | None
    height_px: int | None
    detail: Detail = "auto"


class ImageRule(Protocol):
    """How one family of models counts images."""

    @property
    def most_tokens(self) -> int:
        """What the largest image costs."""
        ...

    def tokens(self, image: Image) -> int:
        """What `image` costs."""
        ...


@dataclass(frozen=True, slots=True)
class Tiles:
    """`base_tokens` and `tile_tokens` for each tile, after shrinking into `fit_px` and `short_side_px`."""

    base_tokens: int
    tile_tokens: int
    fit_px: int
    short_side_px: int
    tile_px: int

    @property
    def most_tokens(self) -> int:
        """A long image fills the square in one direction and the shorter side in the other."""
        tiles = _over(self.fit_px, self.tile_px) * _over(self.short_side_px, self.tile_px)
        return self.base_tokens + self.tile_tokens * tiles

    def tokens(self, image: Image) -> int:
        """Low detail: the base alone; "auto" may become high, so it is counted so."""
        if image.detail == "low":
            return self.base_tokens
        if image.width_px is None or image.height_px is None:
            return self.most_tokens
        long, short = max(image.width_px, image.height_px, 1), max(min(image.width_px, image.height_px), 1)
        shrunk, whole = (self.fit_px, long) if long > self.fit_px else (1, 1)
        if short * shrunk > self.short_side_px * whole:
            shrunk, whole = self.short_side_px, short
        tiles = _over(long * shrunk, self.tile_px * whole) * _over(short * shrunk, self.tile_px * whole)
        return self.base_tokens + self.tile_tokens * tiles


@dataclass(frozen=True, slots=True)
class Patches:
    """`tokens_per_1000_patches` for squares of `patch_px`, at most `max_patches`. Detail is not read."""

    patch_px: int
    max_patches: int
    tokens_per_1000_patches: int

    @property
    def most_tokens(self) -> int:
        """As many patches as there may be."""
        return self._price(self.max_patches)

    def tokens(self, image: Image) -> int:
        """The patches that cover the image, or its shrunk form."""
        if image.width_px is None or image.height_px is None:
            return self.most_tokens
        width, height = max(image.width_px, 1), max(image.height_px, 1)
        patches = _over(width, self.patch_px) * _over(height, self.patch_px)
        return self._price(patches if patches <= self.max_patches else self._shrunk(width, height))

    def _shrunk(self, width: int, height: int) -> int:
        """Patches of the largest image of this shape that fills whole patches in one direction."""
        columns = max(isqrt(self.max_patches * width // height), 1)
        rows = max(isqrt(self.max_patches * height // width), 1)
        if columns * height <= rows * width:
            rows = _over(height * columns, width)
        else:
            columns = _over(width * rows, height)
        return min(columns * rows, self.max_patches)

    def _price(self, patches: int) -> int:
        return _over(patches * self.tokens_per_1000_patches, 1000)


@dataclass(frozen=True, slots=True)
class Pixels:
    """A token for `pixels_per_token`, after shrinking to `max_edge_px`; at most `most_tokens`."""

    pixels_per_token: int
    max_edge_px: int
    most_tokens: int

    def tokens(self, image: Image) -> int:
        """The area in tokens."""
        if image.width_px is None or image.height_px is None:
            return self.most_tokens
        long = max(image.width_px, image.height_px)
        area = image.width_px * image.height_px
        if long > self.max_edge_px:
            area = _over(area * self.max_edge_px**2, long**2)
        return max(min(_over(area, self.pixels_per_token), self.most_tokens), 1)


def _over(parts: int, whole: int) -> int:
    """Division rounded up."""
    return -(-parts // whole)
