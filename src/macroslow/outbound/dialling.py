"""Connections to one host and port, over whichever of its addresses answers first.

The next address is tried when one has failed, or not answered for a moment, so that a network
without a working IPv6 (or IPv4) costs a moment and not a time-out. TLS is part of an attempt, with
the system's trust store, the host's name in SNI and checked in the certificate.

Source: RFC 8305 ("Happy Eyeballs"), sections 4 and 5; RFC 9110, section 4.3.4.
"""

import asyncio
import functools
import ipaddress
import itertools
import os
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import Final

from macroslow.outbound.connection import Connection

ATTEMPT_S: Final = 0.25  # RFC 8305, section 5: the recommended delay between two attempts
ADDRESSES_S: Final = 10.0  # for so long a look-up is not repeated


Admits = Callable[[str], bool]
"""Whether an address, as text, may be connected to."""


def anywhere(_: str) -> bool:
    """Whoever named the host may have meant any address."""
    return True


class NotConnectedError(Exception):
    """No connection could be made, so nothing was sent. Its text quotes no secret."""


@functools.cache
def system_trust() -> ssl.SSLContext:
    """Certificates as this system trusts them (or as SSL_CERT_FILE and SSL_CERT_DIR say)."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


class Dialler:
    """Makes connections to one destination. Belongs to the loop on which it is first used."""

    def __init__(self, host: str, port: int, *, tls: bool, admits: Admits = anywhere) -> None:
        """Only addresses that it `admits` are connected to: those that were looked at, and no later ones."""
        self._host = host
        self._port = port
        self._tls = tls
        self._admits = admits
        self._trust: ssl.SSLContext | None = None
        self._lookup: asyncio.Future[Sequence[str]] | None = None
        self._lookup_expires_s = 0.0

    async def connect(self, make: Callable[[], Connection], limit_s: float) -> Connection:
        """A new connection, made by `make`, within `limit_s`. Raises NotConnectedError."""
        try:
            async with asyncio.timeout(limit_s):
                if self._tls and self._trust is None:
                    # In a thread: reading the trust store takes tens of milliseconds, once.
                    self._trust = await asyncio.to_thread(system_trust)
                addresses = [each for each in await self._addresses() if self._admits(each)]
                if not addresses:
                    raise NotConnectedError("its host has no address that may be connected to")
                return await self._first(addresses, make)
        except OSError as error:  # as are those of TLS and of time
            self._lookup = None  # the name may have moved
            raise NotConnectedError(_reason(error)) from None

    async def _first(self, addresses: Sequence[str], make: Callable[[], Connection]) -> Connection:
        """The first attempt that succeeds; the others are given up. Raises OSError."""
        if len(addresses) == 1:
            return await self._attempt(addresses[0], make)
        untried = list(addresses)
        attempts: set[asyncio.Task[Connection]] = set()
        errors: list[BaseException] = []
        try:
            while untried or attempts:
                if untried:
                    attempts.add(asyncio.create_task(self._attempt(untried.pop(0), make)))
                done, attempts = await asyncio.wait(
                    attempts, timeout=ATTEMPT_S if untried else None, return_when=asyncio.FIRST_COMPLETED
                )
                if made := [attempt.result() for attempt in done if attempt.exception() is None]:
                    for late in made[1:]:
                        late.abort()
                    return made[0]
                errors += [error for attempt in done if (error := attempt.exception()) is not None]
            raise errors[0]  # of the address that is preferred, or failed first
        finally:
            for attempt in attempts:
                attempt.cancel()
                attempt.add_done_callback(_give_up)

    async def _attempt(self, address: str, make: Callable[[], Connection]) -> Connection:
        _, connection = await asyncio.get_running_loop().create_connection(
            make,
            address,
            self._port,
            ssl=self._trust,
            server_hostname=self._host if self._tls else None,
        )
        return connection

    async def _addresses(self) -> Sequence[str]:
        """The host's addresses, from one look-up for all who ask at the same time."""
        loop = asyncio.get_running_loop()
        if self._lookup is None or loop.time() >= self._lookup_expires_s:
            self._lookup = loop.create_task(_look_up(self._host, self._port))
            self._lookup.add_done_callback(_retrieve)
            self._lookup_expires_s = loop.time() + ADDRESSES_S
        return await asyncio.shield(self._lookup)


async def _look_up(host: str, port: int) -> Sequence[str]:
    """Addresses in the system's order of preference, families taking turns (RFC 8305, section 4)."""
    try:
        return [str(ipaddress.ip_address(host))]
    except ValueError:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    families: dict[int, dict[str, None]] = {}
    for family, _, _, _, address in found:
        families.setdefault(family, {})[str(address[0])] = None
    turns = itertools.chain.from_iterable(itertools.zip_longest(*families.values()))
    return [address for address in turns if address is not None]


def _give_up(attempt: "asyncio.Task[Connection]") -> None:
    """Close the connection of one that succeeded too late, and look at the error of one that failed."""
    if not attempt.cancelled() and attempt.exception() is None:
        attempt.result().abort()


def _retrieve(lookup: "asyncio.Future[Sequence[str]]") -> None:
    """Look at an error that nobody may have waited for, or asyncio complains of it."""
    if not lookup.cancelled():
        lookup.exception()


def _reason(error: OSError) -> str:
    """What went wrong, in words for the log."""
    match error:
        case TimeoutError():
            return "no connection in time"
        case socket.gaierror():
            again = error.errno == socket.EAI_AGAIN
            return "its host could not be looked up just now" if again else "its host has no address"
        case ssl.SSLCertVerificationError():
            return f"its certificate is not trusted ({error.verify_message})"
        case ssl.SSLError():
            reason: str = getattr(error, "reason", None) or "broken off"  # OpenSSL's word, or Python's own
            return f"no TLS with it ({reason.replace('_', ' ').lower()})"
        case ConnectionRefusedError():
            return "connection refused"
        case ConnectionError():
            return "it closed the connection before it was asked"
        case _:
            return os.strerror(error.errno).lower() if error.errno else f"broke off: {type(error).__name__}"
