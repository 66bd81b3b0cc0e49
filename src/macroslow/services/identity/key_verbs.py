"""The operator's verbs about client keys."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Final, Unpack, cast

from pydantic import Field, ValidationError

from macroslow.authn.api_keys import LegacyKey
from macroslow.authn.ports import KeyRecord
from macroslow.authn.principal import THE_OPERATOR, Principal
from macroslow.authn.terms import told
from macroslow.authz.scopes import is_client
from macroslow.errors import BadRequestError, ConflictError, NotFoundError, Problem
from macroslow.ports import NS_PER_S
from macroslow.services.identity.manage_keys import ManageKeys
from macroslow.services.identity.unknown_key import unknown_key
from macroslow.services.identity.wished_keys import KeyTerms, NewKey, new_key
from macroslow.services.verbs import GivenReason, Reason, Whole, argument_problems, strictly, utc

SHOWN_KEYS: Final = 8  # of a principal whose name stood where a key was meant
MAX_ADOPTED: Final = 1000  # keys that one `keys.adopt` takes over
GRANTS: Final = ("gateway://*", "api://*")
"""What a key may use unless told otherwise: all that this gateway has."""


@dataclass(frozen=True, slots=True)
class KeyVerbs:
    """Every verb takes JSON and returns JSON.

    `maker` is who asks where it is not the operator: it makes keys that may do no more than itself, and sees
    and changes those that it made; any other is as unknown as one that does not exist.
    """

    keys: ManageKeys
    maker: Principal | None = None

    def __post_init__(self) -> None:
        # Keys of the operator's have the maker "": who has no key would be taken for the operator.
        if self.maker is not None and not self.maker.key_id:
            raise ValueError("who asks is neither the operator nor a key")

    async def create(self, principal: str, **wish: Unpack[KeyTerms]) -> object:
        wished = _wished(principal, {**self._own_rights(), **wish})
        created = await self.keys.create(wished, "" if self.maker is None else self.maker.key_id)
        told_key = self._told(created.record)
        return {"key": created.text, **told_key, "budget_usd_micros": wished.budget_usd_micros}

    async def list(self) -> object:
        await self.keys.learn_uses()
        shown = [record for record in self.keys.list() if self._may_see(record)]
        return {"keys": [await self._with_account(record) for record in shown]}

    async def show(self, key_id: str) -> object:
        await self.keys.learn_uses()
        return await self._with_account(self._own(key_id))

    async def set(self, key_id: str, **wanted: Unpack[KeyTerms]) -> object:
        return await self._with_account(await self.keys.change(self._own(key_id).id, wanted, self._by))

    async def rotate(self, key_id: str, overlap_s: Whole = 0) -> object:
        rotated = await self.keys.rotate(self._own(key_id).id, overlap_s * NS_PER_S, self._by)
        return {"key": rotated.text, **self._told(rotated.record)}

    async def revoke(self, key_id: str, reason: Reason = "") -> object:
        before = self._own(key_id)
        after = await self.keys.revoke(before.id, reason, self._by)
        return {**self._told(after), "revoked_before": before.revoked_ns is not None}

    async def revoke_all(self, reason: GivenReason) -> object:
        return {"revoked": [record.id for record in await self.keys.revoke_all(reason)]}

    async def adopt(
        self, keys: Annotated[Sequence[Mapping[str, object]], Field(max_length=MAX_ADOPTED)]
    ) -> object:
        """Take over keys of another gateway. One that makes no sense is refused alone, and said so."""
        found: list[dict[str, object]] = []
        for key in keys:
            try:
                legacy, wished, revoked = strictly(_adopted)(**key)
            except ValidationError as error:
                found.append(
                    {"id": None, "outcome": "refused", "problems": _told_of(argument_problems(error))}
                )
                continue
            outcome, problems = await self._adopt_one(legacy, wished, revoked=revoked)
            found.append({"id": legacy.id, "outcome": outcome, "problems": _told_of(problems)})
        return {"keys": found}

    async def _adopt_one(
        self, key: LegacyKey, wished: NewKey, *, revoked: bool
    ) -> tuple[str, Sequence[Problem]]:
        try:
            await self.keys.adopt(key, wished, revoked=revoked)
        except BadRequestError as error:
            return "refused", error.problems
        except ConflictError:
            return "known", ()
        return "adopted", ()

    @property
    def _by(self) -> str:
        """Who asks, as the log names him."""
        return THE_OPERATOR if self.maker is None else self.maker.key_id

    def _own(self, key_id: str) -> KeyRecord:
        with suppress(NotFoundError):
            record = self.keys.known(key_id)
            if self._may_see(record):
                return record
        raise self._unknown(key_id)

    def _unknown(self, key_id: str) -> NotFoundError:
        """Of a principal's name its keys are told: those that the caller may see anyhow."""
        theirs = [one.id for one in self.keys.list() if one.principal == key_id and self._may_see(one)]
        if not theirs:
            return unknown_key(key_id)
        more = f" and {len(theirs) - SHOWN_KEYS} more" if len(theirs) > SHOWN_KEYS else ""
        named = f"{', '.join(theirs[:SHOWN_KEYS])}{more}"
        return NotFoundError(f"{key_id} is a principal and no key", fix=f"its keys: {named}", step="keys")

    def _may_see(self, record: KeyRecord) -> bool:
        return self.maker is None or record.maker == self.maker.key_id

    def _own_rights(self) -> KeyTerms:
        """What a key gets unless told otherwise where its maker is no operator: of it, a client's."""
        if self.maker is None:
            return {}
        own = told(self.maker) | {"scopes": sorted(filter(is_client, self.maker.scopes))}
        return cast("KeyTerms", own)

    async def _with_account(self, record: KeyRecord) -> dict[str, object]:
        account = (await self.keys.show(record.id)).account
        return {
            **self._told(record),
            "budget_usd_micros": account.limit_usd_micros if account else None,
            "spent_usd_micros": account.spent_usd_micros if account else 0,
            "held_usd_micros": account.held_usd_micros if account else 0,
        }

    def _told(self, record: KeyRecord) -> dict[str, object]:
        terms = told(record)
        del terms["expires_ns"]  # told as `expires_at`
        return {
            "id": record.id,
            "principal": record.principal,
            "state": self.keys.state(record),
            "note": record.note,
            **terms,
            "legacy": record.legacy,
            "maker": record.maker,
            "created_at": utc(record.created_ns),
            "generation": record.generation,
            "overlap_until": utc(self.keys.overlap_until_ns(record)),
            "expires_at": utc(record.expires_ns),
            "revoked_at": utc(record.revoked_ns),
            "last_used_at": utc(self.keys.last_used_ns(record)),
        }


def _wished(principal: str, wish: KeyTerms) -> NewKey:
    return new_key(principal, {"grants": GRANTS, **wish})


def _adopted(
    digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")],
    principal: str,
    revoked: bool = False,
    **wish: Unpack[KeyTerms],
) -> tuple[LegacyKey, NewKey, bool]:
    """One key of `keys.adopt`: the SHA-256 of its text, and what it shall be."""
    return LegacyKey(digest), _wished(principal, wish), revoked


def _told_of(problems: Sequence[Problem]) -> list[dict[str, str]]:
    return [{"field": problem.field, "message": problem.message} for problem in problems]
