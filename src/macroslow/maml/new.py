"""A first document: valid as it is, and asking for nothing but to run here."""

from typing import Final

from macroslow.maml.document import VERSIONS

_TEMPLATE: Final = """\
---
maml_version: "{version}"
id: "{id}"
type: {type}
origin: "{origin}"
created_at: "{created_at}"
permissions:
  read: []
  write: []
  execute: ["gateway://local"]
verification:
  method: schema
  level: strict
---

## Intent

Say in a sentence what this document is for.

## Context

Say what a reader must know: where inputs come from, what the result is used for.

## Input_Schema

```json
{{
  "type": "object",
  "properties": {{
    "name": {{"type": "string", "minLength": 1, "maxLength": 80, "default": "world"}}
  }},
  "additionalProperties": false
}}
```

## Code_Blocks

```python name=greet timeout=10
result = {{"greeting": f"Hello, {{name}}!"}}
```

## Output_Schema

```json
{{
  "type": "object",
  "properties": {{"greeting": {{"type": "string"}}}},
  "required": ["greeting"]
}}
```
"""


def new_document(
    *, document_id: str, created_at: str, origin: str, kind: str = "workflow", version: str = VERSIONS[-1]
) -> bytes:
    """A template with these values in its front matter; `created_at` is RFC 3339 with zone."""
    text = _TEMPLATE.format(version=version, id=document_id, type=kind, origin=origin, created_at=created_at)
    return text.encode()
