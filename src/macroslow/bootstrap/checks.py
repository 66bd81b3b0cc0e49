"""What a start refuses beyond the settings themselves; commands ask for it beforehand, all at once.

Not tried before a start: whether the address is free, the state folder unused and the log in it the one that
was signed, and whether a database, a rate store, a provider or another user's signer can be reached.
"""

from typing import TYPE_CHECKING

from macroslow.bootstrap.models.catalogue import complete_catalogue
from macroslow.bootstrap.signing.looking import signing_problems
from macroslow.errors import BadRequestError, ConfigurationError, Problem
from macroslow.settings import Settings
from macroslow.settings.origin import problem
from macroslow.web.tls import Files, ServerTLS

if TYPE_CHECKING:
    from macroslow.crypto.timestamps import Authorities


def start_problems(settings: Settings) -> list[Problem]:
    """Names of models that lead nowhere, prices and limits that cannot be, files that do not serve."""
    found: list[Problem] = []
    origins = settings.source.origins
    try:
        complete_catalogue(settings)
    except ConfigurationError as error:
        found += error.problems
    try:
        tls_of(settings)
    except ConfigurationError as error:
        found.append(problem(("server", "tls"), error.detail, error.fix, origins))
    try:
        believed_authorities(settings)
    except ConfigurationError as error:
        found.append(problem(("log", "timestamps", "roots"), error.detail, error.fix, origins))
    found += signing_problems(settings)
    if any(server.command for server in settings.mcp.servers.values()):
        from macroslow.bootstrap.upstreams.boxes import mount_problems  # here: it brings the whole sandbox

        found += mount_problems(settings)
    return found


def unseen_by_programs(settings: Settings) -> list[str]:
    """One line for each word of an MCP server's command that leads nowhere in its box."""
    if not any(server.command for server in settings.mcp.servers.values()):
        return []
    from macroslow.bootstrap.upstreams.words import unseen_words  # here: see above

    return unseen_words(settings)


def tls_of(settings: Settings) -> ServerTLS | None:
    """What encrypts the listener; ConfigurationError if its files do not serve."""
    files, folder = settings.server.tls, settings.source.folder
    return None if files is None else ServerTLS(Files(folder / files.certificate, folder / files.key))


def believed_authorities(settings: Settings) -> "Authorities | None":
    """Whose time stamps are kept; None: nobody is asked. ConfigurationError if the roots cannot be read."""
    configured = settings.log.timestamps
    if configured is None:
        return None
    from macroslow.crypto.timestamps import MAX_ROOTS_BYTES, Authorities  # here: an extra of the package

    file = settings.source.folder / configured.roots
    try:
        with file.open("rb") as source:
            return Authorities.from_pem(source.read(MAX_ROOTS_BYTES + 1))
    except (OSError, BadRequestError) as error:
        said = error.strerror if isinstance(error, OSError) else error.detail
        raise ConfigurationError(
            f"the roots of the time-stamping authority cannot be read: {file}: {said}",
            fix="name its root certificate in PEM under [log.timestamps] roots",
        ) from None
