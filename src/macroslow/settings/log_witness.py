"""[log.witnesses.NAME]: third parties that cosign the log's checkpoints."""

from typing import Annotated, Self

from pydantic import AfterValidator, model_validator

from macroslow.crypto.note_keys import NotePublicKey
from macroslow.settings.fields import BaseURL, check_plain_http, refuse
from macroslow.settings.section import Section
from macroslow.tlog.policy import WITNESS_TYPES, KnownWitness


def _witness_key(value: str) -> str:
    try:
        key = NotePublicKey.from_vkey(value)
    except ValueError:
        raise refuse(
            "not a verifier key of a witness", "write the line that its operator gives out"
        ) from None
    if key.type not in WITNESS_TYPES:
        raise refuse(
            "a log's key, not a witness's", "write the witness's key for cosignatures (0x04 or 0x06)"
        )
    return value


class LogWitness(Section):
    """One witness: its submission prefix (C2SP tlog-witness), and the key that its cosignatures must have."""

    url: BaseURL
    key: Annotated[str, AfterValidator(_witness_key)]
    plain_http: bool = False

    @model_validator(mode="after")
    def _not_overheard(self) -> Self:
        # Nothing in it is secret, but who can answer in a witness's place can stop the gateway.
        check_plain_http(self.url, allowed=self.plain_http, member="url")
        return self

    def witness(self, name: str) -> KnownWitness:
        """The witness as a policy has it."""
        return KnownWitness(name, NotePublicKey.from_vkey(self.key), self.url)
