"""The resources of the fixtures."""

import json
import re
from typing import Final

import mcp_types as types

from macroslow.mcp.conformance.contents import PNG_BASE64

RESOURCES: Final = tuple(
    types.Resource(uri=f"test://{name}", name=name, description=description, mime_type=mime_type)
    for name, description, mime_type in (
        ("static-text", "A static text resource for testing", "text/plain"),
        ("static-binary", "A static binary resource (image) for testing", "image/png"),
        ("watched-resource", "A resource that can be subscribed to for updates", "text/plain"),
    )
)
TEMPLATES: Final = (
    types.ResourceTemplate(
        uri_template="test://template/{id}/data",
        name="template",
        description="A resource template with parameter substitution",
        mime_type="application/json",
    ),
)
_FILLED_IN: Final = re.compile(r"test://template/([^/]+)/data")
_TEXTS: Final = {
    "test://static-text": "This is the content of the static text resource.",
    "test://watched-resource": "Watched resource content",
}


def contents_of(uri: str) -> types.ReadResourceResult | None:
    """What a resource holds; None if it is none of ours."""
    if uri == "test://static-binary":
        blob = types.BlobResourceContents(uri=uri, mime_type="image/png", blob=PNG_BASE64)
        return types.ReadResourceResult(contents=[blob])
    if uri in _TEXTS:
        return _text(uri, "text/plain", _TEXTS[uri])
    if filled := _FILLED_IN.fullmatch(uri):
        found = {"id": filled[1], "templateTest": True, "data": f"Data for ID: {filled[1]}"}
        return _text(uri, "application/json", json.dumps(found))
    return None


def _text(uri: str, mime_type: str, said: str) -> types.ReadResourceResult:
    contents = types.TextResourceContents(uri=uri, mime_type=mime_type, text=said)
    return types.ReadResourceResult(contents=[contents])
