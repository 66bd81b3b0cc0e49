"""The section [log]: the audit log's name, its dials, and third parties that vouch for it."""

import re
from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import AfterValidator, Field, model_validator

from macroslow.crypto.note_keys import NotePublicKey
from macroslow.errors import ConfigurationError
from macroslow.ports import DAY_NS
from macroslow.settings.fields import BaseURL, Table, check_plain_http, refuse
from macroslow.settings.section import Section, needs_extra
from macroslow.tlog.checkpoint import LogPublicKey
from macroslow.tlog.event import EventClass
from macroslow.tlog.policy import MAX_DEFINITIONS, WITNESS_TYPES, KnownWitness, Policy, threshold

_SIGNER: Final = re.compile(r"unix:/[!-~]{1,100}")  # sun_path has 108 bytes (unix(7))


def _signer(value: str) -> str:
    if not _SIGNER.fullmatch(value):
        raise refuse(
            "not the socket of a signer, which is unix: and a path from / on, without a space and not long",
            'write for example "unix:/run/macroslow-signer/signer.sock"',
        )
    return value


def _witness_key(value: str) -> str:
    try:
        key = NotePublicKey.from_vkey(value)
    except ValueError:
        raise refuse(
            "not a verifier key of a witness", "write the line that its operator gives out"
        ) from None
    if key.type not in WITNESS_TYPES:
        raise refuse(
            "a log's key, not a witness's", "write the witness's key for cosignatures (0x04 or 0x06)"
        )
    return value


class HoldDays(Section):
    """For how long an erased person's entries of a class are held after the newest of them; 0: not at all."""

    security: Annotated[int, Field(ge=0, le=36_500)] = 365
    administration: Annotated[int, Field(ge=0, le=36_500)] = 2190
    activity: Annotated[int, Field(ge=0, le=36_500)] = 0

    def in_ns(self) -> dict[EventClass, int]:
        """The same of each class, in nanoseconds."""
        return {each: getattr(self, each.name.lower()) * DAY_NS for each in EventClass}


class LogWitness(Section):
    """One witness: its submission prefix (C2SP tlog-witness), and the key that its cosignatures must have."""

    url: BaseURL
    key: Annotated[str, AfterValidator(_witness_key)]
    plain_http: bool = False

    @model_validator(mode="after")
    def _not_overheard(self) -> Self:
        # Nothing in it is secret, but who can answer in a witness's place can stop the gateway.
        check_plain_http(self.url, allowed=self.plain_http, member="url")
        return self

    def witness(self, name: str) -> KnownWitness:
        """The witness as a policy has it."""
        return KnownWitness(name, NotePublicKey.from_vkey(self.key), self.url)


class LogTimestamps(Section):
    """A time-stamping authority and the root certificates (PEM) that its stamps must lead to.

    Plain http is usual and does no harm: a stamp is believed for its signature, and asked for with a
    digest. `roots` is relative to the configuration file.
    """

    url: BaseURL
    roots: Annotated[Path, Field(strict=False), needs_extra("rfc3161_client", "timestamps")]
    every_hours: Annotated[int, Field(ge=1, le=8760)] = 24


class Log(Section):
    """The audit log: its name and keys, whether everybody may read it, who cosigns and dates its checkpoints.

    Entries are committed in windows of `commit_window_ms`, and signed in windows of `checkpoint_window_ms`
    or when a receipt needs it. `quorum` of the witnesses is enough; not set: more than half of them.
    """

    origin: Annotated[str, Field(pattern=r"^[!-*,-~]{1,200}$")] | None = None  # C2SP: no space, no plus
    disk_reserve_mib: Annotated[int, Field(ge=0, le=1024 * 1024)] = 256
    high_water: Annotated[str, Field(min_length=1)] | None = None  # a folder; "off": no mark is kept
    keys: Annotated[str, Field(min_length=1)] | None = None  # a folder outside; "state": in the state folder
    signer: Annotated[str, AfterValidator(_signer)] | None = None  # of another user
    public: bool = False
    hold_days: HoldDays = HoldDays()
    commit_window_ms: Annotated[int, Field(ge=0, le=1000)] = 5
    checkpoint_window_ms: Annotated[int, Field(ge=10, le=3_600_000)] = 1000
    witnesses: Table[LogWitness] = Field(default_factory=dict, max_length=MAX_DEFINITIONS)
    quorum: Annotated[int, Field(ge=1)] | None = None
    witness_timeout_ms: Annotated[int, Field(ge=0, le=60_000)] = 1000
    witness_required: bool = False
    timestamps: LogTimestamps | None = None

    @model_validator(mode="after")
    def _the_signer_has_its_own_folders(self) -> Self:
        if self.signer is not None and (self.keys is not None or self.high_water is not None):
            raise refuse("signer beside keys or high_water", "name both to `macroslow signer` instead")
        return self

    @model_validator(mode="after")
    def _quorum_can_be_met(self) -> Self:
        if self.quorum is not None and self.quorum > len(self.witnesses):
            fix = "name them under [log.witnesses.NAME], or lower quorum"
            raise refuse(f"quorum is {self.quorum} of {len(self.witnesses)} witnesses", fix)
        if self.witness_required and not self.witnesses:
            raise refuse("witness_required without a witness", "name one under [log.witnesses.NAME]")
        keys = [one.witness(name).key.raw for name, one in self.witnesses.items()]
        if len(set(keys)) != len(keys):
            raise refuse("two witnesses have the same key", "name each witness once")
        return self

    def policy(self, key: LogPublicKey) -> Policy:
        """What whoever trusts this log should ask for; without witnesses, the log's own signature alone.

        ConfigurationError if the log's own key is a witness's.
        """
        witnesses = [one.witness(name) for name, one in self.witnesses.items()]
        needed = self.quorum or len(witnesses) // 2 + 1
        try:
            return threshold([key.ed25519, key.ml_dsa_44], witnesses, needed)
        except ValueError as error:
            raise ConfigurationError(
                f"the log's witnesses cannot be used: {error}", fix="give each witness a key of its own"
            ) from None
