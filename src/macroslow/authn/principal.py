"""Who acts: the outcome of authentication, and what everything above keys its state by."""

from dataclasses import dataclass

from macroslow.authn.terms import Terms


@dataclass(frozen=True, slots=True)
class Principal(Terms):
    """One caller, by one credential.

    `name` identifies the caller in the log and is the subject of its personal data; `account`
    is the ledger account that pays. `generation` is which of its key's secrets was shown.
    """

    name: str
    account: str
    key_id: str = ""
    generation: int = 0
