"""The providers that a LiteLLM configuration amounts to: destinations, each with its keys and limits."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from macroslow.services.litellm_words import Vendor, is_plain_http

Path = tuple[str, ...]

_NOT_NAME: Final = re.compile(r"[^a-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Note:
    """Something that was not carried, or not as it stood: where, what, and why."""

    line: int
    what: str
    why: str


@dataclass(slots=True)
class Login:
    """One destination with one key."""

    key: str | None
    line: int
    limits: set[tuple[int | None, int | None]] = field(default_factory=set)


@dataclass(slots=True)
class Destination:
    """One provider of ours: what is sent where, under which keys."""

    name: str
    vendor: Vendor
    base_url: str
    line: int
    models: dict[str, int] = field(default_factory=dict)
    accounts: dict[str | None, Login] = field(default_factory=dict)


class Providers:
    """Destinations as they are met, and the tables of macroslow.toml that they become."""

    def __init__(self, note: Callable[[int, str, str], None]) -> None:
        self._note = note
        self._destinations: dict[tuple[str, str, str], Destination] = {}

    def owner_of(self, upstream: str) -> Destination | None:
        """Who serves a model already."""
        return next((one for one in self._destinations.values() if upstream in one.models), None)

    def all(self) -> Iterable[Destination]:
        """Every destination so far."""
        return self._destinations.values()

    def destination(self, vendor: Vendor, base_url: str, line: int) -> Destination:
        """The destination with this URL, made if it is new."""
        known = self._destinations.get((vendor.kind, vendor.auth, base_url))
        if known is not None:
            return known
        taken = {one.name for one in self._destinations.values()}
        host = _NOT_NAME.sub("-", (urlsplit(base_url).hostname or "").lower()).strip("-")
        names = [vendor.name, f"{vendor.name}-{host}"[:60], *(f"{vendor.name}-{n}" for n in range(2, 2000))]
        made = Destination(next(name for name in names if name not in taken), vendor, base_url, line)
        self._destinations[vendor.kind, vendor.auth, base_url] = made
        return made

    def tables(self, lines: dict[Path, int]) -> dict[str, object]:
        """[providers] by name; `lines` gets the line behind each value."""
        return {one.name: self._provider(one, lines) for one in self._destinations.values()}

    def _provider(self, one: Destination, lines: dict[Path, int]) -> dict[str, object]:
        table: dict[str, object] = {"kind": one.vendor.kind, "base_url": one.base_url}
        if one.vendor.auth:
            table["auth"] = one.vendor.auth
        if is_plain_http(one.base_url):
            table["plain_http"] = True
            self._note(
                one.line, one.name, "plain http to another machine: prompts and keys go there unencrypted"
            )
        table["models"] = [*one.models]
        self._keys(one, table, lines)
        lines |= {("providers", one.name, member): one.line for member in table}
        return table

    def _keys(self, one: Destination, table: dict[str, object], lines: dict[Path, int]) -> None:
        accounts = [account for account in one.accounts.values() if account.key is not None]
        several = [{"key": account.key, **self._limits(one, account)} for account in accounts]
        if len(several) > 1:
            table["keys"] = several
            for number, (account, each) in enumerate(zip(accounts, several, strict=True)):
                at = ("providers", one.name, "keys", f"[{number}]")
                lines |= {(*at, member): account.line for member in each}
                lines |= {(*at, "limits", member): account.line for member in ("rpm", "tpm")}
            return
        for each in several or [self._limits(one, account) for account in one.accounts.values()]:
            table |= each
        lines |= {("providers", one.name, "limits", member): one.line for member in ("rpm", "tpm")}

    def _limits(self, one: Destination, account: Login) -> dict[str, object]:
        """The account's limits, if all its models have the same: they hold for each model here."""
        if len(account.limits) > 1:
            why = "rpm and tpm differ between its models: not carried, they are learned from its answers"
            self._note(account.line, one.name, why)
            return {}
        (rpm, tpm), *_ = account.limits
        limits = {name: value for name, value in (("rpm", rpm), ("tpm", tpm)) if value is not None}
        return {"limits": limits} if limits else {}
