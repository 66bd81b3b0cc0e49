"""From references to secrets: all of them, or a list of everything that is wrong with them."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from macroslow.authn.api_keys import KEY_PREFIX
from macroslow.errors import ConfigurationError, Problem
from macroslow.secretstore.placeholder import fault
from macroslow.secretstore.ports import SecretSource
from macroslow.secretstore.reference import Reference, Scheme
from macroslow.secretstore.secret import Secret

Shape = Callable[[Secret], object]
"""Raises ConfigurationError for a secret that has not the form which its use asks for."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One setting that refers to a secret, and where it stands."""

    setting: str
    reference: Reference
    file: str = ""
    line: int | None = None


async def resolve(
    wanted: Iterable[Wanted],
    sources: Mapping[Scheme, SecretSource],
    shapes: Mapping[str, Shape] = MappingProxyType({}),
) -> dict[str, Secret]:
    """Return the secret of each setting, by the setting's name; `shapes`, by setting too, are its form.

    Raises ConfigurationError with one Problem for each secret that is unresolved, empty or a
    placeholder. It says which setting and which reference, never what was found there.
    """
    found: dict[str, Secret] = {}
    problems: list[Problem] = []
    for want in wanted:
        try:
            found[want.setting] = await read(want.reference, sources, shapes.get(want.setting))
        except ConfigurationError as error:
            problems.append(Problem(error.detail, error.fix, want.line, want.setting, want.file))
    if problems:
        raise ConfigurationError("secrets are missing or not usable", problems, step="secrets")
    return found


async def read(
    reference: Reference, sources: Mapping[Scheme, SecretSource], shape: Shape | None = None
) -> Secret:
    """Return one secret that could be real, and has its form; ConfigurationError otherwise."""
    secret = await sources[reference.scheme].read(reference)
    if shape is not None:
        try:
            shape(secret)
        except ConfigurationError as error:
            raise ConfigurationError(f"{reference} {error.detail}", fix=error.fix) from None
    reason = fault(secret.reveal())
    if reason:
        raise ConfigurationError(f"{reference} {reason}", fix=_put(reference))
    if secret.reveal().startswith(KEY_PREFIX):
        raise ConfigurationError(
            f"{reference} holds a client key of this gateway, not a provider's key", fix=_put(reference)
        )
    return secret


def _put(reference: Reference) -> str:
    match reference.scheme:
        case Scheme.KEYSTORE:
            return f"macroslow secrets set {reference.name}"
        case Scheme.FILE:
            return f"write the key, and nothing else, into {reference.name}"
        case Scheme.ENV:
            return f"put {reference.name}=… with the real key into .env"
