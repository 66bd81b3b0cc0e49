"""Secrets from the environment and from the `.env` beside the configuration."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from macroslow.adapters.dotenv.parser import Assignment, parse
from macroslow.authn.api_keys import KEY_PREFIX
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
        found = self._found(reference)
        if not found:
            raise ConfigurationError(
                f"{reference} is set neither in the environment nor in .env",
                fix=f"put {reference.name}=… with the real key into {self.dotenv or '.env'}",
            )
        return found[0].value

    def line_of(self, reference: Reference) -> int | None:
        """The line of `.env` that the secret is read from; None where it is not."""
        found = self._found(reference)
        return found[0].line if found and found[0].line else None

    def hides(self, reference: Reference) -> int | None:
        """The line of `.env` that has another secret than the environment, which goes before it."""
        found = self._found(reference)
        texts = {one.value.reveal() for one in found}
        return found[1].line if len(texts) > 1 and not found[0].line else None

    def _found(self, reference: Reference) -> list[Assignment]:
        """What is set, as it is looked for; line 0 is the environment's. Client keys come last."""
        said = Assignment(reference.name, Secret(self.environ.get(reference.name, "")), 0)
        lines = read_dotenv(self.dotenv) if self.dotenv else ()
        last = next((line for line in reversed(lines) if line.name == reference.name), None)
        found = [one for one in (said, last) if one is not None and one.value.reveal()]
        return sorted(found, key=lambda one: one.value.reveal().startswith(KEY_PREFIX))
