"""What comes with the package: the price list and the vocabularies, read once a process."""

from functools import cache
from importlib.resources import files
from typing import Final

from macroslow.metering.catalogue import Catalogue, parse_catalogue
from macroslow.metering.encodings import Counters, vocabulary_file

_METERING: Final = files("macroslow.metering")


@cache
def catalogue() -> Catalogue:
    """Every model that is known without a configuration."""
    return parse_catalogue((_METERING / "catalogue.toml").read_bytes())


@cache
def counters() -> Counters:
    """A counter for each encoding, loaded when it is first used."""
    return Counters(lambda encoding: (_METERING / "vocabularies" / vocabulary_file(encoding)).read_bytes())
