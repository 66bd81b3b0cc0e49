"""Tools for others' images."""

from collections.abc import Mapping
from dataclasses import dataclass

from macroslow.images.search import ImageQuery
from macroslow.mcp.ask import Ask, Handler
from macroslow.mcp.tools.images import SEARCH_IMAGES, USE_IMAGE
from macroslow.services.images.search_images import Images


@dataclass(frozen=True, slots=True)
class ImageTools:
    """One method a tool. Its fields are everything that they touch."""

    images: Images

    @property
    def handlers(self) -> Mapping[str, Handler]:
        return {SEARCH_IMAGES.name: self.search_images, USE_IMAGE.name: self.use_image}

    async def search_images(self, ask: Ask) -> Mapping[str, object]:
        """Images of one provider, with their attributions and terms."""
        wanted = dict(ask.arguments)
        provider, text = wanted.pop("provider", "any"), wanted.pop("query")
        query = ImageQuery.of(text, **wanted)
        return await self.images.search(ask.principal, query, provider=provider, request_id=ask.request_id)

    async def use_image(self, ask: Ask) -> Mapping[str, object]:
        """Whether its provider was told."""
        return await self.images.use(ask.principal, ask.arguments["image_id"], request_id=ask.request_id)
