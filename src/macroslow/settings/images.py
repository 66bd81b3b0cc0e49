"""[images]: where images of others are searched, by the names of the seeds' templates.

A table is enough to switch a provider on: [images.unsplash] reads UNSPLASH_ACCESS_KEY, [images.pixabay] reads
PIXABAY_API_KEY. UNSPLASH_SECRET_ACCESS_KEY is for accounts of Unsplash's users and is never read.
"""

from typing import Annotated, Self

from pydantic import Field, model_validator

from macroslow.images.places import PIXABAY, UNSPLASH
from macroslow.secretstore.reference import Reference, Scheme
from macroslow.settings.fields import BaseURL, SecretReference, check_plain_http
from macroslow.settings.section import Section


class ImageProvider(Section):
    """One provider. Its key is sent to `base_url` and nowhere else."""

    key: SecretReference
    base_url: BaseURL
    emulator: bool = False

    @model_validator(mode="after")
    def _encrypted(self) -> Self:
        check_plain_http(self.base_url, allowed=False)
        return self


class Unsplash(ImageProvider):
    """`app` is the application's name at Unsplash, which links back to it carry."""

    key: SecretReference = Reference(Scheme.ENV, "UNSPLASH_ACCESS_KEY")
    base_url: BaseURL = UNSPLASH
    app: Annotated[str, Field(min_length=1, max_length=100)] = "macroslow"


class Pixabay(ImageProvider):
    """No more than a key."""

    key: SecretReference = Reference(Scheme.ENV, "PIXABAY_API_KEY")
    base_url: BaseURL = PIXABAY


class Images(Section):
    """The providers, in the order in which they are asked. None: not offered."""

    unsplash: Unsplash | None = None
    pixabay: Pixabay | None = None

    @property
    def named(self) -> dict[str, ImageProvider]:
        """Those that are configured."""
        both: dict[str, ImageProvider | None] = {"unsplash": self.unsplash, "pixabay": self.pixabay}
        return {name: one for name, one in both.items() if one is not None}
