"""The signer's folder: what signs, and what signed before. A signer's process reads it, and nobody else.

    log.json                     Ed25519 and ML-DSA-44 seeds of the log
    answer.json, history.json    Ed25519 and ML-DSA-65 seeds of the gateway's statements
    retired-0001.json …          public keys of the log that sign no more, with their hand-overs

While the log is given another key there is `log.next.json`, the key to come, and for a moment
`log.old.json`, the one that is destroyed. Whatever is cut off between two steps, `load` finds a whole.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson

from macroslow import durable_files
from macroslow.adapters.keyfiles import private_files
from macroslow.crypto import strict_json
from macroslow.crypto.guarded import Guarded
from macroslow.crypto.hybrid import HybridPrivateKey, KeyUse
from macroslow.errors import BadRequestError, ConfigurationError
from macroslow.ports import Entropy
from macroslow.tlog.checkpoint import LogPrivateKey, LogPublicKey
from macroslow.tlog.succession import Retired

FOLDER: Final = "signer"
LOG, NEXT, OLD = "log.json", "log.next.json", "log.old.json"
ANSWER, HISTORY = "answer.json", "history.json"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class SignerKeys(Guarded):
    """What signs. `staged` is the log's key to come, where a change of keys was not completed yet."""

    log: LogPrivateKey
    answer: HybridPrivateKey
    history: HybridPrivateKey
    staged: LogPrivateKey | None
    retired: tuple[Retired, ...]


def create(folder: Path, origin: str, entropy: Entropy) -> None:
    """Make all three keys in `folder`, which is made. ConfigurationError if notes cannot carry the origin."""
    try:
        log_key = LogPrivateKey.generate(origin, entropy)
    except ValueError as error:
        raise ConfigurationError(f"the log's origin {origin!r} is refused: {error}") from None
    private_files.make_folder(folder)
    durable_files.write_new(folder / LOG, log_key.to_json().encode())
    for name, use in ((ANSWER, KeyUse.ANSWER), (HISTORY, KeyUse.HISTORY)):
        durable_files.write_new(folder / name, HybridPrivateKey.generate(use, entropy).to_json().encode())
    durable_files.sync_folder(folder)


class SignerFiles:
    """The files of one signer, in its folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load(self, origin: str | None) -> SignerKeys:
        """Return the keys. ConfigurationError if a file is missing, damaged or open to others.

        `origin` is what the configuration calls the log, None where it says nothing; the log's key has its
        own word, and another one is refused.
        """
        private_files.check_folder(self._folder)
        self._finish_old()
        return self._read(origin)

    def look(self, origin: str | None) -> LogPublicKey | None:
        """The log's public key. As `load`, but nothing is ended: None where a change of keys was cut off."""
        private_files.check_folder(self._folder)
        return None if (self._folder / OLD).exists() else self._read(origin).log.public

    def _read(self, origin: str | None) -> SignerKeys:
        log_key = self._load_log(LOG)
        if origin not in {None, log_key.public.origin}:
            raise _named_otherwise(self._folder / LOG, log_key.public.origin, origin or "")
        retired = [_retired(path) for path in self._retired_files()]
        return SignerKeys(
            log=log_key,
            answer=self._load_hybrid(ANSWER, KeyUse.ANSWER),
            history=self._load_hybrid(HISTORY, KeyUse.HISTORY),
            staged=self._load_log(NEXT) if (self._folder / NEXT).exists() else None,
            retired=tuple(one for one in retired if one.key != log_key.public),
        )

    def stage(self, key: LogPrivateKey) -> None:
        """Keep the log's key to come, durable on return."""
        durable_files.replace(self._folder / NEXT, key.to_json().encode())

    def switch(self, retired: Retired) -> None:
        """Put the staged key in the place of the log's; keep that one's public half and destroy the other."""
        files = self._retired_files()
        if not files or _retired(files[-1]).key != retired.key:
            name = f"retired-{len(files) + 1:04d}.json"
            durable_files.replace(self._folder / name, _retired_text(retired))
        (self._folder / OLD).hardlink_to(self._folder / LOG)
        (self._folder / NEXT).rename(self._folder / LOG)
        durable_files.sync_folder(self._folder)
        private_files.destroy(self._folder / OLD)

    def _finish_old(self) -> None:
        """End what was cut off within `switch`."""
        old = self._folder / OLD
        if not old.exists():
            return
        if (self._folder / LOG).samefile(old):
            old.unlink()  # the key to come had not taken its place: this one is in force
        else:
            private_files.destroy(old)

    def _retired_files(self) -> list[Path]:
        return sorted(self._folder.glob("retired-*.json"))

    def _load_log(self, name: str) -> LogPrivateKey:
        path = self._folder / name
        try:
            return LogPrivateKey.from_json(private_files.text(path))
        except BadRequestError as error:
            raise ConfigurationError(f"{path}: {error.detail}", fix=private_files.RESTORE) from None

    def _load_hybrid(self, name: str, use: KeyUse) -> HybridPrivateKey:
        path = self._folder / name
        try:
            return HybridPrivateKey.from_json(private_files.text(path), use=use)
        except BadRequestError as error:
            raise ConfigurationError(f"{path}: {error.detail}", fix=private_files.RESTORE) from None


def _named_otherwise(path: Path, origin: str, named: str) -> ConfigurationError:
    return ConfigurationError(
        f"{path} is the key of the log {origin!r}, and the configuration names {named!r}",
        fix=f'set the log\'s origin to "{origin}", or start a new log in a new state folder',
    )


def _retired_text(retired: Retired) -> bytes:
    handed = None if retired.hand_over is None else orjson.loads(retired.hand_over)
    members = {"macroslow_retired_log_key": 1, "key": retired.key.format(), "hand_over": handed}
    return orjson.dumps(members, option=orjson.OPT_INDENT_2) + b"\n"


def _retired(path: Path) -> Retired:
    try:
        raw = private_files.read(path)
        match strict_json.parse(raw, limit_bytes=private_files.MAX_FILE_BYTES, max_depth=3):
            case {"macroslow_retired_log_key": 1, "key": str(key), "hand_over": dict() | None as handed}:
                return Retired(LogPublicKey.parse(key), None if handed is None else orjson.dumps(handed))
            case _:
                raise ValueError("its members are others")
    except (ValueError, BadRequestError) as error:
        raise ConfigurationError(
            f"{path} is not a retired key of the log: {error}", fix=private_files.RESTORE
        ) from None
