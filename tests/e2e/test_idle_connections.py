"""Ten thousand connections that say nothing: as many as are allowed are held, the others are told so."""

import asyncio
import resource
import socket

import pytest
from tests.e2e.conftest import Site
from tests.e2e.test_flood import MIB, address, resident_bytes

MANY = 10_000
ADDRESSES = 20
CONNECTIONS = 1000  # as the gateway comes
pytestmark = [pytest.mark.sweep, pytest.mark.timeout(180)]


@pytest.fixture
def many_files():
    """As many descriptors as the system lets this process have."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    if before[1] < MANY + 500:
        pytest.fail(f"this system gives a process {before[1]} descriptors; {MANY + 500} are needed")
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def connect(site: Site, number: int) -> socket.socket:
    return socket.create_connection(address(site), source_address=(f"127.0.1.{number % ADDRESSES + 1}", 0))


async def besieged(site: Site, key: str) -> tuple[int, int]:
    """Hold MANY connections; return how many were refused, and what a held one costs in bytes."""
    before = resident_bytes(site.server.pid)
    begin = b"GET /health/live HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"
    served = connect(site, 0)  # was there before the others, and goes on
    served.sendall(begin)
    assert served.recv(4096).startswith(b"HTTP/1.1 200")
    idle = []
    for number in range(MANY):
        idle.append(connect(site, number))
        if number % 100 == 99:
            await asyncio.sleep(0)
    cost = (resident_bytes(site.server.pid) - before) // CONNECTIONS
    served.sendall(begin)
    assert served.recv(4096).startswith(b"HTTP/1.1 200")
    told = [await asyncio.to_thread(one.recv, 64) for one in idle]
    assert {answer[:12] for answer in told} == {b"HTTP/1.1 503", b"HTTP/1.1 408"}
    refused = sum(answer.startswith(b"HTTP/1.1 503") for answer in told)
    for one in (*idle, served):
        one.close()
    return refused, cost


def test_ten_thousand_idle_connections_are_held_or_refused_and_nobody_else_suffers(
    site: Site, many_files: None
) -> None:
    key = site.client("ada")
    assert site.chat(key).status == 200
    refused, cost_bytes = asyncio.run(besieged(site, key))
    assert refused > MANY / 2, "but those whose time was over left room for others"
    assert cost_bytes < 32 * 1024
    assert site.chat(key).status == 200
    assert resident_bytes(site.server.pid) < 300 * MIB
    assert " ERROR " not in site.said
