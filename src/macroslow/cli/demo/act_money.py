"""Act 2, the money: fifty agents, one budget of a dollar, four hundred calls in the same moment."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import aiohttp

from macroslow.cli.demo.checks import Check, check
from macroslow.cli.demo.house import BUDGET_USD_MICROS, PROVIDER_TPM, House
from macroslow.cli.demo.paper import count, usd
from macroslow.cli.demo.stage import REQUEST_S

AGENTS: Final = 50
CALLS_EACH: Final = 8
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
    refusal: str  # one, whole
    ledger_calls: int
    ledger_usd_micros: int
    held_usd_micros: int
    provider_answered: int
    provider_usd_micros: int
    provider_statuses: Counter[int]


async def observe(house: House) -> Seen:
    """Let the agents loose, then ask the ledger and the provider."""
    answers = await _all_at_once(house)
    rows, bill = (await house.ask("usage", "--by", "key"))["rows"], await house.bill()
    return Seen(
        statuses=Counter(status for status, _ in answers),
        asked_tokens=len(answers) * MAX_TOKENS,
        refusal=next((body for status, body in answers if status == 402), ""),
        ledger_calls=sum(row["calls"] for row in rows),
        ledger_usd_micros=sum(row["usd_micros"] for row in rows),
        held_usd_micros=sum(row["held_usd_micros"] or 0 for row in rows),
        provider_answered=sum(model["answered"] for model in bill["models"].values()),
        provider_usd_micros=bill["usd_micros"],
        provider_statuses=Counter({int(status): times for status, times in bill["statuses"].items()}),
    )


def judge(seen: Seen) -> list[Check]:
    """Every claim of the act."""
    answered, refused = seen.statuses[200], seen.statuses[402]
    others = {status: times for status, times in seen.statuses.items() if status not in {200, 402}}
    limited = seen.provider_statuses[429]
    over = max(0, seen.ledger_usd_micros - BUDGET_USD_MICROS)
    bill = (seen.provider_usd_micros, seen.provider_answered)
    return [
        check("answered", answered > 0, count(answered)),
        check("refused by the budget, with 402", refused > 0, f"{count(refused)}, before they were sent"),
        check("any other outcome", not others, _listed(others)),
        check(
            "refused by the provider, with 429",
            limited == 0,
            f"{count(limited)}: it takes {count(PROVIDER_TPM)} tokens a minute,"
            f" {count(seen.asked_tokens)} were asked for",
        ),
        check(
            "spent, with act 1",
            seen.ledger_usd_micros > 0,
            f"{usd(seen.ledger_usd_micros)} of {usd(BUDGET_USD_MICROS)}",
        ),
        check("over budget", over == 0, usd(over)),
        check("still reserved at the end", seen.held_usd_micros == 0, usd(seen.held_usd_micros)),
        check(
            "the provider's own bill",
            bill == (seen.ledger_usd_micros, seen.ledger_calls),
            f"{usd(bill[0])} for {count(bill[1])} calls; our ledger: {usd(seen.ledger_usd_micros)} for"
            f" {count(seen.ledger_calls)}",
        ),
    ]


def _listed(statuses: Mapping[int, int]) -> str:
    return ", ".join(f"{times} with {status or 'no answer'}" for status, times in statuses.items()) or "0"


async def _all_at_once(house: House) -> list[tuple[int, str]]:
    answers = await asyncio.gather(*(_agent(house, number) for number in range(AGENTS)))
    return [answer for several in answers for answer in several]


async def _agent(house: House, number: int) -> list[tuple[int, str]]:
    """One agent with connections of its own; it does not wait for one answer to ask again."""
    headers = {"authorization": f"Bearer {house.client_key}", "x-macroslow-tag": f"agent-{number:02}"}
    timeout = aiohttp.ClientTimeout(total=REQUEST_S)
    async with aiohttp.ClientSession(headers=headers, timeout=timeout) as http:
        return await asyncio.gather(*(_call(house, http) for _ in range(CALLS_EACH)))


async def _call(house: House, http: aiohttp.ClientSession) -> tuple[int, str]:
    """Status and body; status 0 if there was no answer."""
    try:
        async with http.post(f"{house.url}/v1/chat/completions", json=_CALL) as answer:
            return answer.status, await answer.text()
    except (aiohttp.ClientError, TimeoutError) as error:
        return 0, str(error)
