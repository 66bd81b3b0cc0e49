"""What is known of each witness: what it cosigned last, when, and what is wrong with it now."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from macroslow.errors import VerificationError
from macroslow.ports import NS_PER_S
from macroslow.services.verbs import utc
from macroslow.tlog.note import Note
from macroslow.tlog.policy import Policy


@dataclass(frozen=True, slots=True)
class WitnessState:
    """`size` and `time_s` are of its last cosignature, None before one; `error` is empty while it cosigns."""

    name: str
    url: str
    size: int | None = None
    time_s: int | None = None
    error: str = ""


class WitnessStates(Mapping[str, WitnessState]):
    """By name, in the policy's order. Changed by whoever asks the witnesses, read by anybody."""

    def __init__(self, policy: Policy) -> None:
        self._states = {one.name: WitnessState(one.name, one.url or "") for one in policy.witnesses}
        self.policy = policy

    def __getitem__(self, name: str) -> WitnessState:
        return self._states[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._states)

    def __len__(self) -> int:
        return len(self._states)

    def remember(self, size: int, note: Note) -> None:
        """Take the cosignatures of a stored checkpoint as what its witnesses cosigned last."""
        for one in self.policy.witnesses:
            try:
                self.cosigned(one.name, size, note.verify(one.key))
            except VerificationError:  # none of its own, or damaged: then nothing is known
                continue

    def cosigned(self, name: str, size: int, time_s: int) -> None:
        """It cosigned a tree of `size` entries."""
        self._states[name] = replace(self._states[name], size=size, time_s=time_s, error="")

    def failed(self, name: str, error: str) -> None:
        """It did not, and why."""
        self._states[name] = replace(self._states[name], error=error)

    def told(self) -> list[dict[str, object]]:
        """All of them for people and programs."""
        return [
            {
                "name": one.name,
                "url": one.url,
                "cosigned_entries": one.size,
                "cosigned_at": None if one.time_s is None else utc(one.time_s * NS_PER_S),
                "error": one.error or None,
            }
            for one in self._states.values()
        ]
