"""Tokens that count no more though they have not expired: one by its `jti`, or all issued before an instant.

A token that does not say when it was issued counts as issued before any instant.
"""

from collections.abc import Iterable
from typing import Final

from macroslow.values import value

EVERYBODY: Final = ""


@value
class Revocation:
    """What the operator revoked, of one issuer (by its name in the configuration).

    With `jti`, that one token. Else every token of `subject` (EVERYBODY: of the issuer) that was issued
    before `before_s` (seconds since 1970). `expires_s` is when no such token can be valid any more and
    the entry may be forgotten; None: never.
    """

    issuer: str
    jti: str = ""
    subject: str = EVERYBODY
    before_s: int = 0
    expires_s: int | None = None

    @property
    def id(self) -> str:
        """What a later revocation of the same has too, so that it takes the place of this one."""
        return f"{self.issuer}/jti/{self.jti}" if self.jti else f"{self.issuer}/subject/{self.subject}"


class Revocations:
    """All of them, as authentication asks: three dictionary lookups a token. `version` counts the changes."""

    def __init__(self, revoked: Iterable[Revocation] = ()) -> None:
        self.version = 0
        self.replace_all(revoked)

    def replace_all(self, revoked: Iterable[Revocation]) -> None:
        """Forget all and have these."""
        self._by_id = {each.id: each for each in revoked}
        self.version += 1

    def put(self, revoked: Revocation) -> None:
        """Have one more, or the new state of one."""
        self._by_id[revoked.id] = revoked
        self.version += 1

    def all(self) -> list[Revocation]:
        """All of them, in the order of their ids."""
        return sorted(self._by_id.values(), key=lambda each: each.id)

    def cover(self, issuer: str, jti: str, subject: str, issued_s: int | None) -> bool:
        """Whether a token of this issuer and subject is revoked."""
        if jti and Revocation(issuer, jti=jti).id in self._by_id:
            return True
        held = (self._by_id.get(Revocation(issuer, subject=each).id) for each in (subject, EVERYBODY))
        return any(each is not None and (issued_s is None or issued_s < each.before_s) for each in held)
