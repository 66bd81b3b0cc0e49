"""What Unsplash's API answers.

Source: Unsplash API documentation, "Search photos", "Track a photo download", "Rate limiting" and "Error
messages".
"""

from typing import Any, Final

import orjson

from macroslow.emulator.images.invention import Invented, invent, total
from macroslow.emulator.images.reply import JSON, TEXT, Reply

MAX_PAGE_SIZE: Final = 30
SCHEME: Final = "client-id"


def key_of(authorization: str) -> str:
    """The access key of a request; "" if there is none."""
    scheme, _, key = authorization.partition(" ")
    return key.strip() if scheme.lower() == SCHEME else ""


def wrong_key() -> Reply:
    return Reply(401, JSON, orjson.dumps({"errors": ["OAuth error: The access token is invalid"]}))


def exceeded() -> Reply:
    return Reply(403, TEXT, b"Rate Limit Exceeded")


def not_found() -> Reply:
    return Reply(404, JSON, orjson.dumps({"errors": ["Couldn't find Photo"]}))


def search(origin: str, asked: dict[str, str]) -> Reply:
    """`GET /search/photos`."""
    query = asked.get("query", "")
    if not query:
        return Reply(400, JSON, orjson.dumps({"errors": ["query is missing"]}))
    size = min(_whole(asked.get("per_page", ""), 10), MAX_PAGE_SIZE)
    first = (_whole(asked.get("page", ""), 1) - 1) * size
    photos = invent(query, asked.get("orientation", ""), first, size)
    found = total(query)
    body = {"total": found, "total_pages": -(-found // size), "results": [_photo(origin, p) for p in photos]}
    return Reply(200, JSON, orjson.dumps(body))


def download(origin: str, photo_id: str) -> Reply:
    """`GET /photos/{id}/download`."""
    return Reply(200, JSON, orjson.dumps({"url": f"{origin}/photos/{photo_id}"}))


def _photo(origin: str, photo: Invented) -> dict[str, Any]:
    image = f"{origin}/images/{photo.colour}.png?ixid={photo.trace}"
    page, user = f"{origin}/photos/{photo.id}", f"{origin}/@{photo.username}"
    return {
        "id": photo.id,
        "created_at": "2025-10-01T08:00:00Z",
        "updated_at": "2025-10-02T08:00:00Z",
        "width": photo.width,
        "height": photo.height,
        "color": f"#{photo.colour}",
        "blur_hash": "LFC$yHwc8^$yIAS$%M%00KxukYIp",
        "likes": photo.digest[31],
        "description": None,
        "alt_description": f"an invented image of {photo.text}",
        "urls": {
            "raw": image,
            "full": image,
            "regular": f"{image}&w=1080",
            "small": f"{image}&w=400",
            "thumb": f"{image}&w=200",
        },
        "links": {
            "self": page,
            "html": page,
            "download": f"{page}/download",
            "download_location": f"{page}/download?ixid={photo.trace}",
        },
        "user": {
            "id": photo.trace[:11],
            "username": photo.username,
            "name": photo.author,
            "links": {"self": f"{origin}/users/{photo.username}", "html": user},
        },
    }


def _whole(text: str, default: int) -> int:
    return int(text[:6]) if text.isascii() and text.isdecimal() and int(text[:6]) else default
