"""Documents that the end-to-end tests send."""

HEADER = """---
maml_version: "2.0.0"
id: urn:uuid:11111111-2222-4333-8444-555555555555
type: workflow
origin: agent://{origin}
permissions:
  read: []
  write: []
  execute: [{execute}]
---

## Intent

A test.

## Context

None.

## Code_Blocks

```{language}
{code}
```
"""


def document(
    code: str, *, origin: str = "tester", execute: str = '"gateway://local"', language: str = "python"
) -> bytes:
    """A document with one block."""
    return HEADER.format(origin=origin, execute=execute, language=language, code=code).encode()
