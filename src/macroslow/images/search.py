"""Images as agents see them: what is searched for, what is found, and on what terms it may be shown.

One form for all providers of images. Their keys, addresses and limits stay with the gateway. What a provider
says of an image is third parties' text: the adapters let plain lines and their own https addresses through
(`images.reading`), and nobody here interprets it.
"""

import enum
import re
import unicodedata
from dataclasses import dataclass
from typing import Final, Protocol

from macroslow.errors import BadRequestError
from macroslow.values import value

MAX_QUERY_CHARACTERS: Final = 100  # what Pixabay takes
MIN_COUNT: Final = 3  # what Pixabay gives at least
MAX_COUNT: Final = 30  # what Unsplash gives at most
MAX_PAGE: Final = 16  # both give the first 500 of what they found; 16 pages of 30 are within
_IMAGE_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_TRACE: Final = re.compile(r"[A-Za-z0-9_=-]{0,512}")


class Orientation(enum.StrEnum):
    """The side that is longer."""

    ANY = "any"
    LANDSCAPE = "landscape"
    PORTRAIT = "portrait"


class HotLink(enum.StrEnum):
    """What the provider asks of whoever shows an image for longer than the search."""

    REQUIRED = "required"  # by the provider's own address, for as long as it is shown
    DAY = "24h"  # by a copy: the provider's address ends after a day


@value
class ImageQuery:
    """One search. `of` makes it from a client's words, so that what means the same is the same.

    `text` is 1 to MAX_QUERY_CHARACTERS characters in lower case with single spaces.
    """

    text: str
    orientation: Orientation = Orientation.ANY
    count: int = 10
    page: int = 1
    safe: bool = True

    @classmethod
    def of(
        cls, text: str, *, orientation: str = "any", count: int = 10, page: int = 1, safe: bool = True
    ) -> "ImageQuery":
        """The normal form (Unicode NFC); BadRequestError for what no provider could answer."""
        plain = " ".join(unicodedata.normalize("NFC", text).lower().split())
        if not 1 <= len(plain) <= MAX_QUERY_CHARACTERS:
            raise BadRequestError(f"the query has 1 to {MAX_QUERY_CHARACTERS} characters")
        if not plain.isprintable():
            raise BadRequestError("the query has characters that cannot be shown", fix="send words")
        if orientation not in set(Orientation):
            raise BadRequestError(f"the orientation is one of {', '.join(Orientation)}")
        if not MIN_COUNT <= count <= MAX_COUNT or not 1 <= page <= MAX_PAGE:
            raise BadRequestError(f"{MIN_COUNT} to {MAX_COUNT} images a page, and {MAX_PAGE} pages")
        return cls(plain, Orientation(orientation), count, page, safe)


@value
class Author:
    """Who made it, and the page that the attribution links to."""

    name: str
    url: str


@value
class Addresses:
    """The same image in three sizes, about 200, 400 to 640 and 1080 pixels wide."""

    thumb: str
    small: str
    regular: str


@value
class Attribution:
    """The words that have to be shown with the image; `html` has the links that the provider asks for."""

    text: str
    html: str


@value
class Image:
    """One image that was found. `id` is the provider's.

    `trace` is what the provider wants back with a report of its use; None: it wants no report.
    """

    id: str
    description: str
    width: int
    height: int
    urls: Addresses
    author: Author
    attribution: Attribution
    page_url: str
    trace: str | None


@value
class FoundImages:
    """A page of what was found. `left_out` are those whose terms or addresses were not in order."""

    images: tuple[Image, ...]
    total: int
    left_out: int = 0


@value
class Allowance:
    """What a provider says of its limit: `remaining` of `limit` until `reset_s` from now; None: not said."""

    limit: int
    remaining: int
    reset_s: int | None = None


@value
class Answered:
    """What came of a request, and what was said of the limit with it; `found` None: nothing was asked for."""

    found: FoundImages | None
    allowance: Allowance | None


class LimitReachedError(Exception):
    """The provider has no room for the request. `allowance` is what it says about that, if it does."""

    def __init__(self, allowance: Allowance | None) -> None:
        super().__init__("the provider's limit is reached")
        self.allowance = allowance


@dataclass(frozen=True, slots=True)
class ImageTerms:
    """What holds for all images of one provider, and how many requests it takes of one key.

    `requests` in `period_s` are what it promises beforehand; its answers may say another number.
    """

    license_url: str
    hotlink: HotLink
    requests: int
    period_s: int


class ImageAPI(Protocol):
    """One configured provider of images: its address and its key are the operator's.

    Both raise LimitReachedError, UpstreamRefusedError, UpstreamUnavailableError and TooLargeError.
    """

    @property
    def name(self) -> str: ...

    @property
    def emulator(self) -> bool: ...

    @property
    def terms(self) -> ImageTerms: ...

    async def search(self, query: ImageQuery) -> Answered:
        """Ask once."""
        ...

    async def report_use(self, image_id: str, trace: str) -> Answered:
        """Tell that the image is used; both texts are from an `Image` of this provider's."""
        ...


def is_image_id(text: str) -> bool:
    """Whether it can be a provider's id: nothing that would mean something in a path."""
    return _IMAGE_ID.fullmatch(text) is not None


def is_trace(text: str) -> bool:
    """Whether it can stand in a query as it is."""
    return _TRACE.fullmatch(text) is not None
