"""A box: a program of somebody else's that runs behind the sandbox's walls for as long as the gateway does.

What it may see and reach is what the operator named for it, and is read here from his words: a command,
folders ("/srv/docs:ro"), hosts ("api.github.com:443"). Nobody else can name any of it. Pure; whether a folder
exists and may be shown is for the adapter, which can look.
"""

import re
from ipaddress import ip_address
from typing import Final

from macroslow.authn.public_addresses import Address, is_public
from macroslow.values import value

WORK: Final = "/maml"  # inside: what is writable, and gone when the program ends
_MIB: Final = 1024 * 1024
_MAX_PORT: Final = 65_535
_MAX_NAME: Final = 253
# The made-up ones of the box itself, and those of the kernel that show other processes and devices.
_NEVER: Final = ("/proc", "/sys", "/dev", WORK)
_NEVER_WHOLE: Final = ("/", "/etc", "/tmp", "/run", "/var/run")  # noqa: S108 - parts of them may be named
_LABEL: Final = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
# The last label has a letter, so that no number in any notation passes for a name.
_NAME: Final = re.compile(rf"(?:{_LABEL}\.)*(?=[0-9_-]*[a-z]){_LABEL}")
_BARE_HEX: Final = re.compile(r"0x[0-9a-f]*")


@value
class Mount:
    """A file or folder of the machine that is in the box at the same path."""

    path: str
    writable: bool


@value
class Host:
    """A name, or an address, and the one port of it that may be dialled. Names are lower case."""

    name: str
    port: int

    @property
    def address(self) -> Address | None:
        """The very address that was named, if one was."""
        try:
            return ip_address(self.name)
        except ValueError:
            return None

    def may_be_at(self, address: Address) -> bool:
        """Whether this host may be reached there: a name only at public addresses."""
        named = self.address
        return is_public(address) if named is None else address == named


@value
class BoxLimits:
    """Bounds of one program with all that it starts. There is none on how long it runs.

    `cpus` is processor time per time: held where the kernel can, else the program only stands behind others.
    """

    memory_bytes: int = 512 * _MIB
    processes: int = 64
    cpus: float = 1.0
    scratch_bytes: int = 256 * _MIB
    scratch_files: int = 32_768
    open_files_per_process: int = 1024


@value
class Program:
    """What the operator wrote of one box. `command` is an argument vector: no shell reads it."""

    name: str
    command: tuple[str, ...]
    mounts: tuple[Mount, ...] = ()
    hosts: tuple[Host, ...] = ()
    limits: BoxLimits = BoxLimits()


def read_mount(text: str) -> Mount:
    """Read "/srv/docs:ro" or "/srv/out:rw". ValueError says in words what is wrong with it."""
    path, colon, access = text.rpartition(":")
    if not colon or access not in {"ro", "rw"}:
        raise ValueError(f"{text!r}: write the path and how it may be used, for example /srv/docs:ro")
    if not path.startswith("/"):
        raise ValueError(f"{text!r} is not absolute: write where it is, as /srv/{text}")
    parts = path.split("/")[1:]
    if path != "/" and any(part in {"", ".", ".."} for part in parts):
        raise ValueError(f"{path!r} is not written plainly: leave out //, . and .. and a / at the end")
    if not path.isprintable():
        raise ValueError(f"{path!r} has characters that cannot be printed")
    if path in _NEVER_WHOLE or any(is_within(path, taken) for taken in _NEVER):
        raise ValueError(f"{path} cannot be shown to a program: name the folder in it that it needs")
    return Mount(path, access == "rw")


def check_mounts(mounts: tuple[Mount, ...]) -> None:
    """Refuse mounts that contradict each other. ValueError.

    Nothing is mounted below what the program may write: it could put a link there that leads elsewhere.
    """
    for index, mount in enumerate(mounts):
        for other in mounts[:index] + mounts[index + 1 :]:
            if mount.path == other.path:
                raise ValueError(f"{mount.path} is named twice")
            if other.writable and is_within(mount.path, other.path):
                raise ValueError(f"{mount.path} lies in {other.path}, which the program may change")


def is_within(path: str, folder: str) -> bool:
    """Whether one plainly written absolute path is the other, or lies below it."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def read_host(text: str) -> Host:
    """Read "api.github.com:443", "192.0.2.1:5432" or "[2001:db8::1]:443". ValueError says what is wrong."""
    name, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdecimal() or not 1 <= int(port) <= _MAX_PORT:
        raise ValueError(f"{text!r}: write the host and its port, for example api.github.com:443")
    if name.startswith("[") and name.endswith("]"):
        return Host(_plain_address(name[1:-1], text), int(port))
    name = name.lower()
    if ":" in name:
        raise ValueError(f"{text!r}: an IPv6 address is written in brackets, for example [2001:db8::1]:443")
    if _NAME.fullmatch(name) and len(name) <= _MAX_NAME and not _is_hexadecimal(name):
        return Host(name, int(port))
    return Host(_plain_address(name, text), int(port))


def _is_hexadecimal(name: str) -> bool:
    """Old parsers of addresses take 0x7f.1 and 0x7f000001 for 127.0.0.1."""
    return _BARE_HEX.fullmatch(name.rpartition(".")[2]) is not None


def _plain_address(text: str, whole: str) -> str:
    try:
        address = ip_address(text)
    except ValueError:
        raise ValueError(f"{whole!r} names no host: wildcards and networks cannot be named") from None
    return str(address)
