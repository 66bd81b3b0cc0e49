"""A time-stamping authority over HTTP: what verifies is taken, and nothing else, whoever answers."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
from tests.tsa import Authority, Served, needs_openssl, serving

from macroslow.adapters.system import SystemClock
from macroslow.adapters.timestamps import TimestampAuthority
from macroslow.crypto.timestamps import MAX_RESPONSE_BYTES, Authorities, query
from macroslow.errors import BadRequestError, UpstreamUnavailableError, VerificationError
from macroslow.ports import NS_PER_S

pytestmark = needs_openssl
NOTE = b"gateway.example/log\n3\nhash\n"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tsa") / "ours")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tsa") / "strange")


@pytest.fixture
async def served(authority: Authority) -> AsyncIterator[Served]:
    async with serving(authority) as served:
        yield served


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@dataclass
class Shifted:
    """The machine's clock, or one that is behind it."""

    behind_s: int = 0

    def now_ns(self) -> int:
        return SystemClock().now_ns() - self.behind_s * NS_PER_S

    def monotonic_ns(self) -> int:
        raise NotImplementedError


def client(
    served: Served, session: aiohttp.ClientSession, timeout_s: float = 20, behind_s: int = 0
) -> TimestampAuthority:
    roots = Authorities.from_pem(served.authority.root_file.read_bytes())
    timeout = aiohttp.ClientTimeout(total=timeout_s)
    return TimestampAuthority(served.url, roots, session, Shifted(behind_s), timeout)


async def test_a_stamp_comes_verified_and_can_be_dated_later(
    served: Served, session: aiohttp.ClientSession
) -> None:
    ours = client(served, session)
    token = await ours.stamp(NOTE)
    assert ours.dated(token, NOTE) > 1_700_000_000
    assert len(served.asked) == 1
    assert ours.name == "127.0.0.1"


@pytest.mark.parametrize("days", [29, 20 * 365])
async def test_a_stamp_from_the_future_is_neither_taken_nor_dated(
    days: int, served: Served, session: aiohttp.ClientSession
) -> None:
    token = await client(served, session).stamp(NOTE)
    behind = client(served, session, behind_s=days * 86400)
    with pytest.raises(UpstreamUnavailableError, match="lies in the future"):
        await behind.stamp(NOTE)
    with pytest.raises(VerificationError, match="lies in the future"):
        behind.dated(token, NOTE)


async def test_its_address_is_not_shown(served: Served, session: aiohttp.ClientSession) -> None:
    assert "/tsr" not in repr(client(served, session))


HOSTILE: dict[str, Callable[[Authority, Authority, bytes], bytes]] = {
    "nothing": lambda ours, other, asked: b"",
    "garbage": lambda ours, other, asked: b"<html>" * 100,
    "without end": lambda ours, other, asked: b"\x30" * (4 * MAX_RESPONSE_BYTES),
    "of another authority": lambda ours, other, asked: other.reply(asked),
    "for another use": lambda ours, other, asked: ours.misused(asked),
    "an older one": lambda ours, other, asked: ours.reply(query(NOTE).der),
    "over something else": lambda ours, other, asked: ours.reply(query(b"something else").der),
    "refused": lambda ours, other, asked: ours.reply(b"\x30\x03\x02\x01\x01"),
}


@pytest.mark.parametrize("kind", HOSTILE)
async def test_what_does_not_verify_is_never_kept(
    kind: str, served: Served, stranger: Authority, session: aiohttp.ClientSession
) -> None:
    served.answers = lambda asked: HOSTILE[kind](served.authority, stranger, asked)
    with pytest.raises(UpstreamUnavailableError, match="gave no time stamp"):
        await client(served, session).stamp(NOTE)


async def test_a_stamp_of_today_with_another_nonce_is_of_another_request(
    served: Served, session: aiohttp.ClientSession
) -> None:
    served.answers = lambda asked: served.authority.reply(query(NOTE).der)
    with pytest.raises(UpstreamUnavailableError, match="Nonce"):
        await client(served, session).stamp(NOTE)


@pytest.mark.parametrize("status", [204, 302, 404, 500])
async def test_another_status_is_told(status: int, served: Served, session: aiohttp.ClientSession) -> None:
    served.status = status
    with pytest.raises(UpstreamUnavailableError, match=f"status {status}"):
        await client(served, session).stamp(NOTE)


async def test_one_that_does_not_answer_is_waited_for_only_so_long(
    served: Served, session: aiohttp.ClientSession
) -> None:
    served.hold = asyncio.Event()
    with pytest.raises(UpstreamUnavailableError, match=r"no whole answer in 0\.2 s"):
        await client(served, session, timeout_s=0.2).stamp(NOTE)
    served.hold.set()


async def test_one_that_is_not_there_is_told_without_its_address(
    authority: Authority, session: aiohttp.ClientSession
) -> None:
    async with serving(authority) as gone:
        ours = client(gone, session)
    with pytest.raises(UpstreamUnavailableError) as raised:
        await ours.stamp(NOTE)
    assert "/tsr" not in raised.value.detail


def test_a_root_file_that_is_none_is_refused(tmp_path: Path) -> None:
    for pem in (
        b"",
        b"\xff",
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        b"x" * 2**21,
    ):
        with pytest.raises(BadRequestError, match="root certificates"):
            Authorities.from_pem(pem)
