"""The places of secrets as commands reach them, and who else can reach those."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from macroslow.adapters.dotenv import exposure, read_dotenv
from macroslow.adapters.keystore import absent
from macroslow.adapters.statefolder import KEYSTORE
from macroslow.bootstrap.checks import start_problems, unseen_by_programs
from macroslow.bootstrap.references import environment_of, shapes, sources
from macroslow.cli.console.errors import problem_lines
from macroslow.errors import ConfigurationError, Problem
from macroslow.secretstore.ports import SecretSource
from macroslow.secretstore.reference import Reference, Scheme
from macroslow.secretstore.resolve import Wanted, resolve
from macroslow.secretstore.secret import Secret
from macroslow.settings import Settings


@dataclass(frozen=True, slots=True)
class _KeystoreSource:
    """The keystore, opened when a reference needs it: most configurations have none."""

    settings: Settings

    async def read(self, reference: Reference) -> Secret:
        """Read one entry; the keystore's own errors pass through."""
        if not has_keystore(self.settings):
            raise absent(reference)  # opening it would make the gateway's keys, and checking makes nothing
        # Only here: what opens it costs 50 ms that a start without a keystore need not pay.
        from macroslow.cli._keystore import open_keystore

        return await open_keystore(self.settings).read(reference)


def has_keystore(settings: Settings) -> bool:
    """Whether anything was ever put into the keystore."""
    return (settings.state_folder / KEYSTORE).exists()


def secret_sources(settings: Settings) -> Mapping[Scheme, SecretSource]:
    """What `secretstore.resolve` reads from."""
    return sources(settings, _KeystoreSource(settings))


def problems_of(settings: Settings) -> list[Problem]:
    """All that a start would refuse in checked settings and their secrets."""
    problems = start_problems(settings) + _unresolved(settings, settings.secrets())
    return sorted(problems, key=lambda one: (one.file, one.line or 0))


def usage_problems(settings: Settings) -> list[str]:
    """One line, with its repair, for each administrator's key that `usage reconcile` would lack."""
    lacks = _unresolved(settings, settings.usage_secrets())
    return [
        "\n".join(problem_lines([replace(one, message=f"{one.message} (only usage reconcile needs it)")]))
        for one in lacks
    ]


def _unresolved(settings: Settings, wanted: Iterable[Wanted]) -> list[Problem]:
    try:
        asyncio.run(resolve(wanted, secret_sources(settings), shapes(settings)))
    except ConfigurationError as error:
        return [*error.problems] or [Problem(error.detail, error.fix)]
    return []


def warnings_about(settings: Settings) -> list[str]:
    """What does not stop a start and should not stay: files open to others, names set twice or hidden."""
    return [
        *_open_to_others(settings),
        *_set_twice(settings),
        *hidden(settings),
        *unseen_by_programs(settings),
    ]


def hidden(settings: Settings) -> list[str]:
    """One line for each secret of the environment that hides another one in `.env`: mostly by mistake."""
    source, dotenv = environment_of(settings), settings.source.dotenv
    references = (one.reference for one in all_secrets(settings))
    names = {one.name: one for one in references if one.scheme is Scheme.ENV}
    return [
        f"{reference} is taken from the environment, and differs from {dotenv}:{line}, which it hides"
        f" (fix: unset {name}, or remove that line)"
        for name, reference in names.items()
        if (line := source.hides(reference))
    ]


def place_of(settings: Settings, reference: Reference) -> str:
    """Where a secret is read from: `the environment`, `.env:3`, or nothing for what says it itself."""
    if reference.scheme is not Scheme.ENV:
        return ""
    line = environment_of(settings).line_of(reference)
    return "the environment" if line is None else f"{settings.source.dotenv}:{line}"


def all_secrets(settings: Settings) -> tuple[Wanted, ...]:
    """Every secret that a setting refers to, also those that no server reads."""
    return settings.secrets() + settings.usage_secrets()


def _open_to_others(settings: Settings) -> Iterator[str]:
    source = settings.source
    references = (wanted.reference for wanted in all_secrets(settings))
    files = [source.folder / one.name for one in references if one.scheme is Scheme.FILE]
    for path in [source.dotenv, *files]:
        if path and (who := exposure(path)):
            yield f"{path}: {who} (fix: chmod 600 {path})"


def _set_twice(settings: Settings) -> Iterator[str]:
    dotenv = settings.source.dotenv
    times = Counter(line.name for line in read_dotenv(dotenv)) if dotenv else {}
    for name, count in times.items():
        if count > 1:
            yield f"{dotenv}: {name} is set {count} times, and the last line counts"
