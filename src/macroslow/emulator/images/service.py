"""Both providers of images over ASGI, each with its keys, its limit and its headers.

    GET /search/photos  /photos/{id}/download       Unsplash: so many requests in an hour, each key
    GET /api/                                       Pixabay: so many in 60 s, each key
    GET /images/{colour}.png?w=…                    the images themselves; not counted

Windows are fixed ones of the provider's clock. Unsplash says nothing of when its hour ends; Pixabay does.
"""

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl

from macroslow.emulator.clock import ProviderClock
from macroslow.emulator.exchange import Scope, Send
from macroslow.emulator.images import pixabay, unsplash
from macroslow.emulator.images.invention import picture
from macroslow.emulator.images.reply import PNG, TEXT, Reply
from macroslow.emulator.keys import AcceptedKeys, digest_of
from macroslow.emulator.limits.fixed import FixedWindow
from macroslow.ports import HOUR_NS, MINUTE_NS, NS_PER_S

MAX_KEYS: Final = 1000
MAX_WIDTH: Final = 1280
_SEARCH: Final = "/search/photos"
_API: Final = "/api/"
_DOWNLOAD: Final = re.compile(r"/photos/([A-Za-z0-9_-]{1,64})/download")
_IMAGE: Final = re.compile(r"/images/([0-9a-f]{6})\.png")
_Headers = list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """What each key may ask."""

    unsplash_per_hour: int = 50
    pixabay_per_minute: int = 100


@dataclass(slots=True)
class ImageService:
    """`downloads` counts the reports of use by photo; `mark` is a header of every answer."""

    clock: ProviderClock
    keys: AcceptedKeys
    limits: ImageLimits
    mark: tuple[bytes, bytes]
    answered: Counter[str] = field(default_factory=Counter)
    rate_limited: Counter[str] = field(default_factory=Counter)
    downloads: Counter[str] = field(default_factory=Counter)
    _windows: dict[tuple[str, str], FixedWindow] = field(default_factory=dict)

    def serves(self, path: str) -> bool:
        """Whether a path is one of its own."""
        return path in {_SEARCH, _API} or bool(_DOWNLOAD.fullmatch(path) or _IMAGE.fullmatch(path))

    async def __call__(self, scope: Scope, send: Send) -> None:
        """Serve one request to one of its paths."""
        path, headers = str(scope["path"]), dict(scope["headers"])
        asked = dict(parse_qsl(scope.get("query_string", b"").decode("ascii", "replace"), max_num_fields=100))
        origin = f"{scope.get('scheme', 'http')}://{headers.get(b'host', b'localhost').decode('latin-1')}"
        told: _Headers = []
        if scope["method"] != "GET":
            reply = Reply(405, TEXT, b"Method Not Allowed")
        elif image := _IMAGE.fullmatch(path):
            reply = _image(image[1], asked.get("w", ""))
        elif path == _API:
            reply = self._pixabay(origin, asked, told)
        else:
            key = unsplash.key_of(headers.get(b"authorization", b"").decode("latin-1"))
            reply = self._unsplash(origin, path, key, asked, told)
        await self._answer(send, reply, told)

    def report(self) -> dict[str, dict[str, int]]:
        """What it was asked, for the statistics."""
        return {
            "answered": dict(self.answered),
            "rate_limited": dict(self.rate_limited),
            "downloads": dict(self.downloads),
        }

    def _unsplash(self, origin: str, path: str, key: str, asked: dict[str, str], told: _Headers) -> Reply:
        if not self.keys.accept(key):
            return unsplash.wrong_key()
        window = self._window("unsplash", key, self.limits.unsplash_per_hour, HOUR_NS)
        fits = self._take("unsplash", window)
        told += _limit(window)
        if not fits:
            return unsplash.exceeded()
        if path == _SEARCH:
            return unsplash.search(origin, asked)
        photo = _DOWNLOAD.fullmatch(path)
        if photo is None or not asked.get("ixid"):
            return unsplash.not_found()
        self.downloads[photo[1]] += 1
        return unsplash.download(origin, photo[1])

    def _pixabay(self, origin: str, asked: dict[str, str], told: _Headers) -> Reply:
        key = asked.get("key", "")
        if not self.keys.accept(key):
            return pixabay.wrong_key()
        window = self._window("pixabay", key, self.limits.pixabay_per_minute, MINUTE_NS)
        fits = self._take("pixabay", window)
        told += _limit(window)
        told.append((b"x-ratelimit-reset", str(-(-window.reset_ns // NS_PER_S)).encode()))
        return pixabay.search(origin, asked) if fits else pixabay.exceeded()

    def _window(self, provider: str, key: str, count: int, period_ns: int) -> FixedWindow:
        named = (provider, digest_of(key) if len(self._windows) < MAX_KEYS else "others")
        window = self._windows.setdefault(named, FixedWindow(count, period_ns))
        window.advance(self.clock.now_ns())
        return window

    def _take(self, provider: str, window: FixedWindow) -> bool:
        fits = window.wait_ns(1) == 0
        if fits:
            window.take(1)
        (self.answered if fits else self.rate_limited)[provider] += 1
        return fits

    async def _answer(self, send: Send, reply: Reply, told: _Headers) -> None:
        length = str(len(reply.body)).encode()
        headers = [(b"content-type", reply.content_type), (b"content-length", length), self.mark, *told]
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await send({"type": "http.response.body", "body": reply.body, "more_body": False})


def _limit(window: FixedWindow) -> _Headers:
    return [
        (b"x-ratelimit-limit", str(window.count).encode()),
        (b"x-ratelimit-remaining", str(window.remaining).encode()),
    ]


def _image(colour: str, width: str) -> Reply:
    pixels = int(width) if width.isdecimal() and len(width) < 5 and 0 < int(width) <= MAX_WIDTH else MAX_WIDTH
    return Reply(200, PNG, picture(colour, pixels, 2 * pixels // 3))
