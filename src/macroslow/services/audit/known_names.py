"""Whose name is meant: a pseudonym stands for the name that held entries still bear.

The log knows a name if an entry, or a part of a shared one, is listed under it. Who was erased whole is known
by the pseudonym alone.
"""

import difflib
from collections.abc import Iterable
from typing import Final

from macroslow.authn.principal import PSEUDONYM_PREFIX
from macroslow.errors import BadRequestError
from macroslow.services.erasure.pending_erasures import pending_from
from macroslow.workflow.books import Books, Wanted

NEAR: Final = 3  # names that are suggested


def require_text(option: str, text: str | None) -> None:
    """Return if there is no such text, or it says something; BadRequestError for an empty one."""
    if text is not None and not text.strip():
        raise BadRequestError(f"the {option} is empty", fix="give it as the log's entries have it")


async def held_as(books: Books, name: str) -> str | None:
    """The name that this pseudonym stands for while something of the person's is held; None for any other."""
    if name.startswith(PSEUDONYM_PREFIX):
        async for pending in pending_from(books, 0):
            if pending.pseudonym == name:
                return pending.subject
    return None


async def is_known(books: Books, name: str) -> bool:
    """Whether anything in the whole log is listed under this name."""
    at: int | None = 0
    while at is not None:
        found = await books.find(Wanted(subject=name), at, 1)
        if found.entries:
            return True
        at = found.next
    return False


def near(name: str, names: Iterable[str]) -> list[str]:
    """Those of `names` that may have been meant, the nearest first."""
    folded: dict[str, str] = {each.casefold(): each for each in sorted(names)}
    return [folded[each] for each in difflib.get_close_matches(name.casefold(), folded, n=NEAR)]
