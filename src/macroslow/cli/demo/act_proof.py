"""Act 3, the proof: what strangers keep, and a forger with root who has everything else."""

import asyncio
import json
import shutil
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from macroslow.cli.demo import forge
from macroslow.cli.demo.checks import Check, check
from macroslow.cli.demo.house import LOG_ORIGIN, House
from macroslow.cli.demo.stage import Ran, Stage
from macroslow.tlog import proof as tlog_proof

SINCE: Final = " --since the receipt's checkpoint"
SCAPEGOAT: Final = "agent://scapegoat"


@dataclass(frozen=True, slots=True)
class Kept:
    """What an auditor has on a disk of his own. `checkpoint` is the one in the answer's receipt."""

    key: Path
    answer: Path
    document: Path
    checkpoint: Path
    index: int  # of the answer's log entry


@dataclass(frozen=True, slots=True)
class Trial:
    """One command over true files, or over forged ones: then its words must contain `sign`."""

    claim: str
    ran: Ran
    by: str
    sign: str = ""


def keep(house: House, log_key: str, answer: dict[str, Any]) -> Kept:
    """Hand out what others keep."""
    folder = house.stage.sub("auditor")
    proof = tlog_proof.parse(answer["receipt"]["proof"])
    kept = Kept(
        key=folder / "log.pub",
        answer=folder / "answer.json",
        document=folder / "document.maml.md",
        checkpoint=folder / "checkpoint",
        index=proof.index,
    )
    kept.key.write_text(log_key)
    kept.answer.write_text(json.dumps(answer, ensure_ascii=False))
    kept.document.write_bytes(house.signed)
    kept.checkpoint.write_bytes(proof.checkpoint)
    return kept


async def observe(house: House, kept: Kept) -> list[Trial]:
    """Stop the gateway, verify what is true, forge it in five ways, and let the same commands look again."""
    _alter_files(kept)
    (proved, *forged_files), (sound, *forged_logs) = await asyncio.gather(
        asyncio.gather(*_receipts(house.stage, kept)), _stopped_and_audited(house, kept)
    )
    return [proved, sound, *forged_files, *forged_logs]


async def _stopped_and_audited(house: House, kept: Kept) -> list[Trial]:
    """The log of a gateway that has ended, and the forged ones."""
    await asyncio.gather(house.stage.stop(house.server), house.stage.stop(house.provider))
    await asyncio.to_thread(_forge_logs, house, kept)
    return await asyncio.gather(*_audits(house, kept))


def judge(trials: Sequence[Trial]) -> list[Check]:
    """Every claim of the act: what is true passes, what is forged does not, and for the right reason."""
    return [_judge(trial) for trial in trials]


def _judge(trial: Trial) -> Check:
    ran = trial.ran
    if not trial.sign:
        return check(trial.claim, ran.code == 0, f"{ran.words.partition(',')[0]} ({trial.by})")
    caught = ran.code == 1 and trial.sign in ran.words
    return check(trial.claim, caught, f"{'caught' if caught else 'NOT CAUGHT'} by {trial.by}", ran.words)


def _forge_logs(house: House, kept: Kept) -> None:
    """Make three copies of the gateway's folder and alter each as root could."""
    for name in ("edited", "rekeyed", "resigned"):
        state = house.stage.sub(name) / house.state.name
        shutil.copytree(house.state, state, ignore=shutil.ignore_patterns("*.sock"))
        forge.edit_entry(state, kept.index, origin=SCAPEGOAT)
        if name == "rekeyed":
            forge.change_log_key(state, LOG_ORIGIN)
        if name != "edited":
            forge.sign_again(state)


def _alter_files(kept: Kept) -> None:
    for path, word in ((kept.answer, b'"status": "'), (kept.document, b"maml_version: ")):
        _altered(path).write_bytes(_other_byte(path.read_bytes(), after=word))


def _audits(house: House, kept: Kept) -> list[Coroutine[None, None, Trial]]:
    pinned = ("--key", str(kept.key))
    since = ("--since", str(kept.checkpoint))

    async def trial(claim: str, folder: Path, by: str, *options: str, sign: str = "") -> Trial:
        ran = await house.stage.command("audit", "verify", *options, cwd=folder)
        return Trial(claim, ran, f"audit verify{by}", sign)

    edited, rekeyed, resigned = map(house.stage.sub, ("edited", "rekeyed", "resigned"))
    altered = "not those that were signed"
    return [
        trial("the log, as it is", house.folder, "", *pinned, *since),
        trial("an entry edited in the database", edited, "", *pinned, sign=altered),
        trial("and the log re-signed with a new key", rekeyed, " --key", *pinned, sign="pinned log key"),
        trial("or with the gateway's own key", resigned, SINCE, *pinned, *since, sign=altered),
    ]


def _receipts(stage: Stage, kept: Kept) -> list[Coroutine[None, None, Trial]]:
    async def trial(claim: str, answer: Path, document: Path, sign: str = "") -> Trial:
        files = (answer.name, "--document", document.name, "--key", kept.key.name)
        ran = await stage.command("receipt", "verify", *files, cwd=answer.parent)
        return Trial(claim, ran, "receipt verify", sign)

    return [
        trial("the answer and its receipt", kept.answer, kept.document),
        trial("a bit of the answer flipped", _altered(kept.answer), kept.document, "answer is not the one"),
        trial(
            "a bit of the document flipped", kept.answer, _altered(kept.document), "document is not the one"
        ),
    ]


def _altered(path: Path) -> Path:
    return path.with_name(f"altered-{path.name}")


def _other_byte(content: bytes, *, after: bytes) -> bytes:
    """`content` with one bit of one byte changed: the second after `after`."""
    at = content.index(after) + len(after) + 1
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
