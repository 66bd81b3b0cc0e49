"""The folder `keys` of the state folder: everything secret that the gateway makes for itself.

    quad-root-1.json … quad-root-4.json    the four sealing roots
    api-key-pepper                         32 bytes (hex) under which clients' keys are hashed
    signer/ or signer.json                 what signs, or where that lies (see `place`)

All are made together in a folder beside it and moved into place in one step. A folder with some of
them missing is refused, never completed: a new root beside old ones would hide a loss of data.
With all four roots in one folder there is no separate custody; that begins when they part.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson

from macroslow import durable_files
from macroslow.adapters.keyfiles import private_files
from macroslow.adapters.keyfiles.place import (
    RECORD,
    Place,
    create_signer,
    discard,
    has_signer,
    settle,
    signer_folder,
)
from macroslow.crypto import base64url, strict_json
from macroslow.crypto.guarded import Guarded
from macroslow.crypto.quad import KEY_ID_BYTES, LAYERS, ROOT_BYTES, Root
from macroslow.errors import ConfigurationError
from macroslow.ports import Entropy

PEPPER_BYTES: Final = 32
FIRST_EPOCH: Final = 1
PEPPER: Final = "api-key-pepper"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class GatewayKeys(Guarded):
    """The gateway's own keys but those that sign, loaded."""

    quad_roots: tuple[Root, ...]
    api_key_pepper: bytes


def ensure(folder: Path, origin: str, entropy: Entropy, place: Place) -> None:
    """Make all keys of the state folder `folder`, for a log named `origin`, if it has no `keys` folder.

    Keys that sign get their own folder, and lie where `place` says. ConfigurationError if notes cannot
    carry the origin, or if they do not lie where they should. The caller holds the state folder's lock.
    """
    keys = folder / "keys"
    if not keys.exists() and not keys.is_symlink():
        _create(folder, entropy, lambda fresh: create_signer(fresh, origin, entropy, place))
    else:
        private_files.check_folder(keys)
        settle(keys, entropy, place)


def ensure_sealing(folder: Path, entropy: Entropy) -> None:
    """As `ensure`, without keys that sign: another user's signer has those.

    ConfigurationError where this folder has, or names, some of its own.
    """
    keys = folder / "keys"
    if not keys.exists() and not keys.is_symlink():
        _create(folder, entropy, lambda _: None)
    else:
        check_without_signer(folder)


def check_without_signer(folder: Path) -> None:
    """Return if the state folder `folder` has, and names, no keys that sign; else ConfigurationError."""
    keys = folder / "keys"
    if has_signer(keys):
        raise ConfigurationError(
            f"keys that sign lie in {signer_folder(folder)}, and [log] signer names one that has its own",
            fix=f"move them to that signer and rm -f {keys / RECORD}, or leave [log] signer out",
        )


def load(folder: Path) -> GatewayKeys:
    """Return the keys of the state folder `folder`.

    ConfigurationError if a file is missing, damaged or open to others.
    """
    keys = folder / "keys"
    private_files.check_folder(keys)
    return GatewayKeys(
        quad_roots=tuple(_load_root(keys / _root_name(number)) for number in range(1, LAYERS + 1)),
        api_key_pepper=_load_pepper(keys / PEPPER),
    )


def _create(folder: Path, entropy: Entropy, create: Callable[[Path], None]) -> None:
    fresh = folder / "keys.new"
    if fresh.is_dir() and not fresh.is_symlink():
        discard(fresh)  # a creation that was cut off: none of these keys was ever used
    private_files.make_folder(fresh)
    create(fresh)
    for number in range(1, LAYERS + 1):
        durable_files.write_new(fresh / _root_name(number), _root_text(entropy).encode())
    durable_files.write_new(fresh / PEPPER, f"{entropy.random(PEPPER_BYTES).hex()}\n".encode())
    durable_files.sync_folder(fresh)
    fresh.rename(folder / "keys")
    durable_files.sync_folder(folder)


def _root_name(number: int) -> str:
    return f"quad-root-{number}.json"


def _root_text(entropy: Entropy) -> str:
    members = {
        "macroslow_quad_root": 1,
        "key_id": entropy.random(KEY_ID_BYTES).hex(),
        "epoch": FIRST_EPOCH,
        "secret": base64url.encode(entropy.random(ROOT_BYTES)),
    }
    return orjson.dumps(members, option=orjson.OPT_INDENT_2).decode() + "\n"


def _load_root(path: Path) -> Root:
    raw = private_files.read(path)
    try:
        match strict_json.parse(raw, limit_bytes=private_files.MAX_FILE_BYTES, max_depth=1):
            case {
                "macroslow_quad_root": 1,
                "key_id": str(key_id),
                "epoch": int(epoch),
                "secret": str(secret),
            }:
                return Root(bytes.fromhex(key_id), epoch, base64url.decode(secret))
            case _:
                raise ValueError("its members are others")
    except ValueError as error:
        raise ConfigurationError(
            f"{path} is not a sealing root: {error}", fix=private_files.RESTORE
        ) from None


def _load_pepper(path: Path) -> bytes:
    text = private_files.text(path).removesuffix("\n")
    if len(text) != 2 * PEPPER_BYTES or set(text) - set("0123456789abcdef"):
        raise ConfigurationError(f"{path} is not {PEPPER_BYTES} bytes in hex", fix=private_files.RESTORE)
    return bytes.fromhex(text)
