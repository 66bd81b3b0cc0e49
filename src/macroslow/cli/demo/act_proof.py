"""Act 3, the proof: what strangers keep, and a forger with root who has everything else."""

import asyncio
import json
import re
import shutil
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from macroslow.cli.demo import forge
from macroslow.cli.demo.checks import Check, check
from macroslow.cli.demo.house import LOG_ORIGIN, House
from macroslow.cli.demo.stage import Ran, Stage

SCAPEGOAT: Final = "agent://scapegoat"
_INDEX: Final = re.compile(r"^index (\d+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Kept:
    """What an auditor has on a disk of his own: nothing of the gateway's but these files."""

    folder: Path
    key: Path
    checkpoint: Path
    answer: Path
    document: Path
    index: int  # of the answer's log entry


@dataclass(frozen=True, slots=True)
class Trial:
    """One command over true files, or over forged ones: then its words must contain `sign`."""

    claim: str
    ran: Ran
    sign: str = ""


async def keep(house: House, answer: dict[str, Any]) -> Kept:
    """Hand out, while the gateway serves, what others keep."""
    folder = house.stage.sub("auditor")
    key, checkpoint = await asyncio.gather(house.ask("audit", "key"), house.ask("audit", "checkpoint"))
    files = {
        "log.pub": key["key"].encode(),
        "checkpoint": checkpoint["note"].encode(),
        "answer.json": json.dumps(answer, ensure_ascii=False).encode(),
        "document.maml.md": house.signed,
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    found = _INDEX.search(answer["receipt"]["proof"])
    paths = [folder / name for name in files]
    return Kept(folder, *paths, index=int(found[1]) if found else -1)


async def observe(house: House, kept: Kept) -> list[Trial]:
    """Stop the gateway, verify what is true, forge it in five ways, and let the same commands look again."""
    await house.stage.stop(house.server)
    await asyncio.to_thread(_forge, house, kept)
    return await asyncio.gather(*_audits(house, kept), *_receipts(house.stage, kept))


def judge(trials: Sequence[Trial]) -> list[Check]:
    """Every claim of the act: what is true passes, what is forged does not, and for the right reason."""
    return [_judge(trial) for trial in trials]


def _judge(trial: Trial) -> Check:
    ran, command = trial.ran, " ".join(trial.ran.arguments[:2])
    if not trial.sign:
        return check(trial.claim, ran.code == 0, f"{command}: {ran.words}")
    caught = ran.code == 1 and trial.sign in ran.words
    return check(trial.claim, caught, f"{'caught' if caught else 'NOT CAUGHT'} by {command}", ran.words)


def _forge(house: House, kept: Kept) -> None:
    """Make three copies of the gateway's folder and alter each as root could; and two altered files."""
    for name in ("edited", "rekeyed", "resigned"):
        state = house.stage.sub(name) / house.state.name
        shutil.copytree(house.state, state, ignore=shutil.ignore_patterns("*.sock"))
        forge.edit_entry(state, LOG_ORIGIN, kept.index, origin=SCAPEGOAT)
        if name == "rekeyed":
            forge.change_log_key(state, LOG_ORIGIN)
        if name != "edited":
            forge.sign_again(state)
    for path, word in ((kept.answer, b'"status": "'), (kept.document, b"maml_version: ")):
        _altered(path).write_bytes(_other_byte(path.read_bytes(), after=word))


def _audits(house: House, kept: Kept) -> list[Coroutine[None, None, Trial]]:
    pinned = ("--key", str(kept.key))
    since = ("--since", str(kept.checkpoint))
    true, edited, rekeyed, resigned = house.folder, *map(house.stage.sub, ("edited", "rekeyed", "resigned"))

    async def trial(claim: str, folder: Path, *options: str, sign: str = "") -> Trial:
        return Trial(claim, await house.stage.command("audit", "verify", *options, cwd=folder), sign)

    altered = "not those that were signed"
    return [
        trial("the log, as it is", true, *pinned, *since),
        trial("an entry edited in the database", edited, *pinned, sign=altered),
        trial("the log signed anew, with a new key", rekeyed, *pinned, sign="pinned log key"),
        trial("signed anew, with the gateway's own key", resigned, *pinned, *since, sign=altered),
    ]


def _receipts(stage: Stage, kept: Kept) -> list[Coroutine[None, None, Trial]]:
    async def trial(claim: str, answer: Path, document: Path, sign: str = "") -> Trial:
        files = (answer.name, "--document", document.name, "--key", kept.key.name)
        return Trial(claim, await stage.command("receipt", "verify", *files, cwd=kept.folder), sign)

    return [
        trial("the answer and its receipt", kept.answer, kept.document),
        trial("a byte of the answer", _altered(kept.answer), kept.document, "answer is not the one"),
        trial("a byte of the document", kept.answer, _altered(kept.document), "document is not the one"),
    ]


def _altered(path: Path) -> Path:
    return path.with_name(f"altered-{path.name}")


def _other_byte(content: bytes, *, after: bytes) -> bytes:
    """`content` with one bit of one byte changed: the second after `after`."""
    at = content.index(after) + len(after) + 1
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
