"""Reading the configuration: layers laid over each other, then checked as a whole.

From the bottom: defaults, the profile, the file, LOG_LEVEL, PORT and ENVIRONMENT,
MACROSLOW__SECTION__KEY, the command line. Variables come from the environment or from the `.env`
beside the file; of the two the environment wins.
"""

import tomllib
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Final

from pydantic import ValidationError

from macroslow.adapters.dotenv import read_dotenv
from macroslow.errors import ConfigurationError
from macroslow.settings.layers import Layers
from macroslow.settings.lines import key_lines
from macroslow.settings.model import Settings, Source
from macroslow.settings.origin import KeyPath, Origin
from macroslow.settings.problems import contradictions, from_validation, syntax_problem
from macroslow.settings.profiles import profile_of, unmet_demands
from macroslow.settings.variables import lay_variables, variables

FILE_NAME: Final = "macroslow.toml"
MAX_BYTES: Final = 1024 * 1024  # a configuration is written by hand


def load(
    path: Path | None, environ: Mapping[str, str], flags: Mapping[str, object] = MappingProxyType({})
) -> Settings:
    """Return the checked settings of `path`, or of ./macroslow.toml, or the defaults if there is neither.

    `flags` are the command line's, by dotted name, as {"server.listen": "127.0.0.1:0"}. Secrets are
    not read. Raises ConfigurationError with everything that is wrong, each with its place.
    """
    file = path or (Path(FILE_NAME) if Path(FILE_NAME).is_file() else None)
    folder = file.parent if file else Path()
    dotenv = folder / ".env"
    table, lines = _read(file) if file else ({}, {})
    chosen = variables(environ, read_dotenv(dotenv), str(dotenv))

    def lay_chosen(layers: Layers) -> Layers:
        layers.lay((), table, Origin(str(file or "")), lines)
        lay_variables(layers, chosen)
        for name, value in flags.items():
            layers.lay(tuple(name.split(".")), value, Origin("command line"))
        return layers

    profile = profile_of(lay_chosen(Layers()).table)
    beneath = Layers()
    if profile:
        beneath.lay((), profile.defaults, Origin(f"profile {profile.name}"))
    layers = lay_chosen(beneath)
    problems = [*layers.problems, *unmet_demands(profile, layers.origins)]
    try:
        settings = Settings.model_validate(layers.table)
    except ValidationError as error:
        problems += from_validation(error, layers.origins)
    else:
        problems += contradictions(settings, layers.origins)
        if not problems:
            settings._source = Source(folder, file, dotenv, MappingProxyType(layers.origins))
            return settings
    problems.sort(key=lambda one: (one.file, one.line or 0))
    raise ConfigurationError("the configuration does not allow a start", problems, step="configuration")


def _read(file: Path) -> tuple[dict[str, object], dict[KeyPath, int]]:
    """The file as a table, and the lines of its keys."""
    try:
        with file.open("rb") as opened:
            raw = opened.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(
            f"{file} cannot be read: {error.strerror}", fix="macroslow init writes a configuration"
        ) from None
    if len(raw) > MAX_BYTES:
        raise ConfigurationError(
            f"{file} is larger than {MAX_BYTES} bytes", fix="check that --config names a configuration"
        )
    try:
        text = raw.decode("utf-8").replace("\r\n", "\n")
        return tomllib.loads(text, parse_float=Decimal), key_lines(text)
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"{file} is not TOML", [syntax_problem(error, str(file))]) from None
