"""The providers that a LiteLLM configuration amounts to: destinations, each with its keys and limits."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from macroslow.services.litellm.found import Path
from macroslow.services.litellm.words import Vendor, is_plain_http

_NOT_NAME: Final = re.compile(r"[^a-z0-9_-]+")


@dataclass(slots=True)
class Login:
    """One key of a destination, and what stood beside it as its limits."""

    key: str | None
    line: int
    limits: set[tuple[int | None, int | None]] = field(default_factory=set)


@dataclass(slots=True)
class Deployed:
    """One model of a destination, and the keys that it stood with."""

    line: int
    logins: dict[str | None, Login] = field(default_factory=dict)


@dataclass(slots=True)
class Destination:
    """One base URL with one way to speak to it, and the models that are served there."""

    name: str
    vendor: Vendor
    base_url: str
    line: int
    models: dict[str, Deployed] = field(default_factory=dict)

    @property
    def used_keys(self) -> set[str | None]:
        """Every key that is used here."""
        return {key for deployed in self.models.values() for key in deployed.logins}

    def groups(self) -> list[dict[str, Deployed]]:
        """Its models by the keys that they stood with: a key serves no model that it did not stand with."""
        found: dict[frozenset[str | None], dict[str, Deployed]] = {}
        for upstream, deployed in self.models.items():
            found.setdefault(frozenset(deployed.logins), {})[upstream] = deployed
        return list(found.values())


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
        made = Destination(_unused(taken, vendor.name, f"{vendor.name}-{host}"[:60]), vendor, base_url, line)
        self._destinations[vendor.kind, vendor.auth, base_url] = made
        return made

    def tables(self, lines: dict[Path, int]) -> dict[str, object]:
        """[providers] by name, one for each set of keys of a destination; `lines` gets each value's line."""
        found: dict[str, object] = {}
        taken = {one.name for one in self._destinations.values()}
        for one in self._destinations.values():
            first, *others = one.groups() or [{}]
            found[one.name] = self._provider(one, one.name, first, lines)
            for models in others:
                name = _unused(taken, one.name)
                taken.add(name)
                why = f"stands with other keys than the models of {one.name}: a provider of its own, {name}"
                for upstream, deployed in models.items():
                    self._note(deployed.line, upstream, why)
                found[name] = self._provider(one, name, models, lines)
        return found

    def _provider(
        self, one: Destination, name: str, models: dict[str, Deployed], lines: dict[Path, int]
    ) -> dict[str, object]:
        line = next((deployed.line for deployed in models.values()), one.line)
        table: dict[str, object] = {"kind": one.vendor.kind, "base_url": one.base_url}
        if one.vendor.auth:
            table["auth"] = one.vendor.auth
        if is_plain_http(one.base_url):
            table["plain_http"] = True
            self._note(line, name, "plain http to another machine: prompts and keys go there unencrypted")
        table["models"] = [*models]
        self._keys(name, line, _together(models), table, lines)
        lines |= {("providers", name, member): line for member in table}
        return table

    def _keys(
        self, name: str, line: int, logins: list[Login], table: dict[str, object], lines: dict[Path, int]
    ) -> None:
        accounts = [login for login in logins if login.key is not None]
        several = [{"key": login.key, **self._limits(name, login)} for login in accounts]
        if len(several) > 1:
            table["keys"] = several
            for number, (login, each) in enumerate(zip(accounts, several, strict=True)):
                at = ("providers", name, "keys", f"[{number}]")
                lines |= {(*at, member): login.line for member in each}
                lines |= {(*at, "limits", member): login.line for member in ("rpm", "tpm")}
            return
        for each in several or [self._limits(name, login) for login in logins]:
            table |= each
        lines |= {("providers", name, "limits", member): line for member in ("rpm", "tpm")}

    def _limits(self, name: str, login: Login) -> dict[str, object]:
        """The key's limits, if all its models have the same: they hold for each model here."""
        if len(login.limits) > 1:
            why = "rpm and tpm differ between its models: not carried, they are learned from its answers"
            self._note(login.line, name, why)
            return {}
        (rpm, tpm), *_ = login.limits
        limits = {member: value for member, value in (("rpm", rpm), ("tpm", tpm)) if value is not None}
        return {"limits": limits} if limits else {}


def _together(models: dict[str, Deployed]) -> list[Login]:
    """The keys that all of `models` have, each with the limits of all of them."""
    found: dict[str | None, Login] = {}
    for deployed in models.values():
        for key, login in deployed.logins.items():
            found.setdefault(key, Login(key, login.line)).limits.update(login.limits)
    return list(found.values())


def _unused(taken: set[str], *wished: str) -> str:
    """The first of the wished names that is free, or the first of them with a number."""
    names = (*wished, *(f"{wished[0]}-{number}" for number in range(2, 2000)))
    return next(name for name in names if name not in taken)
