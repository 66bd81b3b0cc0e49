"""The folder `keys` of the state folder: everything secret that the gateway makes for itself.

    quad-root-1.json … quad-root-4.json    the four sealing roots
    log.json                               Ed25519 and ML-DSA-44 seeds of the log
    answer.json, history.json              Ed25519 and ML-DSA-65 seeds of the gateway's statements
    api-key-pepper                         32 bytes (hex) under which clients' keys are hashed

All are made together in a folder beside it and moved into place in one step. A folder with some of
them missing is refused, never completed: a new root beside old ones would hide a loss of data.
With all four roots in one folder there is no separate custody; that begins when they part.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson

from macroslow.adapters.keyfiles import private_files
from macroslow.crypto import base64url, strict_json
from macroslow.crypto.guarded import Guarded
from macroslow.crypto.hybrid import HybridPrivateKey, KeyUse
from macroslow.crypto.quad import KEY_ID_BYTES, LAYERS, ROOT_BYTES, Root
from macroslow.errors import BadRequestError, ConfigurationError
from macroslow.ports import Entropy
from macroslow.tlog.checkpoint import LogPrivateKey

PEPPER_BYTES: Final = 32
FIRST_EPOCH: Final = 1
LOG, ANSWER, HISTORY, PEPPER = "log.json", "answer.json", "history.json", "api-key-pepper"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class GatewayKeys(Guarded):
    """The gateway's own keys, loaded."""

    quad_roots: tuple[Root, ...]
    log: LogPrivateKey
    answer: HybridPrivateKey
    history: HybridPrivateKey
    api_key_pepper: bytes


def load_or_create(folder: Path, origin: str, entropy: Entropy) -> GatewayKeys:
    """Return the keys of the state folder `folder`, made first if it has no `keys` folder.

    `origin` names the log. ConfigurationError if a file is missing, damaged, open to others, or if
    the log key is of another origin. The caller holds the lock of the state folder.
    """
    keys = folder / "keys"
    if not keys.exists() and not keys.is_symlink():
        _create(folder, origin, entropy)
    private_files.check_folder(keys)
    return _load(keys, origin)


def _create(folder: Path, origin: str, entropy: Entropy) -> None:
    fresh = folder / "keys.new"
    if fresh.is_dir() and not fresh.is_symlink():
        shutil.rmtree(fresh)  # a creation that was cut off: none of these keys was ever used
    private_files.make_folder(fresh)
    for name, text in _new_files(origin, entropy).items():
        private_files.write_new(fresh / name, text.encode())
    private_files.sync_folder(fresh)
    fresh.rename(folder / "keys")
    private_files.sync_folder(folder)


def _new_files(origin: str, entropy: Entropy) -> dict[str, str]:
    try:
        log_key = LogPrivateKey.generate(origin, entropy)
    except ValueError as error:
        raise ConfigurationError(f"the log's origin {origin!r} is refused: {error}") from None
    files = {_root_name(number): _root_text(entropy) for number in range(1, LAYERS + 1)}
    files[LOG] = log_key.to_json()
    files[ANSWER] = HybridPrivateKey.generate(KeyUse.ANSWER, entropy).to_json()
    files[HISTORY] = HybridPrivateKey.generate(KeyUse.HISTORY, entropy).to_json()
    files[PEPPER] = entropy.random(PEPPER_BYTES).hex() + "\n"
    return files


def _load(keys: Path, origin: str) -> GatewayKeys:
    return GatewayKeys(
        quad_roots=tuple(_load_root(keys / _root_name(number)) for number in range(1, LAYERS + 1)),
        log=_load_log(keys, origin),
        answer=_load_hybrid(keys / ANSWER, KeyUse.ANSWER),
        history=_load_hybrid(keys / HISTORY, KeyUse.HISTORY),
        api_key_pepper=_load_pepper(keys / PEPPER),
    )


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


def _load_log(keys: Path, origin: str) -> LogPrivateKey:
    path = keys / LOG
    try:
        key = LogPrivateKey.from_json(_text(path))
    except BadRequestError as error:
        raise ConfigurationError(f"{path}: {error.detail}", fix=private_files.RESTORE) from None
    if key.public.origin != origin:
        raise ConfigurationError(
            f"{path} is the key of the log {key.public.origin!r}, and the configuration names {origin!r}",
            fix=f'set the log\'s origin to "{key.public.origin}", or start a new log in a new state folder',
        )
    return key


def _load_hybrid(path: Path, use: KeyUse) -> HybridPrivateKey:
    try:
        return HybridPrivateKey.from_json(_text(path), use=use)
    except BadRequestError as error:
        raise ConfigurationError(f"{path}: {error.detail}", fix=private_files.RESTORE) from None


def _load_pepper(path: Path) -> bytes:
    text = _text(path).removesuffix("\n")
    if len(text) != 2 * PEPPER_BYTES or set(text) - set("0123456789abcdef"):
        raise ConfigurationError(f"{path} is not {PEPPER_BYTES} bytes in hex", fix=private_files.RESTORE)
    return bytes.fromhex(text)


def _text(path: Path) -> str:
    return private_files.read(path).decode("utf-8", "surrogateescape")
