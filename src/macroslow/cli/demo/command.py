"""The command: three acts, what they found, and the lines for one's own key."""

import asyncio
import json
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any, Final

import click

from macroslow.cli.demo import act_key, act_money, act_proof
from macroslow.cli.demo.checks import Check, check, exit_code, summary
from macroslow.cli.demo.house import House, open_house
from macroslow.cli.demo.paper import Paper
from macroslow.cli.demo.stage import Stage, set_up

_KEY: Final = (
    "THE KEY",
    "An agent that you trust, by its signature, works with a model, and on the side hunts for"
    " your provider's key in its environment, in /proc and in the files it may read.",
)
_MONEY: Final = (
    "THE MONEY",
    f"{act_money.AGENTS} agents share one client key with a budget of one dollar, and make"
    f" {act_money.AGENTS * act_money.CALLS_EACH} calls at once.",
)
_PROOF: Final = (
    "THE PROOF",
    "An auditor kept act 1's answer with its receipt, the document and the log's public key. The"
    " operator, with root and all keys, blames another agent and hashes everything anew.",
)


@click.command()
@click.option("--keep", is_flag=True, help="Leave the files, and say where.")
@click.option("--require-all", is_flag=True, help="Fail also if a check could not run here.")
def demo(*, keep: bool, require_all: bool) -> int:
    """See it stop a thief, an overspender and a forger.

    Offline, in a temporary folder, with real processes; the provider is an emulator. Exit code 0:
    every check that could run held; 1: one did not.
    """
    try:
        return asyncio.run(_demo(Paper.of_terminal(), keep=keep, require_all=require_all))
    except asyncio.CancelledError:  # by SIGTERM
        raise click.Abort from None


async def _demo(paper: Paper, *, keep: bool, require_all: bool) -> int:
    started_s = time.monotonic()
    _end_on_sigterm()
    async with set_up(keep=keep) as stage:
        checks = await _acts(stage, paper)
    paper.line()
    paper.line(f"{summary(checks)}. {time.monotonic() - started_s:.1f} s.", style="bold")
    if keep:
        paper.line("The files are kept. What the auditor did:")
        paper.verbatim(
            f"cd {stage.folder}/auditor\n"
            f"{_program()} receipt verify answer.json --document document.maml.md --key log.pub",
            indent=3,
        )
    _print_own_key(paper)
    return exit_code(checks, require_all=require_all)


async def _acts(stage: Stage, paper: Paper) -> list[Check]:
    paper.line(f"Offline: an emulated provider, a gateway and its clients, in {stage.folder}")
    house = await open_house(stage)
    paper.title(1, *_KEY)
    key, log_key = await asyncio.gather(act_key.observe(house), house.ask("audit", "key"))
    checks = _print(paper, act_key.judge(key))
    paper.title(2, *_MONEY)
    money = await act_money.observe(house)
    checks += _print(paper, act_money.judge(money))
    if money.refusal:
        paper.line(f"one refusal, whole: {json.dumps(json.loads(money.refusal))}", indent=4, style="dim")
    paper.title(3, *_PROOF)
    return checks + _print(paper, await _proof(house, log_key["key"], key.answer))


async def _proof(house: House, log_key: str, answer: dict[str, Any] | None) -> list[Check]:
    if answer is None:
        return [check("act 1 has an answer to prove", False, "it has none")]
    return act_proof.judge(await act_proof.observe(house, act_proof.keep(house, log_key, answer)))


def _print(paper: Paper, checks: list[Check]) -> list[Check]:
    for one in checks:
        paper.check(one)
    return checks


def _print_own_key(paper: Paper) -> None:
    program = _program()
    paper.line()
    paper.line("With your own key, which init asks for; it prints the line between, for your programs:")
    paper.verbatim(
        f"{program} init\n"
        "export OPENAI_BASE_URL=http://127.0.0.1:8000/v1 OPENAI_API_KEY=msk_…\n"
        f"{program} serve",
        indent=3,
    )


def _program() -> str:
    """How to call us: by name where the shell would find this very installation."""
    ours = Path(sys.executable).parent / "macroslow"
    found = shutil.which("macroslow")
    return "macroslow" if found and Path(found).resolve() == ours.resolve() else str(ours)


def _end_on_sigterm() -> None:
    """Let SIGTERM clean up as Ctrl-C does."""
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
