"""The packaged vocabularies and catalogue, loaded once for all tests."""

from functools import cache
from importlib.resources import files

from macroslow.metering.catalogue import Catalogue, parse_catalogue
from macroslow.metering.encodings import PUBLISHED, Counter, Counters, vocabulary_file


def packed(encoding: str = "o200k_base") -> bytes:
    return (files("macroslow.metering") / "vocabularies" / vocabulary_file(encoding)).read_bytes()


@cache
def counters() -> Counters:
    """All loaded: no test depends on which other one was first to count."""
    made = Counters(packed)
    for encoding in PUBLISHED:
        made[encoding]
    return made


def counter(encoding: str = "o200k_base") -> Counter:
    return counters()[encoding]


@cache
def catalogue() -> Catalogue:
    return parse_catalogue((files("macroslow.metering") / "catalogue.toml").read_bytes())


ENTRY = {
    "provider": "vllm",
    "upstream": "org/model",
    "encoding": "o200k_base",
    "counting": "exact",
    "context_tokens": 8192,
    "max_output_tokens": 2048,
    "input_usd_micros": 0,
    "cached_input_usd_micros": 0,
    "output_usd_micros": 0,
    "top_output_tokens_per_s": 50,
}
"""A model as an operator may write one."""


def model(**members):
    """The model of ENTRY with other members."""
    return catalogue().with_models({"m": {**ENTRY, **members}}).find("m")
