"""Front matter: from a YAML mapping to typed fields, with a repair for everything that does not fit.

The table of keys is the one of the format's "Front matter" section. Unknown keys are kept in `extra`
and reported as warnings. Nothing here sets a runtime option: numbers only lower limits, names only
choose among what an operator built (the class of CVE-2026-55887, where metadata decided mounts and users).
"""

import re
from datetime import datetime
from typing import Final

from macroslow.authz.uri import URI, Pattern
from macroslow.errors import BadRequestError
from macroslow.maml.complaints import Complaints, did_you_mean, quoted
from macroslow.maml.document import (
    TYPES,
    VERSIONS,
    FrontMatter,
    Permissions,
    Requires,
    Verification,
    VerificationLevel,
    VerificationMethod,
)
from macroslow.maml.fields import Fields
from macroslow.maml.yaml_tree import Mapping, Scalar, Sequence, plain

KEYS: Final = (
    "maml_version",
    "id",
    "type",
    "origin",
    "title",
    "description",
    "created_at",
    "tags",
    "model",
    "requires",
    "permissions",
    "verification",
    "quantum_security_flag",
    "quantum_context_layer",
    "encryption",
    "timeout_s",
)
"""Every known key, in canonical order."""

_URN_UUID: Final = re.compile(r"urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.I)
_URI_SHAPE: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[!-~]+")
_RFC3339: Final = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:[Zz]|[+-]\d{2}:\d{2})", re.ASCII
)
_VERSION: Final = re.compile(r"\d{1,4}(?:\.\d{1,4}){0,2}", re.ASCII)
_TYPE: Final = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_ID_EXAMPLE: Final = "id: urn:uuid:123e4567-e89b-12d3-a456-426614174000"


def read_front_matter(mapping: Mapping, complaints: Complaints) -> FrontMatter:
    """Read every key. What does not fit is complained of and stands as empty, so check `complaints` after."""
    fields = Fields(mapping, complaints)
    version = _version(fields)
    return FrontMatter(
        maml_version=version,
        id=_id(fields),
        type=_type(fields),
        origin=_origin(fields),
        permissions=_permissions(fields),
        requires=_requires(fields),
        verification=_verification(fields),
        quantum_security_flag=fields.flag("quantum_security_flag"),
        quantum_context_layer=fields.text("quantum_context_layer", "name a noise model"),
        created_at=_created_at(fields, version),
        timeout_s=fields.seconds("timeout_s"),
        model=fields.text("model", "model: gpt-4o"),
        title=fields.text("title", "title: a few words"),
        description=fields.text("description", "description: one sentence"),
        encryption=plain(node) if (node := fields.node("encryption")) else None,
        tags=tuple(tag for tag, _ in fields.texts("tags")),
        extra=_extra(fields),
        lines=dict(mapping.key_lines),
    )


def _needed(fields: Fields, key: str, example: str) -> str:
    """A required string; empty, and complained of, if it is missing."""
    if fields.node(key) is None:
        fields.missing(key, example, KEYS)
        return ""
    return fields.text(key, example) or ""


def _version(fields: Fields) -> str:
    """The version; another minor one of a known major is read as the known one, with a warning."""
    example = f'maml_version: "{VERSIONS[-1]}"'
    node = fields.node("maml_version")
    if isinstance(node, Scalar) and isinstance(node.value, int | float) and not isinstance(node.value, bool):
        fields.refuse("maml_version", "maml_version must be text, not a number", example)
        return ""
    value = _needed(fields, "maml_version", example)
    if not value or value in VERSIONS:
        return value
    majors = {known.partition(".")[0]: known for known in VERSIONS}
    known = majors.get(value.partition(".")[0]) if _VERSION.fullmatch(value) else None
    if known is None:
        fields.refuse("maml_version", f"maml_version {quoted(value)} is not read here", example)
        return ""
    message = f"maml_version {quoted(value)} is read as {known}"
    fields.complaints.warn(message, f'maml_version: "{known}"', fields.line("maml_version"), "maml_version")
    return value


def _id(fields: Fields) -> str:
    value = _needed(fields, "id", _ID_EXAMPLE)
    if value and value.lower().startswith("urn:uuid:") and not _URN_UUID.fullmatch(value):
        fields.refuse("id", "id is not urn:uuid: and 8-4-4-4-12 hexadecimal digits", _ID_EXAMPLE)
    elif value and not _URI_SHAPE.fullmatch(value):
        fields.refuse("id", "id must be a URI", _ID_EXAMPLE)
    return value


def _type(fields: Fields) -> str:
    value = _needed(fields, "type", "type: workflow")
    if not value or value in TYPES:
        return value
    hint = did_you_mean(value, TYPES, f"to run it, write one of: {', '.join(TYPES)}")
    if _TYPE.fullmatch(value):
        message = f"type {quoted(value)} is not known: the document is carried, not run"
        fields.complaints.warn(message, hint, fields.line("type"), "type")
    else:
        fields.refuse("type", "type must be a lower-case word", hint)
    return value


def _origin(fields: Fields) -> str:
    example = "origin: agent://my-agent"
    value = _needed(fields, "origin", example)
    if not value:
        return value
    try:
        origin = URI.parse(value)
    except BadRequestError as error:
        fields.refuse("origin", f"origin {error.detail}", error.fix or example)
        return value
    if origin.scheme != "agent" or len(origin.segments) != 1:
        fields.refuse("origin", "origin must be agent://NAME", example)
    return value


def _permissions(fields: Fields) -> Permissions:
    example = 'permissions: {execute: ["gateway://local"]}'
    if fields.node("permissions") is None:
        fields.missing("permissions", example, KEYS)
        return Permissions()
    inner = fields.inner("permissions", ("read", "write", "execute"), example)
    if inner is None:
        return Permissions()
    return Permissions(_patterns(inner, "read"), _patterns(inner, "write"), _patterns(inner, "execute"))


def _patterns(fields: Fields, key: str) -> tuple[Pattern, ...]:
    patterns = []
    for text, line in fields.texts(key):
        try:
            patterns.append(Pattern.parse(text))
        except BadRequestError as error:
            shown = error.detail if len(error.detail) <= 200 else error.detail[:200] + "…"
            fields.refuse(key, shown, error.fix, line)
    return tuple(patterns)


def _requires(fields: Fields) -> Requires:
    """A map of three lists, or a bare list: there, what has a slash is an API and the rest are libraries."""
    if isinstance(fields.node("requires"), Sequence):
        items = [text for text, _ in fields.texts("requires")]
        apis = tuple(text for text in items if "/" in text)
        return Requires(libs=tuple(text for text in items if "/" not in text), apis=apis)
    inner = fields.inner("requires", ("libs", "apis", "resources"), 'requires:\n  libs: ["numpy>=2"]')
    if inner is None:
        return Requires()
    return Requires(*(tuple(text for text, _ in inner.texts(key)) for key in ("libs", "apis", "resources")))


def _verification(fields: Fields) -> Verification:
    inner = fields.inner("verification", ("method", "spec_files", "level"), "verification:\n  method: schema")
    if inner is None:
        return Verification()
    return Verification(
        method=inner.word("method", VerificationMethod, VerificationMethod.SCHEMA),
        spec_files=tuple(text for text, _ in inner.texts("spec_files")),
        level=inner.word("level", VerificationLevel, VerificationLevel.STRICT),
    )


def _created_at(fields: Fields, version: str) -> str | None:
    example = "created_at: 2025-10-17T14:30:00Z"
    if fields.node("created_at") is None:
        if version.startswith("1."):
            fields.missing("created_at", example, KEYS)
        return None
    value = fields.text("created_at", example)
    if value is not None and not _is_rfc3339(value):
        fields.refuse("created_at", "created_at is not a date and time with zone (RFC 3339)", example)
    return value


def _is_rfc3339(text: str) -> bool:
    if not _RFC3339.fullmatch(text):
        return False
    try:
        # A leap second is a valid second 60, which `datetime` does not know.
        datetime.fromisoformat(re.sub(r"(:\d{2}):60", r"\1:59", text.upper()))
    except ValueError:
        return False
    return True


def _extra(fields: Fields) -> dict[str, object]:
    extra = {}
    for key in fields.unknown(KEYS):
        extra[key] = plain(fields.mapping.entries[key])
        hint = did_you_mean(key, KEYS, "remove it, or leave it: it is kept and nothing reads it")
        fields.complaints.warn(f"unknown key {quoted(key)}", hint, fields.line(key), key[:64])
    return extra
