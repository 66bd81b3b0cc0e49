"""Reading what a provider of images says: everything in it may be wrong, huge or made to do harm.

Texts come out as one plain line, addresses only as https on the provider's own hosts, numbers within bounds.
What is missing where it is needed raises UnreadableError; the image is then left out, not guessed.
"""

import html
import re
import unicodedata
from collections.abc import Callable, Mapping, Set
from typing import Any, Final
from urllib.parse import urlsplit

import orjson

from macroslow.errors import UpstreamRefusedError, UpstreamUnavailableError
from macroslow.images.search import (
    Allowance,
    Attribution,
    Author,
    FoundImages,
    Image,
    ImageQuery,
    LimitReachedError,
)
from macroslow.workflow.outside import OutsideAnswer

MAX_TEXT_CHARACTERS: Final = 300
MAX_URL_CHARACTERS: Final = 2048
MAX_PIXELS: Final = 1_000_000  # of a side
MAX_TOTAL: Final = 10**12
MAX_LIMIT: Final = 10_000_000
MAX_RESET_S: Final = 24 * 60 * 60
EMULATOR_MARK: Final = "x-macroslow-emulator"
_URL: Final = re.compile(r"[A-Za-z0-9._~:/?#\[\]@!$&()*+,;=%-]+")  # RFC 3986 less the single quote
_OF_KEYS: Final = frozenset({400, 401, 403})  # Pixabay refuses a wrong key with 400
_COUNT: Final = re.compile(r"[0-9]{1,8}")


class UnreadableError(Exception):
    """It is not what the provider's reference says."""


def read_object(answer: OutsideAnswer, provider: str, *, emulator: bool) -> Mapping[str, Any]:
    """The JSON object of a good answer.

    Raises LimitReachedError for 429, UpstreamRefusedError for any other 4xx, UpstreamUnavailableError for the
    rest, and for an answer of an emulator where the operator did not say that there is one.
    """
    if EMULATOR_MARK in answer.headers and not emulator:
        raise UpstreamUnavailableError(
            f"{provider} is an emulator, and the configuration does not say so",
            upstream=provider,
            fix=f"set emulator = true under [images.{provider}], or remove base_url",
            nothing_done=True,
        )
    if answer.status == 429:
        raise LimitReachedError(read_allowance(answer.headers))
    if 400 <= answer.status < 500:
        raise UpstreamRefusedError(
            f"{provider} refused the request with status {answer.status}",
            upstream=provider,
            status=answer.status,
            fix=f"the operator may check [images.{provider}] key" if answer.status in _OF_KEYS else "",
        )
    if answer.status != 200:
        raise unavailable(provider, f"status {answer.status}")
    try:
        read = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        raise unavailable(provider, "no JSON") from None
    if not isinstance(read, dict):
        raise unavailable(provider, "no JSON object")
    return read


def unavailable(provider: str, reason: str) -> UpstreamUnavailableError:
    """The provider's answer is of no use."""
    return UpstreamUnavailableError(
        f"{provider} did not answer as it should ({reason})", upstream=provider, reason=reason
    )


def read_allowance(headers: Mapping[str, str]) -> Allowance | None:
    """What X-RateLimit-* say; None if they are not there, contradict each other or are out of bounds."""
    limit = headers.get("x-ratelimit-limit", "")
    remaining = headers.get("x-ratelimit-remaining", "")
    reset = headers.get("x-ratelimit-reset", "")
    if not (_COUNT.fullmatch(limit) and _COUNT.fullmatch(remaining)):
        return None
    if not 1 <= int(limit) <= MAX_LIMIT or int(remaining) > int(limit):
        return None
    said = _COUNT.fullmatch(reset) and int(reset) <= MAX_RESET_S
    return Allowance(int(limit), int(remaining), int(reset) if said else None)


def read_found(
    results: object, total: object, query: ImageQuery, read: Callable[[object], Image], provider: str
) -> FoundImages:
    """A page of results; those that are not in order to `read` are left out. Without a total: what is there.

    UpstreamUnavailableError if it is no list.
    """
    if not isinstance(results, list):
        raise unavailable(provider, "no list of results")
    wanted = results[: query.count]
    images = tuple(image for one in wanted if (image := _in_order(one, read)) is not None)
    try:
        known = whole(total, most=MAX_TOTAL)
    except UnreadableError:
        known = len(images)
    return FoundImages(images, known, len(wanted) - len(images))


def _in_order(one: object, read: Callable[[object], Image]) -> Image | None:
    try:
        return read(one)
    except UnreadableError:
        return None


def member(value: object, name: str) -> object:
    """A member of an object; UnreadableError if it is none, or has none of this name."""
    if not isinstance(value, dict) or name not in value:
        raise UnreadableError(name)
    return value[name]


def plain_line(value: object) -> str:
    """A text as one line, without what is not shown or changes the direction; "" for anything else.

    Characters of the categories C* (control, format, surrogate, private, unassigned) go; spaces are single.
    """
    if not isinstance(value, str):
        return ""
    head = value[: 4 * MAX_TEXT_CHARACTERS]
    spaced = "".join(" " if each.isspace() else each for each in head)
    shown = "".join(each for each in spaced if not unicodedata.category(each).startswith("C"))
    return " ".join(shown.split())[:MAX_TEXT_CHARACTERS].rstrip()


def whole(value: object, least: int = 0, most: int = MAX_PIXELS) -> int:
    """A number within bounds; UnreadableError for anything else."""
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise UnreadableError("number")
    return value


def own_url(value: object, hosts: Set[str]) -> str:
    """An https address on one of `hosts`, where those are names, or below one of them that is an origin.

    UnreadableError for anything else: another scheme or host, a user, a port, odd characters.
    """
    if not isinstance(value, str) or len(value) > MAX_URL_CHARACTERS or not _URL.fullmatch(value):
        raise UnreadableError("URL")
    try:
        parts = urlsplit(value)
    except ValueError:
        raise UnreadableError("URL") from None
    origin = f"{parts.scheme}://{parts.netloc}"
    if origin not in hosts and not (parts.scheme == "https" and parts.netloc in hosts):
        raise UnreadableError("URL")
    return value


def attribution(kind: str, author: Author, joined: str, provider: str, provider_url: str) -> Attribution:
    """ "Photo by ANN on Unsplash", and the same with both links. `joined` is the word between."""
    name, by_url, of_url = map(html.escape, (author.name, author.url, provider_url))
    return Attribution(
        f"{kind} by {author.name} {joined} {provider}",
        f'{kind} by <a href="{by_url}">{name}</a> {joined} <a href="{of_url}">{provider}</a>',
    )
