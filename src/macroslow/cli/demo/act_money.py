"""Act 2, the money: fifty agents, one budget of a dollar, four hundred calls in the same moment."""

import asyncio
import json
from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

import aiohttp

from macroslow.cli.demo.checks import Check, check
from macroslow.cli.demo.house import PROVIDER_TPM, House
from macroslow.cli.demo.paper import count, usd

AGENTS: Final = 50
CALLS_EACH: Final = 8
BUDGET_USD_MICROS: Final = 1_000_000
MAX_TOKENS: Final = 500  # $0.005 of gpt-4o: half of the calls fit
_CALL: Final = {
    "model": "gpt-4o",
    "max_tokens": MAX_TOKENS,
    "messages": [{"role": "user", "content": "Answer with 248 words"}],
}


@dataclass(frozen=True, slots=True)
class Seen:
    """What the agents, the ledger and the provider counted, each for itself."""

    statuses: Counter[int]
    asked_tokens: int
    refusal: dict[str, Any] | None  # one, whole
    ledger_calls: int
    ledger_usd_micros: int
    budget_spent_usd_micros: int
    held_usd_micros: int
    provider_answered: int
    provider_usd_micros: int
    provider_statuses: Counter[int]


async def observe(house: House) -> Seen:
    """Let the agents loose, then ask the ledger and the provider."""
    key = await house.ask("keys", "create", "agents", "--budget", f"{BUDGET_USD_MICROS / 1e6:.2f}")
    answers = await _all_at_once(house, key["key"])
    rows, bill = (await house.ask("usage", "--by", "key"))["rows"], await house.bill()
    return Seen(
        statuses=Counter(status for status, _ in answers),
        asked_tokens=len(answers) * MAX_TOKENS,
        refusal=next((body for status, body in answers if status == 402), None),
        ledger_calls=sum(row["calls"] for row in rows),
        ledger_usd_micros=sum(row["usd_micros"] for row in rows),
        budget_spent_usd_micros=sum(row["usd_micros"] for row in rows if row["key"] == key["id"]),
        held_usd_micros=sum(row["held_usd_micros"] or 0 for row in rows),
        provider_answered=sum(model["answered"] for model in bill["models"].values()),
        provider_usd_micros=bill["usd_micros"],
        provider_statuses=Counter({int(status): times for status, times in bill["statuses"].items()}),
    )


def judge(seen: Seen) -> list[Check]:
    """Every claim of the act."""
    answered, refused = seen.statuses[200], seen.statuses[402]
    others = {status: times for status, times in seen.statuses.items() if status not in {200, 402}}
    over = max(0, seen.budget_spent_usd_micros - BUDGET_USD_MICROS)
    limited = seen.provider_statuses[429]
    return [
        check("answered", answered > 0, count(answered)),
        check("refused by the budget", refused > 0, f"{count(refused)}, each with 402 before it was sent"),
        check("anything else", not others, ", ".join(f"{n} x {s}" for s, n in others.items()) or "0"),
        check(
            "refused by the provider (429)",
            limited == 0,
            f"{count(limited)}; it takes {count(PROVIDER_TPM)} tokens a minute, {count(seen.asked_tokens)} were asked for",
        ),
        check("spent", seen.budget_spent_usd_micros > 0, f"{usd(seen.budget_spent_usd_micros)} of {usd(BUDGET_USD_MICROS)}"),
        check("over budget", over == 0, usd(over)),
        check("still reserved when all was over", seen.held_usd_micros == 0, usd(seen.held_usd_micros)),
        check(
            "the provider's own bill",
            (seen.provider_usd_micros, seen.provider_answered) == (seen.ledger_usd_micros, seen.ledger_calls),
            f"{usd(seen.provider_usd_micros)} for {count(seen.provider_answered)} calls; our ledger:"
            f" {usd(seen.ledger_usd_micros)} for {count(seen.ledger_calls)}",
        ),
    ]


async def _all_at_once(house: House, key: str) -> list[tuple[int, dict[str, Any]]]:
    calls = [_agent(house, key, number) for number in range(AGENTS)]
    return [answer for answers in await asyncio.gather(*calls) for answer in answers]


async def _agent(house: House, key: str, number: int) -> list[tuple[int, dict[str, Any]]]:
    """One agent with connections of its own; it does not wait for one answer to ask again."""
    headers = {"authorization": f"Bearer {key}", "x-macroslow-tag": f"agent-{number:02}"}
    timeout = aiohttp.ClientTimeout(total=60)
    async with aiohttp.ClientSession(headers=headers, timeout=timeout) as http:
        return list(await asyncio.gather(*(_call(house, http) for _ in range(CALLS_EACH))))


async def _call(house: House, http: aiohttp.ClientSession) -> tuple[int, dict[str, Any]]:
    try:
        async with http.post(f"{house.url}/v1/chat/completions", json=_CALL) as answer:
            return answer.status, json.loads(await answer.read())
    except (aiohttp.ClientError, TimeoutError) as error:
        return 0, {"error": str(error)}
