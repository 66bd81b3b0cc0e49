"""Unsplash's API by the rules of its terms: hot links, attribution with referral, reports of use.

    GET /search/photos                 query, page, per_page, orientation, content_filter
    GET /photos/{id}/download          tells that a photo is used: an image's `links.download_location`

The key goes along as `Authorization: Client-ID KEY` (the transport adds it). Links to Unsplash carry
`utm_source`, the application's name there, and `utm_medium=referral`.

Source: Unsplash API documentation, "Search photos", "Track a photo download", "Rate limiting"; Unsplash API
guidelines, "Hotlinking images", "Triggering a download", "Attribution".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qs, urlencode, urlsplit

from macroslow.errors import UpstreamRefusedError
from macroslow.images.places import UNSPLASH
from macroslow.images.reading import (
    UnreadableError,
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
    Allowance,
    Answered,
    Author,
    HotLink,
    Image,
    ImageQuery,
    ImageTerms,
    LimitReachedError,
    Orientation,
    is_image_id,
    is_trace,
)
from macroslow.workflow.outside import OutsideAPI

TERMS: Final = ImageTerms("https://unsplash.com/license", HotLink.REQUIRED, requests=50, period_s=3600)
_PAGES: Final = "unsplash.com"
_IMAGES: Final = "images.unsplash.com"  # not plus.unsplash.com: those photos have another licence
_EXCEEDED: Final = b"Rate Limit Exceeded"


@dataclass(frozen=True, slots=True)
class Unsplash:
    """Implements `ImageAPI`. `app` is the application's name at Unsplash; `base_url` is where `api` asks."""

    api: OutsideAPI
    app: str
    base_url: str = UNSPLASH
    emulator: bool = False
    name: str = "unsplash"
    terms: ImageTerms = TERMS

    async def search(self, query: ImageQuery) -> Answered:
        """See `ImageAPI.search`."""
        asked = {
            "query": query.text,
            "page": query.page,
            "per_page": query.count,
            "content_filter": "high" if query.safe else "low",
        }
        if query.orientation is not Orientation.ANY:
            asked["orientation"] = query.orientation
        answered, allowance = await self._get("/search/photos", urlencode(asked))
        found = read_found(answered.get("results"), answered.get("total"), query, self._read, self.name)
        return Answered(found, allowance)

    async def report_use(self, image_id: str, trace: str) -> Answered:
        """See `ImageAPI.report_use`. The address that comes back is not needed: photos are hot-linked."""
        query = urlencode({"ixid": trace}) if trace else ""
        _, allowance = await self._get(f"/photos/{image_id}/download", query)
        return Answered(None, allowance)

    async def _get(self, path: str, query: str) -> tuple[Mapping[str, object], Allowance | None]:
        """The object and the allowance; a 403 that says so, or that nothing remains, is the limit's."""
        answer = await self.api.get(path, query)
        allowance = read_allowance(answer.headers)
        try:
            return read_object(answer, self.name, emulator=self.emulator), allowance
        except UpstreamRefusedError as error:
            spent = allowance is not None and not allowance.remaining
            if error.status == 403 and (spent or answer.body[:64].strip() == _EXCEEDED):
                raise LimitReachedError(allowance) from None
            raise

    def _read(self, one: object) -> Image:
        """One result. UnreadableError if it is not in order."""
        image_id, urls, user, links = (member(one, name) for name in ("id", "urls", "user", "links"))
        if not isinstance(image_id, str) or not is_image_id(image_id):
            raise UnreadableError("id")
        own, pages = self._hosts(_IMAGES), self._hosts(_PAGES)
        author = Author(
            plain_line(member(user, "name")) or "a photographer",
            self._referral(own_url(member(member(user, "links"), "html"), pages)),
        )
        described = plain_line(member(one, "description")) or plain_line(member(one, "alt_description"))
        return Image(
            id=image_id,
            description=described,
            width=whole(member(one, "width"), 1),
            height=whole(member(one, "height"), 1),
            urls=Addresses(*(own_url(member(urls, size), own) for size in ("thumb", "small", "regular"))),
            author=author,
            attribution=attribution("Photo", author, "on", "Unsplash", self._referral(f"https://{_PAGES}/")),
            page_url=self._referral(own_url(member(links, "html"), pages)),
            trace=self._trace(image_id, member(links, "download_location")),
        )

    def _trace(self, image_id: str, location: object) -> str:
        """What the download location carries; it has to be the one of this photo at this API."""
        api = {urlsplit(self.base_url).netloc, *self._hosts("")}
        parts = urlsplit(own_url(location, api))
        if parts.path != f"{urlsplit(self.base_url).path}/photos/{image_id}/download":
            raise UnreadableError("download_location")
        trace = parse_qs(parts.query).get("ixid", [""])[-1]
        if not is_trace(trace):
            raise UnreadableError("ixid")
        return trace

    def _hosts(self, host: str) -> frozenset[str]:
        """Where addresses may lead: Unsplash's host, or the emulator itself."""
        parts = urlsplit(self.base_url)
        return frozenset({f"{parts.scheme}://{parts.netloc}" if self.emulator else host} - {""})

    def _referral(self, url: str) -> str:
        """The link with the referral that Unsplash asks for, whatever query and fragment it had."""
        bare = url.partition("#")[0].partition("?")[0]
        return f"{bare}?{urlencode({'utm_source': self.app, 'utm_medium': 'referral'})}"
