"""TLS on real sockets: what is negotiated, what renewal changes, and what a bad file does not."""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.web.fakes import House, build

from macroslow.authn.addresses import read_network
from macroslow.errors import ConfigurationError
from macroslow.web import handshakes, serve
from macroslow.web.connection import Bounds
from macroslow.web.forwarded import TrustedProxies
from macroslow.web.tls import Files, ServerTLS

REQUEST = b"GET /health/live HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n%b\r\n"
HSTS = b"strict-transport-security: max-age="


def write_pair(folder: Path, name: str, password: bytes | None = None) -> Files:
    """A certificate of its own making for `name`, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    names = [x509.DNSName(name), x509.IPAddress(ip_address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    locked = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    files = Files(folder / "chain.pem", folder / "key.pem")
    files.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    files.key.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked)
    )
    return files


@asynccontextmanager
async def serving(house: House, tls: ServerTLS | None, bounds: Bounds | None = None) -> AsyncIterator[int]:
    sockets = serve.bind("127.0.0.1", 0)
    port: int = sockets[0].getsockname()[1]
    lifecycle = house.application.lifecycle
    async with serve.serve(house.gate, sockets, lifecycle, bounds=bounds, tls=tls, grace_s=1):
        yield port


async def ask(
    port: int, context: ssl.SSLContext | None, more: bytes = b"", name: str | None = None
) -> tuple[bytes, ssl.SSLObject | None]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=name)
    spoken: ssl.SSLObject | None = writer.get_extra_info("ssl_object")
    writer.write(REQUEST % more)
    async with asyncio.timeout(10):
        said = await reader.read()
    writer.close()
    return said, spoken


def trusting(files: Files) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(files.certificate))


async def test_an_encrypted_answer_says_that_it_must_stay_so(tmp_path: Path) -> None:
    files = write_pair(tmp_path, "localhost")
    async with serving(await build(), ServerTLS(files)) as port:
        said, spoken = await ask(port, trusting(files))
        assert said.startswith(b"HTTP/1.1 200 ")
        assert HSTS in said
        assert spoken is not None
        assert (spoken.version(), spoken.selected_alpn_protocol()) == ("TLSv1.3", None)


async def test_a_plain_answer_never_says_so_unless_a_trusted_proxy_brought_it_encrypted() -> None:
    bounds = Bounds(proxies=TrustedProxies([read_network("127.0.0.0/8")]))
    header = b"x-forwarded-proto: https\r\n"
    async with serving(await build(), None) as port:
        assert HSTS not in (await ask(port, None))[0]
        assert HSTS not in (await ask(port, None, header))[0]
    async with serving(await build(), None, bounds) as port:
        assert HSTS not in (await ask(port, None))[0]
        assert HSTS in (await ask(port, None, header))[0]


async def test_old_versions_and_plain_text_are_refused_and_the_next_caller_is_served(tmp_path: Path) -> None:
    files = write_pair(tmp_path, "localhost")
    async with serving(await build(), ServerTLS(files)) as port:
        old = trusting(files)
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        assert (await ask(port, old))[0].startswith(b"HTTP/1.1 200 ")
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(REQUEST % b"")
        async with asyncio.timeout(10):
            assert b"HTTP/1.1 200" not in await reader.read()
        writer.close()
        assert (await ask(port, trusting(files)))[0].startswith(b"HTTP/1.1 200 ")


async def test_a_renewed_certificate_is_served_and_a_broken_one_is_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = write_pair(tmp_path, "localhost")
    tls = ServerTLS(files)
    async with serving(await build(), tls) as port:
        first = trusting(files)
        assert not tls.renew()
        kept = files.certificate.read_bytes()
        write_pair(tmp_path, "localhost")
        assert tls.renew()
        with pytest.raises(ssl.SSLCertVerificationError):
            await ask(port, first)
        second, older = trusting(files), trusting(files)
        older.maximum_version = ssl.TLSVersion.TLSv1_2
        for context in (second, older):
            for name in ("localhost", None):  # named in the handshake, and not
                assert (await ask(port, context, name=name))[0].startswith(b"HTTP/1.1 200 ")
        for broken in (kept, b"", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"):
            files.certificate.write_bytes(broken)  # of another key, empty, half written
            assert not tls.renew()
            assert "the old ones serve on" in caplog.records[-1].getMessage()
        files.key.unlink()
        assert not tls.renew()
        assert (await ask(port, second))[0].startswith(b"HTTP/1.1 200 ")


def test_of_a_pair_that_is_not_taken_the_log_tells_once_a_change_and_with_its_files(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = write_pair(tmp_path, "localhost")
    tls = ServerTLS(files)
    kept = files.certificate.read_bytes()
    write_pair(tmp_path, "localhost")
    files.certificate.write_bytes(kept)  # the new key beside the old certificate
    for _ in range(3):
        assert not tls.renew()
    files.key.unlink()
    for _ in range(3):
        assert not tls.renew()
    mismatch, missing = (record.getMessage() for record in caplog.records)
    assert f"{files.key} is not the key of the certificate that {files.certificate} begins with" in mismatch
    assert missing.endswith(f": {files.key}: No such file or directory")
    write_pair(tmp_path, "localhost")
    assert tls.renew()


async def test_files_that_do_not_serve_stop_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r": \S*/none\.pem: No such file or directory$"):
        ServerTLS(Files(tmp_path / "none.pem", tmp_path / "none.pem"))
    there = write_pair(tmp_path, "localhost")
    with pytest.raises(ConfigurationError, match=r"served: \S*/none\.key: No such file or directory$"):
        ServerTLS(Files(there.certificate, tmp_path / "none.key"))
    other = write_pair(tmp_path, "localhost").key.rename(tmp_path / "other.pem")
    files = write_pair(tmp_path, "localhost")
    with pytest.raises(ConfigurationError, match=r"/other\.pem is not the key of .*/chain\.pem begins with$"):
        ServerTLS(Files(files.certificate, other))
    with pytest.raises(ConfigurationError, match="the key is encrypted"):
        ServerTLS(write_pair(tmp_path, "localhost", password=b"secret"))
    files = write_pair(tmp_path, "localhost")
    files.certificate.write_text("hello")
    with pytest.raises(ConfigurationError) as caught:
        ServerTLS(files)
    assert caught.value.fix


async def test_who_shakes_no_hands_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handshakes, "HANDSHAKE_S", 0.2)
    async with serving(await build(), ServerTLS(write_pair(tmp_path, "localhost"))) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        async with asyncio.timeout(10):
            assert await reader.read() == b""
        writer.close()


def test_on_the_loop_that_serves_nothing_is_logged_of_a_handshake(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = write_pair(tmp_path, "localhost")

    async def several() -> None:
        async with serving(await build(), ServerTLS(files)) as port:
            for _ in range(3):
                assert (await ask(port, trusting(files)))[0].startswith(b"HTTP/1.1 200 ")

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(several())
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []
