"""OpenTelemetry's words for one call of a model, the same in metrics and in traces.

Values that have no word there are ours: a provider that is none of the known vendors goes by the name
that the operator gave it, and of errors `error_type` says which words there are.

Source: OpenTelemetry semantic conventions 1.41, "Generative AI" (attributes gen_ai.operation.name,
gen_ai.provider.name, error.type, server.address and server.port).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from macroslow.metering.ledger import CallOutcome
from macroslow.services.calls.paid_call import Settlement

CHAT: Final = "chat"
EMBEDDINGS: Final = "embeddings"

CANCELLED: Final = "cancelled"
UNREACHABLE: Final = "unreachable"
BROKEN_OFF: Final = "broken_off"
OTHER: Final = "_OTHER"

VENDORS: Final[Mapping[str, str]] = {
    "api.openai.com": "openai",
    "api.anthropic.com": "anthropic",
    "openai.azure.com": "azure.ai.openai",
    "services.ai.azure.com": "azure.ai.inference",
    "models.ai.azure.com": "azure.ai.inference",
    "generativelanguage.googleapis.com": "gcp.gemini",
    "api.cohere.com": "cohere",
    "api.deepseek.com": "deepseek",
    "api.groq.com": "groq",
    "ml.cloud.ibm.com": "ibm.watsonx.ai",
    "api.mistral.ai": "mistral_ai",
    "api.moonshot.ai": "moonshot_ai",
    "api.perplexity.ai": "perplexity",
    "api.x.ai": "x_ai",
}
"""Hosts, or the ends of hosts, whose vendor has a word of its own."""

_REGIONAL: Final[Mapping[str, str]] = {
    r"([a-z0-9-]+-)?aiplatform\.googleapis\.com": "gcp.vertex_ai",
    r"bedrock-runtime(-fips)?\.[a-z0-9-]+\.amazonaws\.com": "aws.bedrock",
}
"""Hosts with a region in their name, as regular expressions."""

_PORTS: Final = {"https": 443, "http": 80}


@dataclass(frozen=True, slots=True)
class Peer:
    """A provider as telemetry names it: the vendor's word, and where it listens."""

    name: str
    address: str
    port: int


def peer_of(provider: str, base_url: str) -> Peer:
    """The peer behind a provider of the configuration."""
    parts = urlsplit(base_url)
    host = (parts.hostname or "").lower()
    port = parts.port or _PORTS.get(parts.scheme, 0)
    return Peer(_vendor(host) or provider, host, port)


def _vendor(host: str) -> str:
    """The word for whom the host belongs to; empty if there is none."""
    labels = host.split(".")
    ends = (".".join(labels[at:]) for at in range(len(labels)))
    regional = (word for pattern, word in _REGIONAL.items() if re.fullmatch(pattern, host))
    return next((VENDORS[end] for end in ends if end in VENDORS), next(regional, ""))


def operation_name(operation: str) -> str:
    """gen_ai.operation.name: chat completions, responses and messages are all "chat"."""
    return EMBEDDINGS if operation == EMBEDDINGS else CHAT


def error_type(ended: Settlement) -> str:
    """What kind of error ended a call; empty for a good end.

    The provider's status from 400 on, as "429"; "cancelled": the client hung up; "unreachable": nothing
    could be sent; "broken_off": the answer did not come to its end, or is none; "_OTHER": a status that
    is no error's, of an answer that is one.
    """
    match ended.outcome:
        case CallOutcome.OK:
            return ""
        case CallOutcome.ABORTED:
            return CANCELLED
    if 400 <= ended.status <= 599:
        return str(ended.status)
    if ended.outcome is CallOutcome.UNKNOWN:
        return BROKEN_OFF
    return OTHER if ended.status else UNREACHABLE
