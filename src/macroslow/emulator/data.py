"""The price list and the vocabulary that come with the package, read once a process."""

from functools import cache
from importlib.resources import files

from macroslow.metering.catalogue import Catalogue, parse_catalogue
from macroslow.metering.count import Counter, load


@cache
def openai_models() -> Catalogue:
    """The models of the catalogue that OpenAI serves."""
    everything = parse_catalogue((files("macroslow.metering") / "catalogue.toml").read_bytes())
    return Catalogue({name: model for name, model in everything.models.items() if model.provider == "openai"})


@cache
def counter() -> Counter:
    """The counter for o200k_base. The first call takes about half a second."""
    return load((files("macroslow.metering") / "vocabularies" / "o200k_base.tiktoken.gz").read_bytes())
