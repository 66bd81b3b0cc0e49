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


def private_key(file: Path) -> HybridPrivateKey:
    """The key that signs documents. BadRequestError, which says so where it is the other of the two."""
    text = _text(file)
    try:
        return _read(HybridPrivateKey.from_json, file, text)
    except BadRequestError:
        if _is(HybridPublicKey.from_jwks, text):
            raise _the_other(file, "public", PUBLIC, PRIVATE) from None
        raise


def public_key(file: Path) -> HybridPublicKey:
    """The key that signatures are checked with. BadRequestError, likewise."""
    text = _text(file)
    try:
        return _read(HybridPublicKey.from_jwks, file, text)
    except BadRequestError:
        if _is(HybridPrivateKey.from_json, text):
            raise _the_other(file, "private", PRIVATE, PUBLIC) from None
        raise


def _text(file: Path) -> str:
    return read_whole(file, KEY_TEXT_BYTES).decode("utf-8", "replace")


def _read(reader: Callable[..., K], file: Path, text: str) -> K:
    try:
        return reader(text, use=KeyUse.DOCUMENT)
    except BadRequestError as error:
        raise BadRequestError(f"{file}: {error.detail}", fix=error.fix) from None


def _is(reader: Callable[..., object], text: str) -> bool:
    try:
        reader(text, use=KeyUse.DOCUMENT)
    except BadRequestError:
        return False
    return True


def _the_other(file: Path, half: str, ending: str, wanted: str) -> BadRequestError:
    named = file.with_suffix(wanted) if file.suffix == ending else f"NAME{wanted}"
    return BadRequestError(f"{file} is the {half} key", fix=f"give {named}")
