"""What the demo claims, one at a time: held, failed, or not run, with what was counted."""

import enum
from collections.abc import Sequence
from dataclasses import dataclass


class Verdict(enum.Enum):
    """How one check ended."""

    HELD = "held"
    FAILED = "failed"
    NOT_RUN = "not run"


@dataclass(frozen=True, slots=True)
class Check:
    """One claim. `found` is what was counted, `said` the words of the program that decided."""

    claim: str
    verdict: Verdict
    found: str
    said: str = ""


def check(claim: str, holds: bool, found: str, said: str = "") -> Check:
    """The check of a claim that was tried."""
    return Check(claim, Verdict.HELD if holds else Verdict.FAILED, found, said)


def not_run(claim: str, why: str) -> Check:
    """The check of a claim that this machine cannot try."""
    return Check(claim, Verdict.NOT_RUN, why)


def exit_code(checks: Sequence[Check], *, require_all: bool) -> int:
    """0 if nothing failed and, where all are required, everything ran; else 1."""
    verdicts = {one.verdict for one in checks}
    bad = Verdict.FAILED in verdicts or (require_all and Verdict.NOT_RUN in verdicts)
    return 1 if bad or not checks else 0


def summary(checks: Sequence[Check]) -> str:
    """ "14 of 14 checks held", and what did not."""
    held = sum(one.verdict is Verdict.HELD for one in checks)
    parts = [f"{held} of {len(checks)} checks held"]
    for verdict in (Verdict.FAILED, Verdict.NOT_RUN):
        claims = [one.claim for one in checks if one.verdict is verdict]
        if claims:
            parts.append(f"{len(claims)} {verdict.value}: {'; '.join(claims)}")
    return ". ".join(parts)
