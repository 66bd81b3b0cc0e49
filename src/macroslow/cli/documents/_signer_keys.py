"""The two files of a signer as `signers new` makes them: NAME.key signs, NAME.pub is trusted."""

from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from macroslow.cli._files import read_whole
from macroslow.crypto.hybrid import KEY_TEXT_BYTES, HybridPrivateKey, HybridPublicKey, KeyUse
from macroslow.errors import BadRequestError

K = TypeVar("K")
PRIVATE: Final = ".key"
PUBLIC: Final = ".pub"
_HALVES: Final = {
    PRIVATE: ("private", HybridPrivateKey.from_json),
    PUBLIC: ("public", HybridPublicKey.from_jwks),
}


def private_key(file: Path) -> HybridPrivateKey:
    """The key that signs documents. BadRequestError, which says so where it is the other of the two."""
    return _half(file, HybridPrivateKey.from_json, PRIVATE, PUBLIC)


def public_key(file: Path) -> HybridPublicKey:
    """The key that signatures are checked with. BadRequestError, likewise."""
    return _half(file, HybridPublicKey.from_jwks, PUBLIC, PRIVATE)


def _half(file: Path, read: Callable[..., K], wanted: str, other: str) -> K:
    text = read_whole(file, KEY_TEXT_BYTES).decode("utf-8", "replace")
    try:
        return read(text, use=KeyUse.DOCUMENT)
    except BadRequestError as error:
        name, read_other = _HALVES[other]
        if _is(read_other, text):
            named = file.with_suffix(wanted) if file.suffix == other else f"NAME{wanted}"
            raise BadRequestError(f"{file} is the {name} key", fix=f"give {named}") from None
        raise BadRequestError(f"{file}: {error.detail}", fix=error.fix) from None


def _is(reader: Callable[..., object], text: str) -> bool:
    try:
        reader(text, use=KeyUse.DOCUMENT)
    except BadRequestError:
        return False
    return True
