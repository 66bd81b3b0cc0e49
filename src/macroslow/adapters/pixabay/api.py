"""Pixabay's API by its rules: the source is shown, addresses are for a day, searches are cached for one.

    GET /api/           q, page, per_page, orientation, safesearch

The key goes along in the query (the transport adds it). Nothing has to be reported.

Source: Pixabay API documentation, "Rate limit", "Hotlinking", "Search images".
"""

from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlencode, urlsplit

from macroslow.images.places import PIXABAY
from macroslow.images.reading import (
    attribution,
    member,
    own_url,
    plain_line,
    read_allowance,
    read_found,
    read_object,
    whole,
)
from macroslow.images.search import (
    Addresses,
    Answered,
    Author,
    FoundImages,
    HotLink,
    Image,
    ImageQuery,
    ImageTerms,
    Orientation,
)
from macroslow.workflow.outside import OutsideAPI

TERMS: Final = ImageTerms(
    "https://pixabay.com/service/license-summary/", HotLink.DAY, requests=100, period_s=60
)
_ORIENTATIONS: Final = {Orientation.LANDSCAPE: "horizontal", Orientation.PORTRAIT: "vertical"}
_HOSTS: Final = frozenset({"pixabay.com", "cdn.pixabay.com"})
_BEYOND_THE_END: Final = b"out of valid range"
_MAX_ID: Final = 10**15


@dataclass(frozen=True, slots=True)
class Pixabay:
    """Implements `ImageAPI`. `base_url` is where `api` asks."""

    api: OutsideAPI
    base_url: str = PIXABAY
    emulator: bool = False
    name: str = "pixabay"
    terms: ImageTerms = TERMS

    async def search(self, query: ImageQuery) -> Answered:
        """See `ImageAPI.search`. A page after the last is an error at Pixabay, and empty here."""
        asked = {
            "q": query.text,
            "page": query.page,
            "per_page": query.count,
            "safesearch": "true" if query.safe else "false",
            "orientation": _ORIENTATIONS.get(query.orientation, "all"),
        }
        answer = await self.api.get("/api/", urlencode(asked))
        allowance = read_allowance(answer.headers)
        if answer.status == 400 and query.page > 1 and _BEYOND_THE_END in answer.body:
            return Answered(FoundImages((), 0), allowance)
        answered = read_object(answer, self.name, emulator=self.emulator)
        found = read_found(answered.get("hits"), answered.get("totalHits"), query, self._read, self.name)
        return Answered(found, allowance)

    async def report_use(self, image_id: str, trace: str) -> Answered:
        """Pixabay wants no report, and no image of its asks for one: ValueError."""
        raise ValueError("Pixabay is told of no use")

    def _read(self, one: object) -> Image:
        """One hit. UnreadableError if it is not in order."""
        hosts, home = self._hosts(), self.base_url if self.emulator else PIXABAY
        user, user_id = plain_line(member(one, "user")), whole(member(one, "user_id"), most=_MAX_ID)
        profile = f"{home}/users/{quote(user, safe='')}-{user_id}/"
        author = Author(user or "a contributor", profile)
        sizes = ("previewURL", "webformatURL", "largeImageURL")
        return Image(
            id=str(whole(member(one, "id"), 1, _MAX_ID)),
            description=plain_line(member(one, "tags")),
            width=whole(member(one, "imageWidth"), 1),
            height=whole(member(one, "imageHeight"), 1),
            urls=Addresses(*(own_url(member(one, size), hosts) for size in sizes)),
            author=author,
            attribution=attribution("Image", author, "from", "Pixabay", f"{PIXABAY}/"),
            page_url=own_url(member(one, "pageURL"), hosts),
            trace=None,
        )

    def _hosts(self) -> frozenset[str]:
        """Where addresses may lead: Pixabay's hosts, or the emulator itself."""
        parts = urlsplit(self.base_url)
        return frozenset({f"{parts.scheme}://{parts.netloc}"}) if self.emulator else _HOSTS
