"""A time-stamping authority of our own: `openssl ts` with a root of its own, over HTTP on loopback."""

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

OPENSSL = shutil.which("openssl")
needs_openssl = pytest.mark.skipif(OPENSSL is None, reason="there is no openssl")

CONFIG = """
[req]
distinguished_name = dn
prompt = no
[dn]
CN = unused
[root]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign
[stamps]
basicConstraints = critical, CA:false
keyUsage = critical, digitalSignature
extendedKeyUsage = critical, timeStamping
[other_use]
basicConstraints = critical, CA:false
keyUsage = critical, digitalSignature
extendedKeyUsage = critical, serverAuth
[tsa]
serial = {folder}/serial
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha512
accuracy = secs:1
tsa_name = no
ess_cert_id_chain = no
ess_cert_id_alg = sha256
"""


class Authority:
    """Keys, a root certificate and two of others: one for time stamps, one for servers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        (folder / "serial").write_text("01\n")
        (folder / "tsa.cnf").write_text(CONFIG.format(folder=folder))
        key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
        subject = f"/CN=Root of {folder.name}"
        self._openssl("req", "-x509", *key, "-keyout", "root.key", "-out", "root.pem", "-days", "30",
                      "-subj", subject, "-config", "tsa.cnf", "-extensions", "root")  # fmt: skip
        for serial, use in enumerate(("stamps", "other_use"), 2):
            self._openssl("req", *key, "-keyout", f"{use}.key", "-out", f"{use}.csr", "-config", "tsa.cnf",
                          "-subj", f"/CN={use} of {folder.name}")  # fmt: skip
            self._openssl("x509", "-req", "-in", f"{use}.csr", "-CA", "root.pem", "-CAkey", "root.key",
                          "-days", "30", "-extfile", "tsa.cnf", "-extensions", use, "-out", f"{use}.pem",
                          "-set_serial", str(serial))  # fmt: skip

    @property
    def root_file(self) -> Path:
        """Its root certificate, in PEM."""
        return self.folder / "root.pem"

    def reply(self, query: bytes) -> bytes:
        """The response (DER) to a request."""
        (self.folder / "query").write_bytes(query)
        self._openssl("ts", "-reply", "-config", "tsa.cnf", "-section", "tsa", "-queryfile", "query",
                      "-signer", "stamps.pem", "-inkey", "stamps.key", "-out", "reply")  # fmt: skip
        return (self.folder / "reply").read_bytes()

    def misused(self, query: bytes) -> bytes:
        """As `reply`, but signed by a certificate that is not for time stamps."""
        self.reply(query)
        self._openssl("ts", "-reply", "-in", "reply", "-token_out", "-out", "token")
        self._openssl("cms", "-verify", "-noverify", "-in", "token", "-inform", "DER", "-out", "info")
        self._openssl("cms", "-sign", "-binary", "-nodetach", "-econtent_type", "1.2.840.113549.1.9.16.1.4",
                      "-in", "info", "-outform", "DER", "-out", "token", "-md", "sha256",
                      "-signer", "other_use.pem", "-inkey", "other_use.key")  # fmt: skip
        content = bytes.fromhex("3003020100") + (self.folder / "token").read_bytes()
        return b"\x30\x82" + len(content).to_bytes(2, "big") + content

    def _openssl(self, *arguments: str) -> None:
        assert OPENSSL is not None
        subprocess.run([OPENSSL, *arguments], cwd=self.folder, check=True, capture_output=True)


class Served:
    """What the authority's server does; `answers` makes the body of the next ones."""

    def __init__(self, authority: Authority) -> None:
        self.authority = authority
        self.asked: list[bytes] = []
        self.status = 200
        self.answers: Callable[[bytes], bytes] = authority.reply
        self.hold: asyncio.Event | None = None
        self.url = ""

    async def handle(self, request: web.Request) -> web.Response:
        query = await request.read()
        self.asked.append(query)
        if self.hold is not None:
            await self.hold.wait()
        body = await asyncio.to_thread(self.answers, query)
        return web.Response(status=self.status, body=body, content_type="application/timestamp-reply")


@asynccontextmanager
async def serving(authority: Authority) -> AsyncIterator[Served]:
    """The authority at `url`, on loopback."""
    served = Served(authority)
    application = web.Application()
    application.router.add_post("/tsr", served.handle)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    served.url = f"http://127.0.0.1:{runner.addresses[0][1]}/tsr"
    try:
        yield served
    finally:
        await runner.cleanup()
