"""Documents that the end-to-end tests send, and an author who signs them."""

import time
from dataclasses import dataclass
from typing import Any

from tests.e2e.conftest import Site

from macroslow.adapters.system import SystemEntropy
from macroslow.crypto import documents
from macroslow.crypto.hybrid import HybridPrivateKey, KeyUse

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


def with_schema(raw: bytes, schema: str, name: str = "Input_Schema") -> bytes:
    """The document with a schema of its inputs or its output."""
    return raw + f"\n## {name}\n\n```json\n{schema}\n```\n".encode()


@dataclass(frozen=True)
class Author:
    """A person with a signing key."""

    key: HybridPrivateKey

    @classmethod
    def new(cls) -> "Author":
        return cls(HybridPrivateKey.generate(KeyUse.DOCUMENT, SystemEntropy()))

    def sign(self, raw: bytes) -> bytes:
        """The document with its signature, as `macroslow maml sign` writes it."""
        return documents.sign(raw, self.key, issued_ns=time.time_ns())

    def trusted_by(self, site: Site, name: str, *origins: str) -> Any:
        """Have the running gateway trust the key for these origins."""
        return site.ask("signers.trust", name=name, public_jwks=self.key.public.to_jwks(), origins=[*origins])
