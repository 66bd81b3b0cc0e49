"""Connections: which address, which certificate, and that nothing was sent where none was made."""

import asyncio
import datetime as dt
import errno
import ipaddress
import os
import re
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.outbound.raw import HEAD, OK, Peer, ask, serving
from tests.ports import held_port

from macroslow.outbound import dialling
from macroslow.outbound.client import Client
from macroslow.outbound.dialling import ATTEMPT_S, NotConnectedError, system_trust
from macroslow.outbound.exchange import BrokenOffError, Patience

DAY = dt.timedelta(days=1)


class Authority:
    """A certificate authority of one's own; `trust(...)` is a server's end with a certificate from it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test authority")])
        self.file = folder / "authority.pem"
        certificate = self.certify(self.name, self.key, [], authority=True)
        self.file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def certify(self, subject, key, names, *, authority=False, age_days=1, days=30, signer=None):
        now = dt.datetime.now(dt.UTC)
        signing = signer or self.key
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject if signer else self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - age_days * DAY)
            .not_valid_after(now + (days - age_days) * DAY)
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key()), critical=False
            )
        )
        if authority:
            usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
            builder = builder.add_extension(usage, critical=True)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(signing, hashes.SHA256())

    def trust(self, *names: str, self_signed: bool = False, **ages: int) -> ssl.SSLContext:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "server")])
        signer = key if self_signed else None
        certificate = self.certify(subject, key, [_general(name) for name in names], signer=signer, **ages)
        file = self.folder / "server.pem"
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        file.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Authority]:
    """An authority that this "system" trusts, and no other."""
    made = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(made.file))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "none"))
    system_trust.cache_clear()
    yield made
    system_trust.cache_clear()


@pytest.fixture
def resolved(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Say which addresses every name has."""

    def say(*addresses: str) -> None:
        async def look_up(host: str, port: int) -> list[str]:
            return list(addresses)

        monkeypatch.setattr(dialling, "_look_up", look_up)

    return say


async def always_ok(peer: Peer) -> None:
    while True:
        await peer.request()
        await peer.say(OK)


async def asked(host: str, port: int, *, tls: bool = True) -> tuple[int, bytes]:
    client = Client(host, port, tls=tls, patience=Patience(connect_s=30))
    try:
        return await ask(client)
    finally:
        client.close()
        await asyncio.sleep(0)


# TLS


async def test_a_certificate_from_a_trusted_authority_for_this_name_is_taken(authority):
    async with serving(always_ok, authority.trust("localhost", "127.0.0.1")) as server:
        assert await asked("localhost", server.port) == (200, b"ok")
        assert await asked("127.0.0.1", server.port) == (200, b"ok")


@pytest.mark.parametrize(
    ("names", "more", "reason"),
    [
        (("other.example",), {}, "match"),
        (("127.0.0.1",), {}, "match"),
        (("*.localhost",), {}, "match"),
        (("localhost",), {"age_days": 10, "days": 5}, "expired"),
        (("localhost",), {"age_days": -5, "days": 10}, "not yet valid"),
        (("localhost",), {"self_signed": True}, "self.signed"),
        ((), {}, "match"),
    ],
    ids=["other-name", "address-only", "wildcard", "expired", "too-early", "self-signed", "no-name"],
)
async def test_any_other_certificate_is_refused_before_anything_is_sent(authority, names, more, reason):
    heard: list[bytes] = []

    async def talk(peer: Peer) -> None:
        heard.append(await peer.reader.read(1000))

    async with serving(talk, authority.trust(*names, **more)) as server:
        with pytest.raises(NotConnectedError, match=reason):
            await asked("localhost", server.port)
    assert not any(heard)


async def test_a_certificate_of_an_authority_that_is_not_trusted_is_refused(authority, tmp_path):
    stranger = Authority(tmp_path / "..")
    async with serving(always_ok, stranger.trust("localhost")) as server:
        with pytest.raises(NotConnectedError, match="certificate"):
            await asked("localhost", server.port)


async def test_the_host_is_named_to_the_server(authority):
    named: list[str | None] = []
    trust = authority.trust("localhost")
    trust.sni_callback = lambda _, name, __: named.append(name)
    async with serving(always_ok, trust) as server:
        await asked("localhost", server.port)
    assert named == ["localhost"]


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x15\x03\x03\x00\x02\x02\x28"])
async def test_a_server_that_speaks_no_tls_was_not_reached(authority, said):
    async def talk(peer: Peer) -> None:
        await peer.reader.read(1000)
        await peer.say(said)

    async with serving(talk) as server:
        with pytest.raises(NotConnectedError):
            await asked("localhost", server.port)
        await server.all_gone()


async def test_an_old_version_of_tls_is_refused(authority):
    trust = authority.trust("localhost")
    trust.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        trust.maximum_version = ssl.TLSVersion.TLSv1_1
    async with serving(always_ok, trust) as server:
        with pytest.raises(NotConnectedError):
            await asked("localhost", server.port)


async def test_connections_over_tls_are_kept(authority):
    async with serving(always_ok, authority.trust("localhost")) as server:
        client = Client("localhost", server.port, tls=True, patience=Patience())
        for _ in range(5):
            assert await ask(client) == (200, b"ok")
        assert server.connections == 1
        client.close()
        await server.all_gone()


@pytest.mark.parametrize("cut", [True, False])
async def test_over_tls_a_body_without_a_length_ends_only_where_its_server_says_so(authority, cut):
    """RFC 9112, section 9.8: a connection closed without a closure alert has cut the body off."""
    taken = asyncio.Event()

    async def talk(peer: Peer) -> None:
        await peer.request()
        await peer.say(b"HTTP/1.1 200 OK\r\n\r\nhello")
        await taken.wait()
        if cut:
            peer.writer.transport.abort()

    async with serving(talk, authority.trust("localhost")) as server:
        client = Client("localhost", server.port, tls=True, patience=Patience())
        exchange = await client.send(HEAD % 0, b"", 10)
        assert await exchange.read() == b"hello"
        taken.set()
        if cut:
            with pytest.raises(BrokenOffError):
                await exchange.read()
        else:
            assert await exchange.read() == b""
        exchange.end()
        client.close()


# Addresses


async def test_nobody_there_is_not_reached():
    with held_port() as port:
        for host in ("127.0.0.1", "localhost"):
            with pytest.raises(NotConnectedError, match="connection refused"):
                await asked(host, port, tls=False)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (socket.gaierror(socket.EAI_NONAME, "no"), "its host has no address"),
        (socket.gaierror(socket.EAI_AGAIN, "again"), "its host could not be looked up just now"),
        (TimeoutError(), "no connection in time"),
        (ConnectionResetError(), "it closed the connection before it was asked"),
        (OSError(errno.EHOSTUNREACH, "secret"), os.strerror(errno.EHOSTUNREACH).lower()),
        (ssl.SSLError(), "no TLS with it (broken off)"),
        (OSError("secret"), "broke off: OSError"),
    ],
    ids=["no-name", "again", "late", "reset", "no-route", "tls", "other"],
)
async def test_why_nothing_was_reached_is_said_in_words(monkeypatch, error, words):
    async def unknown(host: str, port: int) -> list[str]:
        raise error

    monkeypatch.setattr(dialling, "_look_up", unknown)
    with pytest.raises(NotConnectedError, match=f"^{re.escape(words)}$"):
        await asked("nowhere.example", 80, tls=False)


@pytest.mark.allow_hosts(["127.0.0.1", "127.0.0.2"])
async def test_an_address_that_refuses_is_passed_over(resolved):
    resolved("127.0.0.2", "127.0.0.1")
    async with serving(always_ok) as server:
        assert await asked("two.example", server.port, tls=False) == (200, b"ok")


@pytest.mark.allow_hosts(["127.0.0.1", "127.0.0.2"])
async def test_an_address_that_does_not_answer_is_overtaken_and_given_up(resolved):
    resolved("127.0.0.2", "127.0.0.1")
    async with serving(always_ok) as server:
        with socket.socket() as deaf:
            deaf.bind(("127.0.0.2", server.port))
            deaf.listen(0)
            crowd = [socket.socket() for _ in range(4)]  # its queue is full, so it answers nobody else
            for one in crowd:
                one.setblocking(False)
                one.connect_ex(("127.0.0.2", server.port))
            began_s = asyncio.get_running_loop().time()
            assert await asked("two.example", server.port, tls=False) == (200, b"ok")
            assert asyncio.get_running_loop().time() - began_s >= ATTEMPT_S / 2
            for one in crowd:
                one.close()


@pytest.mark.allow_hosts(["127.0.0.1", "127.0.0.2"])
async def test_when_every_address_refuses_nothing_was_reached(resolved):
    resolved("127.0.0.2", "127.0.0.1")
    with held_port() as port, pytest.raises(NotConnectedError, match="connection refused"):
        await asked("two.example", port, tls=False)


async def test_one_look_up_serves_all_who_ask_at_once_and_a_failed_one_is_repeated(monkeypatch):
    looked_up: list[str] = []

    async def look_up(host: str, port: int) -> list[str]:
        looked_up.append(host)
        await asyncio.sleep(0)
        if len(looked_up) == 1:
            raise socket.gaierror(socket.EAI_AGAIN, "again")
        return ["127.0.0.1"]

    monkeypatch.setattr(dialling, "_look_up", look_up)
    async with serving(always_ok) as server:
        client = Client("one.example", server.port, tls=False, patience=Patience())
        with pytest.raises(NotConnectedError):
            await ask(client)
        await asyncio.gather(*(ask(client) for _ in range(20)))
        assert len(looked_up) == 2
        client.close()


async def test_families_take_turns(monkeypatch):
    async def getaddrinfo(host, port, **_):
        six, four = socket.AF_INET6, socket.AF_INET
        found = [(six, "::1"), (six, "::2"), (six, "::1"), (four, "127.0.0.1"), (four, "127.0.0.2")]
        return [(family, 1, 6, "", (address, port)) for family, address in found]

    class Loop:
        pass

    Loop.getaddrinfo = staticmethod(getaddrinfo)
    monkeypatch.setattr(dialling.asyncio, "get_running_loop", Loop)
    found = await dialling._look_up("many.example", 80)
    monkeypatch.undo()
    assert found == ["::1", "127.0.0.1", "::2", "127.0.0.2"]
