"""Images: the configured providers, each behind its limit and its log, and the cache that they share."""

from collections.abc import Mapping

from macroslow.bootstrap.machine import clock
from macroslow.bootstrap.outside.session import Outward
from macroslow.bootstrap.state.core import Core
from macroslow.images.search import ImageAPI
from macroslow.secretstore.secret import Secret
from macroslow.services.images.ask_provider import AskProvider
from macroslow.services.images.image_cache import ImageCache
from macroslow.services.images.image_ids import ImageIds
from macroslow.services.images.provider_rate import ProviderRate
from macroslow.services.images.search_images import Images, SearchImages
from macroslow.services.images.use_image import UseImage
from macroslow.settings import Settings


def open_images(core: Core, secrets: Mapping[str, Secret], outward: Outward) -> Images | None:
    """What searches images and tells of their use; None where no provider is configured."""
    if not core.settings.images.named:
        return None
    providers = {
        api.name: AskProvider(api, ProviderRate(api.name, api.terms, clock), core.books, clock)
        for api in _apis(core.settings, secrets, outward)
    }
    ids = ImageIds.of(core.keys.api_key_pepper)
    return Images(
        SearchImages(providers, ImageCache(clock), ids), UseImage(providers, ids, core.books, clock)
    )


def _apis(settings: Settings, secrets: Mapping[str, Secret], outward: Outward) -> list[ImageAPI]:
    from macroslow.adapters.http_api import HTTPOutsideAPI, Placement, Where  # here: see Outward
    from macroslow.adapters.pixabay import Pixabay
    from macroslow.adapters.unsplash import Unsplash

    apis: list[ImageAPI] = []
    if (one := settings.images.unsplash) is not None:
        key, placed = secrets["images.unsplash.key"], Placement(Where.HEADER, prefix="Client-ID ")
        way = HTTPOutsideAPI("unsplash", one.base_url, ("/search/photos", "/photos"), key, placed, outward())
        apis.append(Unsplash(way, one.app, one.base_url, one.emulator))
    if (other := settings.images.pixabay) is not None:
        key, placed = secrets["images.pixabay.key"], Placement(Where.QUERY, "key")
        way = HTTPOutsideAPI("pixabay", other.base_url, ("/api/",), key, placed, outward())
        apis.append(Pixabay(way, other.base_url, other.emulator))
    return apis
