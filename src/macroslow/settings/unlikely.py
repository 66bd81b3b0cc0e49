"""Settings that are allowed and are hardly what was meant: told of by a start and by a check."""

import re
from collections.abc import Iterator
from difflib import SequenceMatcher
from typing import Final
from urllib.parse import urlsplit

from macroslow.inference.dialect import Dialect
from macroslow.settings.model import Settings
from macroslow.settings.origin import KeyPath, remark
from macroslow.settings.sections import PRODUCTION

ALIKE: Final = 0.9  # "producton" is; "preproduction" is another environment
_NOT_FOR_SEARCHES: Final = "UNSPLASH_SECRET_ACCESS_KEY"
_SHORT: Final = re.compile(r"(prod|prd|live)(?![a-z])")


def unlikely(settings: Settings) -> Iterator[str]:
    """One line, with its repair, for each setting that reads like a slip."""
    for path, message, fix in (*_environment(settings), *_base_urls(settings), *_image_keys(settings)):
        yield remark(path, message, fix, settings.source.origins)


def _environment(settings: Settings) -> Iterator[tuple[KeyPath, str, str]]:
    chosen = settings.gateway.environment.strip().lower()
    alike = SequenceMatcher(None, chosen, PRODUCTION).ratio() >= ALIKE
    if not settings.gateway.is_production and (alike or _SHORT.match(chosen)):
        yield (
            ("gateway", "environment"),
            f'is not "{PRODUCTION}", where alone an emulator as provider is refused',
            f'did you mean "{PRODUCTION}"? environment = "{PRODUCTION}"',
        )


def _base_urls(settings: Settings) -> Iterator[tuple[KeyPath, str, str]]:
    for name, provider in settings.providers.items():
        if provider.kind is Dialect.OPENAI and not urlsplit(provider.base_url).path:
            message = "has no path, and most of such APIs are below /v1: calls would find nothing"
            yield ("providers", name, "base_url"), message, f'base_url = "{provider.base_url}/v1"'


def _image_keys(settings: Settings) -> Iterator[tuple[KeyPath, str, str]]:
    unsplash = settings.images.unsplash
    if unsplash is not None and unsplash.key.name == _NOT_FOR_SEARCHES:
        message = "is the secret key of the application, and searches are asked with its access key"
        yield ("images", "unsplash", "key"), message, 'key = "env:UNSPLASH_ACCESS_KEY"'
