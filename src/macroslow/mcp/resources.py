"""The gateway's own resources, as data: their URIs and the scope that each needs.

A URI is compared whole: nothing is decoded, joined or normalised, so that no other spelling of a path leads
anywhere. Ids are of the one form that the gateway makes them in.
"""

import re
from collections.abc import Awaitable, Callable
from typing import Final

from macroslow.authn.principal import Principal
from macroslow.authz import scopes
from macroslow.values import value

MARKDOWN: Final = "text/markdown"
JSON: Final = "application/json"
PLAIN: Final = "text/plain"
MAX_URI_CHARACTERS: Final = 200
_ID: Final = "([0-9a-f]{32})"

Reader = Callable[[Principal, str], Awaitable[str]]
"""Reads a resource, of an id where its URI has one; NotFoundError for another principal's."""


@value
class Resource:
    """One resource, or with `{id}` in its URI all of one form. A principal without `scope` knows none."""

    uri: str
    name: str
    title: str
    description: str
    mime_type: str
    scope: str

    @property
    def is_template(self) -> bool:
        return "{id}" in self.uri

    def id_in(self, uri: str) -> str | None:
        """The id in `uri`, "" where there is none in it; None if it is none of these."""
        form = re.escape(self.uri).replace(re.escape("{id}"), _ID)
        found = re.fullmatch(form, uri[: MAX_URI_CHARACTERS + 1], re.ASCII)
        return None if found is None else "".join(found.groups())


RUNS: Final = Resource(
    "macroslow://runs",
    "runs",
    "Your runs",
    "The documents that you ran, the newest first, with their states.",
    JSON,
    scopes.RUNS_READ,
)
RUN: Final = Resource(
    "macroslow://runs/{id}",
    "run",
    "One run",
    "A run of yours: its state, and its answer once there is one.",
    JSON,
    scopes.RUNS_READ,
)
RUN_DOCUMENT: Final = Resource(
    "macroslow://runs/{id}/document",
    "run-document",
    "The document of a run",
    "The document that you ran, as you sent it, signature and all.",
    MARKDOWN,
    scopes.RUNS_READ,
)
MODELS: Final = Resource(
    "macroslow://models",
    "models",
    "Models",
    "The models that this gateway offers, with their prices and sizes.",
    JSON,
    scopes.INFERENCE_CHAT,
)
CHECKPOINT: Final = Resource(
    "macroslow://log/checkpoint",
    "log-checkpoint",
    "The log's checkpoint",
    "The newest signed tree head of the gateway's log (C2SP tlog-checkpoint).",
    PLAIN,
    scopes.AUDIT_READ,
)
REFERENCE: Final = Resource(
    "macroslow://reference/maml",
    "maml-reference",
    "The MAML format",
    "How to write a workflow document: front matter, permissions, code blocks, schemas.",
    MARKDOWN,
    scopes.MCP_CONNECT,
)

RESOURCES: Final = (RUNS, RUN, RUN_DOCUMENT, MODELS, CHECKPOINT, REFERENCE)
