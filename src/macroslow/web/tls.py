"""TLS from files, taken anew when they change: certificates are renewed while the server runs.

TLS 1.2 and 1.3 with the library's own choice of suites (RFC 9325); no client certificates. A new pair is
tried in a context of its own, and new connections get that one, so that a half-written or mismatched one
changes nothing: the old pair serves on and the log says why. Connections made before a change keep theirs.
"""

import asyncio
import logging
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from macroslow.errors import ConfigurationError

LOOK_EVERY_S: Final = 10.0
HANDSHAKE_S: Final = 10.0
GOODBYE_S: Final = 5.0
_ALPN: Final = ["http/1.1"]
_Stamp = tuple[tuple[int, int, int], ...]
log: Final = logging.getLogger("macroslow.web")


@dataclass(frozen=True, slots=True)
class Files:
    """A chain, the server's certificate first, and its key, unencrypted; both PEM (RFC 7468)."""

    certificate: Path
    key: Path

    def stamp(self) -> _Stamp | None:
        """What changes when they do; None while one is missing."""
        try:
            states = [file.stat() for file in (self.certificate, self.key)]
        except OSError:
            return None
        return tuple((state.st_mtime_ns, state.st_size, state.st_ino) for state in states)

    def load(self, context: ssl.SSLContext) -> None:
        """Give them to `context`. OSError or ssl.SSLError if they do not serve."""
        # A password would be asked for on the terminal: an encrypted key is refused instead.
        context.load_cert_chain(self.certificate, self.key, password=_no_password)


class ServerTLS:
    """A context for a listener, and the watch over its files."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._stamp: _Stamp | None = ()
        self._refused: _Stamp | None = ()
        self.context = self._newest = _context()
        self.context.sni_callback = self._hand_over
        self._stamp = files.stamp()
        try:
            files.load(self.context)
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                f"TLS cannot be served: {_told(error, files)}",
                fix="name a PEM chain and its unencrypted PEM key in [server.tls]",
            ) from error

    def renew(self) -> bool:
        """Take the files if they changed; whether they were taken. The log says once why a change is not."""
        stamp = self._files.stamp()
        if stamp == self._stamp:
            self._refused = ()
        if stamp in (self._stamp, self._refused):
            return False
        newest = _context()
        try:
            self._files.load(newest)
        except (OSError, ValueError) as error:
            self._refused = stamp
            told = _told(error, self._files)
            log.warning("the new TLS files are not taken, the old ones serve on: %s", told)
            return False
        self._stamp, self._refused, self._newest = stamp, (), newest
        log.info("TLS: a new certificate is served from now on")
        return True

    def _hand_over(
        self, connection: ssl.SSLObject | ssl.SSLSocket, _name: str | None, _: ssl.SSLContext
    ) -> None:
        """Serve a new connection with the newest pair, whatever name it asks for, or none."""
        connection.context = self._newest

    async def watch(self) -> None:
        """Look at the files every LOOK_EVERY_S, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            self.renew()


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.set_alpn_protocols(_ALPN)
    return context


def _no_password() -> str:
    raise ValueError("the key is encrypted")


def _told(error: Exception, files: Files) -> str:
    """The cause with the names of the files, and without a byte of the key."""
    certificate, key = files.certificate, files.key
    if isinstance(error, ssl.SSLError):
        if error.reason == "KEY_VALUES_MISMATCH":
            return f"{key} is not the key of the certificate that {certificate} begins with"
        why = f" ({error.reason})" if error.reason else ""
        return f"no certificate in {certificate} and key in {key} that could be used{why}"
    if not isinstance(error, OSError):
        return f"{key}: {error}"
    return (
        "; ".join(filter(None, map(_unreadable, dict.fromkeys((certificate, key)))))
        or f"{certificate}, {key}: {error}"
    )


def _unreadable(file: Path) -> str:
    """Why a file cannot be read, with its name; "" if it can."""
    try:
        file.open("rb").close()
    except OSError as error:
        return f"{file}: {error.strerror}"
    return ""
