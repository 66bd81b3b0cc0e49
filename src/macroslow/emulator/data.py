"""The price list and the vocabularies that come with the package, read once a process."""

from functools import cache
from importlib.resources import files

from macroslow.metering.catalogue import Catalogue, parse_catalogue
from macroslow.metering.encodings import Counters, vocabulary_file


@cache
def catalogue() -> Catalogue:
    """Every model that is known."""
    return parse_catalogue((files("macroslow.metering") / "catalogue.toml").read_bytes())


@cache
def counters() -> Counters:
    """A counter for each encoding, loaded when it is first used."""
    vocabularies = files("macroslow.metering") / "vocabularies"
    return Counters(lambda encoding: (vocabularies / vocabulary_file(encoding)).read_bytes())
