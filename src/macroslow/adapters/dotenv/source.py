"""Secrets from the environment and from the `.env` beside the configuration."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from macroslow.adapters.dotenv.parser import Assignment, parse
from macroslow.authn.api_keys import PREFIX
from macroslow.errors import ConfigurationError
from macroslow.secretstore.reference import Reference
from macroslow.secretstore.secret import Secret

MAX_BYTES: Final = 256 * 1024  # a .env holds keys, not data


def read_dotenv(path: Path) -> tuple[Assignment, ...]:
    """Return the assignments of a `.env`; none if there is no such file.

    Raises ConfigurationError if it cannot be read or has a line that is no assignment.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
        text = raw.decode("utf-8")
    except FileNotFoundError:
        return ()
    except (OSError, UnicodeDecodeError) as error:
        what = "is not UTF-8" if isinstance(error, UnicodeDecodeError) else f"{error.strerror}"
        raise ConfigurationError(f"{path} cannot be read: {what}", fix="check the file") from None
    if len(raw) > MAX_BYTES:
        raise ConfigurationError(f"{path} is larger than {MAX_BYTES} bytes", fix="check the file")
    return parse(text, str(path))


@dataclass(frozen=True, slots=True)
class EnvironmentSource:
    """`env:NAME`: the process's environment first, then `.env`, read anew each time.

    A client key of this gateway in the environment is passed over: on a developer's machine
    OPENAI_API_KEY holds one, for the programs that use the gateway, while `.env` holds the
    provider's key.
    """

    environ: Mapping[str, str]
    dotenv: Path | None = None

    async def read(self, reference: Reference) -> Secret:
        """Return the variable's value; ConfigurationError if it is set nowhere."""
        found = [text for text in (self.environ.get(reference.name), self._assigned(reference.name)) if text]
        if not found:
            raise ConfigurationError(
                f"{reference} is set neither in the environment nor in .env",
                fix=f"put {reference.name}=… with the real key into {self.dotenv or '.env'}",
            )
        theirs = [text for text in found if not text.startswith(PREFIX)]
        return Secret((theirs or found)[0])

    def _assigned(self, name: str) -> str | None:
        assignments = read_dotenv(self.dotenv) if self.dotenv else ()
        return next((line.value.reveal() for line in reversed(assignments) if line.name == name), None)
