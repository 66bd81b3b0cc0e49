"""Trust policies (C2SP tlog-policy): which logs are known, which witnesses, and how many must agree.

    log <vkey> [<url>]
    witness <name> <vkey> [<url>]
    group <name> all|any|<k> <name>...
    quorum <name>|none

A line refers only to names of lines before it. Names are octets and compared as such. Stricter than the
standard in three things: a log's key is no witness's, a file without its last line feed was cut off, and
there are at most 32 logs, 32 witnesses and 32 groups. Whether one of the logs signed is for
`tlog.checkpoint` to verify: a policy judges cosignatures.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from macroslow.crypto.note_keys import NotePublicKey, NoteType
from macroslow.errors import BadRequestError, VerificationError
from macroslow.tlog.note import Note

NONE: Final = "none"
MAX_POLICY_BYTES: Final = 512 * 1024
MAX_DEFINITIONS: Final = 32  # of each kind, as the standard recommends
LOG_TYPES: Final = frozenset({NoteType.ED25519, NoteType.ML_DSA_44})
WITNESS_TYPES: Final = frozenset({NoteType.ED25519_COSIGNATURE, NoteType.ML_DSA_44})
_FORBIDDEN: Final = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]")
_THRESHOLD: Final = re.compile(r"[1-9][0-9]{0,2}")
_GROUP: Final = "Quorum"  # no witness of a configuration has a capital in its name
_FIX: Final = "`macroslow audit policy` prints the policy of a gateway"


@dataclass(frozen=True, slots=True)
class KnownLog:
    """A log whose checkpoints count. The key's name is its origin."""

    key: NotePublicKey
    url: str | None = None


@dataclass(frozen=True, slots=True)
class KnownWitness:
    """A witness, by the name that this policy alone has for it. `url` is its submission prefix."""

    name: str
    key: NotePublicKey
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """Holds where at least `needed` of its members do: witnesses, or groups before it."""

    name: str
    needed: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Judged:
    """Who cosigned, by name in the policy's order, `of` how many witnesses, and whether that is enough."""

    signed: tuple[str, ...]
    of: int
    needed: str
    met: bool


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy that was read by `parse` or made by `threshold`."""

    logs: tuple[KnownLog, ...]
    witnesses: tuple[KnownWitness, ...]
    groups: tuple[Group, ...]
    quorum: str

    def judge(self, note: Note) -> Judged:
        """Return who cosigned `note`, and whether the quorum is met.

        VerificationError if a line of a known witness does not verify, has no time or is there twice.
        """
        signed = [one.name for one in self.witnesses if _cosigned(note, one)]
        holds = {NONE, *signed}
        for group in self.groups:
            if sum(member in holds for member in group.members) >= group.needed:
                holds.add(group.name)
        shown = tuple(_shown(name) for name in signed)
        return Judged(shown, len(self.witnesses), self.needed, self.quorum in holds)

    def of_logs(self, *keys: NotePublicKey) -> "Policy":
        """Return the same for logs of these keys."""
        return replace(self, logs=tuple(KnownLog(key) for key in keys))

    @property
    def needed(self) -> str:
        """The quorum in words: "2 of a, b, c"."""
        told = {one.name: _shown(one.name) for one in self.witnesses} | {NONE: NONE}
        for group in self.groups:
            members = [told[name] for name in group.members]
            several = [f"({member})" if " of " in member else member for member in members]
            told[group.name] = f"{group.needed} of {', '.join(several)}"
        return told[self.quorum]

    def format(self) -> bytes:
        """Return the policy as a file."""
        lines = [_line("log", one.key.vkey, one.url) for one in self.logs]
        lines += [_line("witness", one.name, one.key.vkey, one.url) for one in self.witnesses]
        lines += [_line("group", one.name, str(one.needed), *one.members) for one in self.groups]
        lines.append(_line("quorum", self.quorum))
        return "".join(lines).encode("utf-8", "surrogateescape")


NOBODY: Final = Policy((), (), (), NONE)
"""Names no log and needs no witness."""


def parse(text: bytes) -> Policy:
    """Read a policy file; BadRequestError, with the line, if it is none."""
    if len(text) > MAX_POLICY_BYTES:
        raise BadRequestError(f"a policy has at most {MAX_POLICY_BYTES} bytes", fix=_FIX)
    if not text.endswith(b"\n"):
        raise BadRequestError("the policy does not end with a line feed: it may be cut off", fix=_FIX)
    reading = _Reading()
    for number, line in enumerate(text.split(b"\n"), 1):
        try:
            if _FORBIDDEN.search(line):
                raise ValueError("control characters are not allowed")
            reading.take([word.decode("utf-8", "surrogateescape") for word in line.split()])
        except ValueError as error:
            raise BadRequestError(f"line {number} of the policy: {error}", fix=_FIX) from None
    if reading.quorum is None:
        raise BadRequestError("the policy has no quorum line", fix=_FIX)
    return Policy(tuple(reading.logs), tuple(reading.witnesses), tuple(reading.groups), reading.quorum)


def threshold(logs: Sequence[NotePublicKey], witnesses: Sequence[KnownWitness], needed: int) -> Policy:
    """Return the policy that any `needed` of `witnesses` must have cosigned; without witnesses, nobody.

    ValueError if there are not so many, or a key is given twice.
    """
    reading = _Reading()
    for key in logs:
        reading.add_log(KnownLog(key))
    for one in witnesses:
        reading.add_witness(one)
    if not witnesses:
        return Policy(tuple(reading.logs), (), (), NONE)
    reading.add_group(_GROUP, str(needed), [one.name for one in witnesses])
    return Policy(tuple(reading.logs), tuple(reading.witnesses), tuple(reading.groups), _GROUP)


class _Reading:
    """What the lines so far defined. Every method raises ValueError for what may not follow them."""

    def __init__(self) -> None:
        self.logs: list[KnownLog] = []
        self.witnesses: list[KnownWitness] = []
        self.groups: list[Group] = []
        self.quorum: str | None = None
        self._names = {NONE}
        self._members: set[str] = set()
        self._keys: set[bytes] = set()

    def take(self, words: Sequence[str]) -> None:
        """One line, by its words."""
        match words:
            case []:
                return
            case [first, *_] if first.startswith("#"):
                return
            case ["log", vkey, *url] if len(url) < 2:
                self.add_log(KnownLog(NotePublicKey.from_vkey(vkey), *url))
            case ["witness", name, vkey, *url] if len(url) < 2:
                self.add_witness(KnownWitness(name, NotePublicKey.from_vkey(vkey), *url))
            case ["group", name, needed, *members]:
                self.add_group(name, needed, members)
            case ["quorum", name]:
                self._set_quorum(name)
            case _:
                raise ValueError("it is no line of a policy")

    def add_log(self, log: KnownLog) -> None:
        _check_room(self.logs)
        if log.key.type not in LOG_TYPES:
            raise ValueError("a log's key is of type 0x01 (Ed25519) or 0x06 (ML-DSA-44)")
        self._check_new_key(log.key)
        self.logs.append(log)

    def add_witness(self, witness: KnownWitness) -> None:
        _check_room(self.witnesses)
        if witness.key.type not in WITNESS_TYPES:
            raise ValueError("a witness's key is of type 0x04 (Ed25519) or 0x06 (ML-DSA-44)")
        self._check_new_key(witness.key)
        self._define(witness.name)
        self.witnesses.append(witness)

    def add_group(self, name: str, needed: str, members: Sequence[str]) -> None:
        _check_room(self.groups)
        for member in members:
            if member == NONE or member not in self._names:
                raise ValueError(f"no line before it defines {_shown(member)!r}")
            if member in self._members:
                raise ValueError(f"{_shown(member)!r} is a member twice, here or in two groups")
            self._members.add(member)
        count = _threshold(needed, len(members))
        self._define(name)
        self.groups.append(Group(name, count, tuple(members)))

    def _set_quorum(self, name: str) -> None:
        if self.quorum is not None:
            raise ValueError("a second quorum line")
        if name not in self._names:
            raise ValueError(f"no line before it defines {_shown(name)!r}")
        self.quorum = name

    def _define(self, name: str) -> None:
        if name in self._names:
            raise ValueError(f"the name {_shown(name)!r} is taken")
        self._names.add(name)

    def _check_new_key(self, key: NotePublicKey) -> None:
        """The same key under another name or type would count twice."""
        if key.raw in self._keys:
            raise ValueError("the same public key was given before")
        self._keys.add(key.raw)


def _cosigned(note: Note, witness: KnownWitness) -> bool:
    if not note.signed_by(witness.key):
        return False
    if note.verify(witness.key) == 0:
        raise VerificationError(f"the cosignature of the witness {_shown(witness.name)!r} has no time")
    return True


def _threshold(needed: str, members: int) -> int:
    if needed in {"all", "any"}:
        count = members if needed == "all" else 1
    else:
        count = int(needed) if _THRESHOLD.fullmatch(needed) else 0
    if not 1 <= count <= members:
        raise ValueError(f"a group needs all, any, or 1 to {members} of its {members} members")
    return count


def _check_room(defined: Sequence[object]) -> None:
    if len(defined) == MAX_DEFINITIONS:
        raise ValueError(f"more than {MAX_DEFINITIONS} of one kind")


def _shown(name: str) -> str:
    """A name for people; octets that are no UTF-8 are escaped."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _line(*words: str | None) -> str:
    return " ".join(word for word in words if word is not None) + "\n"
