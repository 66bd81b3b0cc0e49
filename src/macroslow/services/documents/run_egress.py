"""What a run may reach through its one way out. The edge that serves it is wired in bootstrap."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from macroslow.inference.operation import Operation
from macroslow.services.calls.settle_call import ModelAnswer, ModelStream
from macroslow.workflow.outside import OutsideAnswer
from macroslow.workflow.sandbox import EgressServer


@dataclass(frozen=True, slots=True)
class RunEgress:
    """Bound to one run: the capability's SHA-256, its model calls and its granted APIs (path, query).

    `api_prefix` stands before an API's name in the path. It ends with a slash and cannot be guessed:
    without a network namespace others on the machine reach the run's way out too.
    """

    capability_sha256: bytes
    api_prefix: bytes
    ask: Callable[[Operation, bytes, Mapping[str, str]], Awaitable[ModelAnswer | ModelStream]]
    apis: Mapping[str, Callable[[str, str], Awaitable[OutsideAnswer]]]


OpenEgress = Callable[[RunEgress], EgressServer]
