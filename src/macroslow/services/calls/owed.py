"""What is owed for a call that is over, as far as anybody knows: a `Settlement`, without booking it.

the provider answered               what it says it used; our own count if it does not say: "ok"
it refused before doing any work    nothing: "refused"
the client hung up                  input, and what can have been written by then: "aborted"
it broke off, or nobody knows       the reservation: "unknown"
"""

import asyncio
import hashlib
from dataclasses import replace

from macroslow.inference.operation import AnswerUnreadableError, StreamReader, WholeAnswer
from macroslow.inference.ports import NotReached, ProviderAnswer
from macroslow.limits.backoff import LOST_STATUSES
from macroslow.metering.ledger import CallOutcome, Usage
from macroslow.services.calls.paid_call import NOTHING, Settlement, UnderWay


def for_answer(under_way: UnderWay, reached: ProviderAnswer | NotReached) -> Settlement:
    """Owed for a whole answer, an error's too, or for none because nobody could be asked."""
    if isinstance(reached, NotReached):
        return Settlement(CallOutcome.REFUSED, NOTHING, 0)
    sha256 = hashlib.sha256(reached.body).hexdigest()
    if reached.status >= 400:
        if reached.status in LOST_STATUSES:
            return under_way.unknown(reached.status, sha256)
        return Settlement(CallOutcome.REFUSED, NOTHING, reached.status, sha256)
    try:
        read = under_way.call.order.operation.read(reached.body, under_way.possible)
    except AnswerUnreadableError:
        return under_way.unknown(reached.status)
    usage = _for_text(under_way, read)
    return Settlement(CallOutcome.OK, usage, reached.status, sha256, read.id, disputed=read.usage is None)


def for_stream(under_way: UnderWay, reader: StreamReader, sha256: str) -> Settlement:
    """Owed for a stream that came to its end. Raises AnswerUnreadableError if it cannot be counted."""
    target = under_way.call.target
    if reader.usage is not None:
        return Settlement(CallOutcome.OK, target.bounds.reported(reader.usage), 200, sha256, reader.id)
    usage = target.bounds.unreported(target.written(reader.output_tokens()))
    return Settlement(CallOutcome.OK, usage, 200, sha256, reader.id, disputed=True)


def for_broken_stream(
    under_way: UnderWay, reader: StreamReader, error: BaseException, sha256: str, now_ns: int
) -> Settlement:
    """Owed when the provider broke off, or our caller hung up, by cancelling or by closing."""
    if not isinstance(error, (asyncio.CancelledError, GeneratorExit)):
        return under_way.unknown(200, sha256)
    if reader.usage is not None:
        usage = under_way.call.target.bounds.reported(reader.usage)
        return Settlement(CallOutcome.ABORTED, usage, 200, sha256)
    try:
        counted_tokens = under_way.call.target.written(reader.output_tokens())
    except AnswerUnreadableError:
        return under_way.unknown(200, sha256)
    ended = under_way.aborted(counted_tokens, now_ns, 200, sha256)
    if reader.reported_input is None:
        return ended
    started = under_way.call.target.bounds.started(reader.reported_input, ended.usage.output_tokens)
    return ended if started.usd_micros <= ended.usage.usd_micros else replace(ended, usage=started)


def _for_text(under_way: UnderWay, read: WholeAnswer) -> Usage:
    target = under_way.call.target
    if read.usage is not None:
        return target.bounds.reported(read.usage)
    return target.bounds.unreported(target.written(target.counter.texts(read.texts)))
