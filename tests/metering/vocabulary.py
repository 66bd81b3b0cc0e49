"""The packaged vocabulary, loaded once for all tests."""

from functools import cache
from importlib.resources import files

from macroslow.metering.catalogue import Catalogue, parse_catalogue
from macroslow.metering.count import Counter, load


def packed() -> bytes:
    return files("macroslow.metering").joinpath("vocabularies/o200k_base.tiktoken.gz").read_bytes()


@cache
def counter() -> Counter:
    return load(packed())


@cache
def catalogue() -> Catalogue:
    return parse_catalogue(files("macroslow.metering").joinpath("catalogue.toml").read_bytes())
