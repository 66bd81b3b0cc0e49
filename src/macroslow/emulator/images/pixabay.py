"""What Pixabay's API answers.

Source: Pixabay API documentation, "Search images", "Rate limit", "Error handling".
"""

from typing import Any, Final

import orjson

from macroslow.emulator.images.invention import Invented, invent, total
from macroslow.emulator.images.reply import JSON, TEXT, Reply

MAX_HITS: Final = 500
PAGE_SIZES: Final = range(3, 201)
MAX_QUERY_CHARACTERS: Final = 100
_ORIENTATIONS: Final = {"all": "", "horizontal": "landscape", "vertical": "portrait"}


def wrong_key() -> Reply:
    return _error(400, "Invalid or missing API key (see the documentation of the API).")


def exceeded() -> Reply:
    return _error(429, "API rate limit exceeded")


def search(origin: str, asked: dict[str, str]) -> Reply:
    """`GET /api/`."""
    query, size, page = asked.get("q", ""), asked.get("per_page", "20"), asked.get("page", "1")
    if len(query) > MAX_QUERY_CHARACTERS:
        return _error(400, '"q" is longer than 100 characters.')
    if asked.get("orientation", "all") not in _ORIENTATIONS:
        return _error(400, '"orientation" is invalid.')
    if not size.isdecimal() or int(size[:6]) not in PAGE_SIZES:
        return _error(400, '"per_page" is out of valid range.')
    hits_there = min(total(query), MAX_HITS)
    first = (int(page[:6]) - 1) * int(size) if page.isdecimal() else -1
    if first < 0 or first >= max(hits_there, 1):
        return _error(400, '"page" is out of valid range.')
    orientation = _ORIENTATIONS[asked.get("orientation", "all")]
    hits = invent(query, orientation, first, min(int(size), hits_there - first))
    body = {"total": total(query), "totalHits": hits_there, "hits": [_hit(origin, hit) for hit in hits]}
    return Reply(200, JSON, orjson.dumps(body))


def _hit(origin: str, hit: Invented) -> dict[str, Any]:
    image = f"{origin}/images/{hit.colour}.png"
    return {
        "id": hit.number,
        "pageURL": f"{origin}/photos/{hit.number}/",
        "type": "photo",
        "tags": f"{hit.text}, invented",
        "previewURL": f"{image}?w=150",
        "previewWidth": 150,
        "previewHeight": 150 * hit.height // hit.width,
        "webformatURL": f"{image}?w=640",
        "webformatWidth": 640,
        "webformatHeight": 640 * hit.height // hit.width,
        "largeImageURL": f"{image}?w=1280",
        "imageWidth": hit.width,
        "imageHeight": hit.height,
        "imageSize": hit.width * hit.height,
        "views": 100 * hit.digest[31],
        "downloads": 10 * hit.digest[31],
        "likes": hit.digest[31],
        "comments": 0,
        "user_id": 10_000 + hit.digest[12],
        "user": hit.author.replace(" ", ""),
        "userImageURL": "",
    }


def _error(status: int, message: str) -> Reply:
    return Reply(status, TEXT, f"[ERROR {status}] {message}".encode())
