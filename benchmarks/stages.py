"""`macroslow` with a stopwatch on each stage of a chat request: stages.py REPORT COMMAND…

A stage's figure is the CPU time of its own thread, less that of the stages within it; what a
coroutine waits does not count. Counting begins at SIGUSR1, so a warm-up can come before; at the end
the seconds of every stage are in REPORT. The stopwatch itself costs: compare with a run without it.
"""

import functools
import inspect
import json
import signal
import sys
import threading
import time
import types
from collections import defaultdict
from collections.abc import Callable, Coroutine, Generator
from pathlib import Path
from typing import Any, Final

from macroslow.adapters.model_api import ModelAPI
from macroslow.adapters.sqlite import _group, _ledger, _log, _stage, _writing
from macroslow.cli import main
from macroslow.inference.chat import ChatCompletions
from macroslow.inference.request import ParsedRequest
from macroslow.outbound.connection import Connection as UpstreamConnection
from macroslow.services.calls import owed, quote_call, settle_call
from macroslow.services.calls.admission import Admission
from macroslow.services.calls.call_model import CallModel
from macroslow.services.calls.paid_call import UnderWay
from macroslow.services.calls.reach_provider import ReachProvider
from macroslow.services.identity.authenticate import Authenticate
from macroslow.web.admission import CredentialLimits
from macroslow.web.bodies import Body
from macroslow.web.connection import Connection
from macroslow.web.exchange import Exchange
from macroslow.web.gate import Gate
from macroslow.web.metrics import Metrics

STAGES: Final = (
    (Connection, "data_received", "transport in: parse, start a task"),
    (Exchange, "receive", "transport in: the body"),
    (Exchange, "send", "transport out"),
    (Gate, "_http", "gate: framing, route, headers of the answer"),
    (Authenticate, "__call__", "authenticate"),
    (CredentialLimits, "admit", "key's limits"),
    (Body, "read", "body"),
    (Metrics, "request", "metrics"),
    (CallModel, "__call__", "use case: the rest"),
    (quote_call.QuoteCall, "read", "quote: route, bounds"),
    (quote_call.QuoteCall, "target", "quote: route, bounds"),
    (ChatCompletions, "parse", "parse"),
    (quote_call, "count_prompt", "count tokens"),
    (ParsedRequest, "forwarded", "re-serialise"),
    (Admission, "enter", "admission"),
    (Admission, "leave", "admission"),
    (Admission, "heard", "admission"),
    (ReachProvider, "reserve", "reserve: task and hand-over"),
    (ReachProvider, "send", "attempts"),
    (_group.GroupCommit, "commit", "books: to the writer and back"),
    (_group, "_tell", "books: to the writer and back"),
    (ModelAPI, "complete", "upstream client: send, read"),
    (UpstreamConnection, "buffer_updated", "upstream client: bytes in"),
    (owed, "for_answer", "read the answer, hash it"),
    (settle_call.SettleCall, "settle", "settle: the rest"),
    (UnderWay, "book", "settle: make the changes"),
    (_group.GroupCommit, "_commit", "writer: batch"),
    (_writing.Writing, "apply", "writer: decide"),
    (_ledger.Ledger, "reserve", "writer: reserve"),
    (_ledger.Ledger, "settle", "writer: settle"),
    (_log.Log, "append", "writer: seal the entry"),
    (_log.Log, "flush", "writer: grow the tree"),
    (_ledger.Ledger, "flush", "writer: accounts and totals"),
    (_stage.Stage, "flush", "writer: SQLite statements"),
    (_writing.Writing, "commit", "writer: SQLite commit"),
)


class Stopwatch(threading.local):
    """The stages that one thread is in, innermost last."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.since_ns = 0

    def enter(self, name: str) -> None:
        now_ns = time.thread_time_ns()
        if self.names:
            spent_ns[self.names[-1]] += now_ns - self.since_ns
        self.names.append(name)
        self.since_ns = now_ns

    def leave(self) -> None:
        now_ns = time.thread_time_ns()
        spent_ns[self.names.pop()] += now_ns - self.since_ns
        self.since_ns = now_ns


spent_ns: defaultdict[str, int] = defaultdict(int)
stopwatch = Stopwatch()


def timed(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    """`function`, on the stopwatch under `name` while it runs."""
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def steps(*given: Any, **named: Any) -> Any:
            return await _stepwise(function(*given, **named), name)

        return steps

    @functools.wraps(function)
    def call(*given: Any, **named: Any) -> Any:
        stopwatch.enter(name)
        try:
            return function(*given, **named)
        finally:
            stopwatch.leave()

    return call


@types.coroutine
def _stepwise(work: Coroutine[Any, Any, Any], name: str) -> Generator[Any, Any, Any]:
    """Drive a coroutine as `await` does, timing the steps between its waits."""
    step: Callable[[], Any] = functools.partial(work.send, None)
    while True:
        stopwatch.enter(name)
        try:
            waited_for = step()
        except StopIteration as end:
            return end.value
        finally:
            stopwatch.leave()
        try:
            step = functools.partial(work.send, (yield waited_for))
        except BaseException as error:  # noqa: BLE001 - the coroutine's business
            step = functools.partial(work.throw, error)


def begin(*_: object) -> None:
    """Forget what was counted so far."""
    spent_ns.clear()


if __name__ == "__main__":
    report = Path(sys.argv.pop(1))
    for owner, attribute, stage in STAGES:
        setattr(owner, attribute, timed(getattr(owner, attribute), stage))
    signal.signal(signal.SIGUSR1, begin)
    try:
        main()
    finally:
        report.write_text(json.dumps({name: ns / 1e9 for name, ns in spent_ns.items()}))
