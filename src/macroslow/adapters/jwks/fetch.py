"""GET one key set from the one configured URL. No redirects, no cookies, no proxies from the environment."""

import re
from dataclasses import dataclass
from typing import Final

import aiohttp
from yarl import URL

from macroslow.authn.jwt.keys import MAX_SET_BYTES, KeySet, read_key_set
from macroslow.errors import UpstreamUnavailableError

TIMEOUT: Final = aiohttp.ClientTimeout(total=5, sock_connect=3)
MIN_FRESH_S: Final = 5 * 60
MAX_FRESH_S: Final = 24 * 60 * 60
DEFAULT_FRESH_S: Final = 60 * 60
_HEADERS: Final = {"accept": "application/jwk-set+json, application/json", "accept-encoding": "identity"}
_MAX_AGE: Final = re.compile(r'(?:^|[ ,])max-age="?(\d{1,9})"?(?:[ ,;]|$)')


@dataclass(frozen=True, slots=True)
class Fetched:
    """A key set, and how long its server says that it stays as it is (within our bounds)."""

    keys: KeySet
    fresh_s: int


async def fetch(session: aiohttp.ClientSession, url: str) -> Fetched:
    """Fetch once. UpstreamUnavailableError, whose `reason` says why, for anything but a key set."""
    try:
        async with session.get(
            URL(url, encoded=True), headers=_HEADERS, allow_redirects=False, timeout=TIMEOUT
        ) as answer:
            if answer.status != 200:
                raise _unavailable(f"status {answer.status}")
            raw = b""
            while len(raw) <= MAX_SET_BYTES and (more := await answer.content.read(MAX_SET_BYTES + 1)):
                raw += more
            cache_control = answer.headers.get("cache-control", "")
        return Fetched(read_key_set(raw), fresh_for_s(cache_control))
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise _unavailable(_said(error)) from None
    except ValueError as error:  # no key set
        raise _unavailable(str(error)) from None


def fresh_for_s(cache_control: str) -> int:
    """How long an answer with this Cache-Control is not asked for again, in seconds (RFC 9111, 5.2.2)."""
    directives = cache_control.lower()
    if "no-store" in directives or "no-cache" in directives:
        return MIN_FRESH_S
    found = _MAX_AGE.search(directives)
    wanted_s = int(found[1]) if found else DEFAULT_FRESH_S
    return min(max(wanted_s, MIN_FRESH_S), MAX_FRESH_S)


def _said(error: Exception) -> str:
    """Why nothing came, in words. Not the library's own: they hold the URL, which may be meant for few."""
    match error:
        case TimeoutError():
            return f"no whole answer in {TIMEOUT.total} s"
        case aiohttp.ClientConnectorDNSError():
            return "its host has no address"
        case aiohttp.ClientSSLError():
            return "no TLS with it, or none that can be trusted"
        case aiohttp.ClientConnectorError():
            return "nobody answers there"
        case _:
            return f"broke off: {type(error).__name__}"


def _unavailable(reason: str) -> UpstreamUnavailableError:
    return UpstreamUnavailableError("no keys came", upstream="issuer", reason=reason, nothing_done=True)
