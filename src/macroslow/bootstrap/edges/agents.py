"""What agents find at /mcp."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from macroslow.bootstrap.gateway import Gateway
from macroslow.bootstrap.machine import clock
from macroslow.mcp.ask import Handler
from macroslow.services.agents.document_tools import DocumentTools
from macroslow.services.agents.image_tools import ImageTools
from macroslow.services.agents.model_tools import ModelTools
from macroslow.services.agents.own_resources import AgentResources
from macroslow.services.agents.proof_tools import ProofTools
from macroslow.services.agents.run_tools import RunTools
from macroslow.services.agents.spending_tools import SpendingTools
from macroslow.services.documents.verify_document import VerifyDocument
from macroslow.services.proofs.kept_receipts import KeptReceipts
from macroslow.services.proofs.prove_own import ProveOwn
from macroslow.services.proofs.read_tiles import ReadTiles
from macroslow.tlog.tiles import CHECKPOINT

if TYPE_CHECKING:
    from macroslow.mcp.source import Source

_TEXTS: Final = files("macroslow.mcp") / "texts"  # the pages of docs/ themselves


def sources(gateway: Gateway) -> "Sequence[Source]":
    """Where tools, resources and prompts come from, in the order in which they are asked."""
    # Here: with these comes the SDK, which takes longer to import than all the rest.
    from macroslow.mcp.own_prompts import OwnPrompts
    from macroslow.mcp.own_resources import OwnResources
    from macroslow.mcp.own_tools import OwnTools
    from macroslow.mcp.prompts import prompts

    resources = _resources(gateway)
    own = (
        OwnTools(handlers(gateway)),
        OwnResources(resources.readers, resources.run_ids),
        OwnPrompts(prompts(_text("maml.md"), _text("problems.md"))),
    )
    if (upstreams := gateway.upstreams) is None:
        return own
    from macroslow.services.upstreams.source import UpstreamSource

    return (*own, UpstreamSource(upstreams.servers, upstreams.call, upstreams.watch.changed.append))


def handlers(gateway: Gateway) -> Mapping[str, Handler]:
    """What does each of our tools; there is none for what is not configured."""
    core, governor = gateway.core, gateway.governor
    proofs = ProofTools(
        KeptReceipts(core.books, core.prove, clock),
        ProveOwn(core.books, core.prove),
        lambda: core.signer.keys,
    )
    tables = [
        DocumentTools(gateway.execute, gateway.validate, VerifyDocument(core.signers, clock)).handlers,
        RunTools(gateway.runs).handlers,
        ModelTools(governor.call_model, governor.count_tokens, governor.list_models).handlers,
        SpendingTools(core.usage).handlers,
        proofs.handlers,
    ]
    if gateway.images is not None:
        tables.append(ImageTools(gateway.images).handlers)
    return merged(tables)


def merged(tables: Iterable[Mapping[str, Handler]]) -> Mapping[str, Handler]:
    """All of them in one. RuntimeError if two have the same name: one of them would never be called."""
    whole: dict[str, Handler] = {}
    for table in tables:
        if doubled := whole.keys() & table.keys():
            raise RuntimeError(f"{', '.join(sorted(doubled))}: has two handlers")
        whole |= table
    return whole


def _resources(gateway: Gateway) -> AgentResources:
    core = gateway.core
    return AgentResources(
        gateway.runs,
        gateway.governor.list_models,
        partial(ReadTiles(core.books, core.checkpoints), CHECKPOINT),
        _text("maml.md"),
        core.settings.log.public,
    )


def _text(name: str) -> str:
    return (_TEXTS / name).read_text("utf-8")
