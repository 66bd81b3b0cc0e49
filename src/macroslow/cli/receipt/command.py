"""`macroslow receipt verify`: offline, with a pinned key and nothing of the gateway's."""

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

import click

from macroslow.bootstrap.machine import clock
from macroslow.cli._files import read_whole
from macroslow.cli._log_files import FILE, log_key
from macroslow.cli.console.errors import CANNOT_DECIDE, CHECKED_IS_BAD
from macroslow.cli.console.output import emit, json_option
from macroslow.cli.console.terminal import one_line
from macroslow.cli.receipt.page import page
from macroslow.crypto import strict_json
from macroslow.errors import BadRequestError, VerificationError
from macroslow.metering.money import usd
from macroslow.ports import NS_PER_S
from macroslow.tlog import policy as tlog_policy
from macroslow.tlog import receipt as tlog_receipt
from macroslow.tlog.checkpoint import LogPublicKey
from macroslow.tlog.receipt import Dated, Verdict
from macroslow.tlog.succession import Reached, succession

MAX_FILE_BYTES: Final = 64 * 1024 * 1024  # an answer with its outputs; a receipt is far below
MAX_DEPTH: Final = tlog_receipt.MAX_ANSWER_DEPTH
T = TypeVar("T")


@click.group()
def receipt() -> None:
    """Proofs of single actions."""


receipt.add_command(page)


@receipt.command()
@click.argument("receipt_file", metavar="RECEIPT", type=FILE)
@click.option("--answer", type=FILE, help="The answer that it is about: must be that very answer.")
@click.option("--document", type=FILE, help="The document that it is about: must be those very bytes.")
@click.option(
    "--key",
    "key_files",
    type=FILE,
    multiple=True,
    help="A public key of the log, from somebody you trust. Several: whichever signed.",
)
@click.option(
    "--succession",
    "succession_file",
    type=FILE,
    help="What `audit key --succession` prints: it leads from the key you have to newer ones.",
)
@click.option("--policy", "policy_file", type=FILE, help="Witnesses, and how many must have cosigned.")
@click.option(
    "--tsa-roots",
    "roots_file",
    type=FILE,
    help="Root certificates (PEM): a time stamp under one of them must be there.",
)
@json_option
def verify(
    receipt_file: Path,
    answer: Path | None,
    document: Path | None,
    key_files: tuple[Path, ...],
    succession_file: Path | None,
    policy_file: Path | None,
    roots_file: Path | None,
    *,
    as_json: bool,
) -> int:
    """Check RECEIPT offline against the log's public key.

    RECEIPT is a receipt, or an answer of /execute that holds one. Exit code 0: proved; 1: forged, of
    something else, or less than was asked for; 2: cannot decide, as without a key.
    """
    if not key_files:
        click.echo("cannot decide: without a pinned key anybody could have made this receipt", err=True)
        click.echo(
            "  fix: --key FILE, what `macroslow audit key` prints where the answer came from", err=True
        )
        return CANNOT_DECIDE
    pinned = [log_key(file) for file in key_files]
    hand_overs = [] if succession_file is None else _read(succession_file, _hand_overs)
    policy = None if policy_file is None else _read(policy_file, tlog_policy.parse)
    dated = None if roots_file is None else _dated(roots_file)
    brought = None if document is None else read_whole(document, MAX_FILE_BYTES)
    given = read_whole(receipt_file, MAX_FILE_BYTES)
    besides = None if answer is None else read_whole(answer, MAX_FILE_BYTES)
    try:
        raw, within = tlog_receipt.taken_out(given)
        answers: list[bytes | None] = [each for each in (within, besides) if each is not None]
        followed = _followed(pinned, hand_overs)
        keys = [reached.key for _, reached in followed.values()]
        # A receipt that came within an answer speaks for that one too, whatever else is brought.
        *_, verdict = [
            tlog_receipt.verify(raw, *keys, answer=one, document=brought, policy=policy, dated=dated)
            for one in answers or [None]
        ]
        first, reached = followed[verdict.key_fingerprint]
        reached.check_size(verdict.size)
    except VerificationError as error:
        if as_json:
            emit({"verified": False, "detail": error.detail, "fix": error.fix})
        else:
            _say(f"NOT PROVED: {error.detail}")
            if error.fix:
                _say(f"  fix: {error.fix}")
        return CHECKED_IS_BAD
    if as_json:
        emit({**_as_data(verdict), "pinned_fingerprint": first.fingerprint, "hand_overs": reached.steps})
    else:
        _show(verdict, first, reached.steps)
    return 0


def _read(file: Path, parse: Callable[[bytes], T]) -> T:
    """What the file holds. BadRequestError, which names the file, if it is something else."""
    try:
        return parse(read_whole(file, MAX_FILE_BYTES))
    except BadRequestError as error:
        raise BadRequestError(f"{file}: {error.detail}", fix=error.fix) from None


def _hand_overs(content: bytes) -> list[bytes]:
    try:
        match strict_json.parse(content, limit_bytes=MAX_FILE_BYTES, max_depth=MAX_DEPTH):
            case list() as hand_overs:
                return [json.dumps(each).encode() for each in hand_overs]
            case _:
                raise ValueError("it is no list")
    except ValueError as error:
        raise BadRequestError(
            f"this is not the succession of a log's keys: {error}",
            fix="`macroslow audit key --succession` prints it",
        ) from None


def _dated(roots_file: Path) -> Dated:
    """What tells the time of a stamp under these roots. BadRequestError if nothing here can."""
    try:
        from macroslow.crypto.timestamps import Authorities  # here: its library is an extra of the package
    except ModuleNotFoundError:
        raise BadRequestError(
            "--tsa-roots needs the extra timestamps, which is not installed",
            fix="pip install 'macroslow[timestamps]'",
        ) from None
    return partial(_read(roots_file, Authorities.from_pem).verify, now_s=clock.now_ns() // NS_PER_S)


def _followed(
    pinned: Sequence[LogPublicKey], hand_overs: Sequence[bytes]
) -> dict[str, tuple[LogPublicKey, Reached]]:
    """Each key that counts, by its fingerprint, with the pinned one that it is nearest to.

    VerificationError for a hand-over that does not hold.
    """
    found: dict[str, tuple[LogPublicKey, Reached]] = {}
    for first in pinned:
        for reached in succession(first, hand_overs):
            known = found.setdefault(reached.key.fingerprint, (first, reached))
            if reached.steps < known[1].steps:
                found[reached.key.fingerprint] = (first, reached)
    return found


def _as_data(verdict: Verdict) -> dict[str, object]:
    stamped_s = verdict.time_stamped_s
    return {
        "verified": True,
        "proved": verdict.proved,
        "not_checked": dict(_unchecked(verdict)),
        **asdict(verdict),
        "time_stamped": None if stamped_s is None else f"{tlog_receipt.utc(stamped_s)}Z",
    }


def _show(verdict: Verdict, pinned: LogPublicKey, steps: int) -> None:
    for line in _told(verdict, pinned, steps):
        _say(line)


def _say(line: str) -> None:
    click.echo(one_line(line))


def _told(verdict: Verdict, pinned: LogPublicKey, steps: int) -> Iterator[str]:
    said = verdict.statement
    yield f"PROVED: {said['what']}, by {said['who']}, at {said['when']}"
    yield from _call(said["details"])
    yield f"  log        {verdict.origin}, entry {verdict.index} of {verdict.size}"
    yield f"  key        {verdict.key_fingerprint}{'' if steps else '  (compare it with its owner)'}"
    if steps:
        through = "1 hand-over" if steps == 1 else f"{steps} hand-overs"
        yield f"  pinned     {pinned.fingerprint}, {through} before  (compare it with its owner)"
    yield f"  strength   {verdict.proved.replace('signed', 'signed (Ed25519 and ML-DSA-44)', 1)}"
    if verdict.witnessed is not None and verdict.witnessed.signed:
        yield f"  witnesses  {', '.join(verdict.witnessed.signed)}"
    elif not verdict.carries_cosignatures:
        yield "  witnesses  none: not witnessed by a third party"
    for name, checked in {"answer": verdict.checked_answer, "document": verdict.checked_document}.items():
        if checked:
            yield f"  {name:<10} is the one that was logged"
    for name, option in _unchecked(verdict):
        yield f"  {name:<10} not checked: {option} FILE"


def _call(details: object) -> Iterator[str]:
    """Of a call or a run: its model and what it cost, as far as they were logged."""
    match details:
        case {"model": str() as model}:
            yield f"  model      {model}"
    match details:
        case {"usd_micros": int() as micros} if micros >= 0:
            yield f"  cost       ${usd(micros)}"


def _unchecked(verdict: Verdict) -> Iterator[tuple[str, str]]:
    """What the receipt speaks of and nobody checked, and the option that would."""
    details = verdict.statement["details"]
    logged: Collection[str] = details if isinstance(details, dict) else ()
    if not verdict.checked_answer and "answer_sha256" in logged:
        yield "answer", "--answer"
    if not verdict.checked_document and "document_sha256" in logged:
        yield "document", "--document"
    if verdict.witnessed is None and verdict.carries_cosignatures:
        yield "witnesses", "--policy"
    if verdict.time_stamped_s is None and verdict.carries_time_stamp:
        yield "time stamp", "--tsa-roots"
