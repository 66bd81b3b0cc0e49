"""Tools for proofs: of what the caller did, and the check of anybody's."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from macroslow.errors import VerificationError
from macroslow.mcp.ask import Ask, Handler
from macroslow.mcp.tools.proofs import GET_RECEIPT, PROVE_ENTRY, VERIFY_RECEIPT
from macroslow.services.agents.octets import octets
from macroslow.services.proofs.kept_receipts import KeptReceipts
from macroslow.services.proofs.prove_own import ProveOwn
from macroslow.tlog import receipt
from macroslow.tlog.checkpoint import LogPublicKey
from macroslow.tlog.receipt import Verdict
from macroslow.tlog.succession import LogKeys, Reached, succession

_NOT_VERIFIED: Final[Mapping[str, object]] = {
    "statement": None,
    "origin": None,
    "index": None,
    "size": None,
    "checkpoint_time": None,
    "key_fingerprint": None,
    "checked": [],
    "not_checked": [],
}


@dataclass(frozen=True, slots=True)
class ProofTools:
    """One method a tool. `keys` are the gateway's own log keys as they are now."""

    receipts: KeptReceipts
    prove: ProveOwn
    keys: Callable[[], LogKeys]

    @property
    def handlers(self) -> Mapping[str, Handler]:
        return {
            GET_RECEIPT.name: self.get_receipt,
            PROVE_ENTRY.name: self.prove_entry,
            VERIFY_RECEIPT.name: self.verify_receipt,
        }

    async def get_receipt(self, ask: Ask) -> Mapping[str, object]:
        """The receipt that was asked for with a request; NotFoundError for another's."""
        return {"receipt": await self.receipts(ask.principal, ask.arguments["request_id"])}

    async def prove_entry(self, ask: Ask) -> Mapping[str, object]:
        """The receipt of an entry about the caller; NotFoundError for every other."""
        return {"receipt": await self.prove(ask.principal, ask.arguments["log_index"])}

    async def verify_receipt(self, ask: Ask) -> Mapping[str, object]:
        """What it proves. BadRequestError for a key that is none."""
        given = ask.arguments.get("log_key")
        if given is None:
            source, keys = "gateway_key", _own(self.keys())
        else:
            source, keys = "given_key", [Reached(LogPublicKey.parse(given), 0)]
        told = await asyncio.to_thread(_judged, ask.arguments, keys)
        return {**told, "checked_with": source}


def _own(keys: LogKeys) -> list[Reached]:
    """The keys of this log, each with the last tree that it may have signed."""
    first = keys.retired[-len(keys.hand_overs)].key if keys.hand_overs else keys.current
    return succession(first, keys.hand_overs)


def _judged(arguments: Mapping[str, Any], keys: Sequence[Reached]) -> dict[str, object]:
    try:
        verdict = _verdict(arguments, keys)
    except VerificationError as error:
        return {"verified": False, "detail": error.detail, **_NOT_VERIFIED}
    return _told(verdict)


def _verdict(arguments: Mapping[str, Any], keys: Sequence[Reached]) -> Verdict:
    """Also of the answer that a receipt came in, whatever else it is held against."""
    brought = {name: octets(arguments[name]) for name in ("answer", "document") if name in arguments}
    raw, within = receipt.taken_out(octets(arguments["receipt"]))
    answers: list[bytes | None] = [one for one in (within, brought.get("answer")) if one is not None]
    public = [reached.key for reached in keys]
    *_, verdict = [
        receipt.verify(raw, *public, answer=one, document=brought.get("document"))
        for one in answers or [None]
    ]
    for reached in keys:
        if reached.key.fingerprint == verdict.key_fingerprint:
            reached.check_size(verdict.size)
    return verdict


def _told(verdict: Verdict) -> dict[str, object]:
    brought = {"answer": verdict.checked_answer, "document": verdict.checked_document}
    carried = {"cosignatures": verdict.carries_cosignatures, "time stamp": verdict.carries_time_stamp}
    return {
        "verified": True,
        "detail": verdict.proved,
        "statement": verdict.statement,
        "origin": verdict.origin,
        "index": verdict.index,
        "size": verdict.size,
        "checkpoint_time": f"{receipt.utc(verdict.checkpoint_time_s)}Z",
        "key_fingerprint": verdict.key_fingerprint,
        "checked": [name for name, checked in brought.items() if checked],
        "not_checked": [
            *(name for name, checked in brought.items() if not checked),
            *(name for name, there in carried.items() if there),
        ],
    }
