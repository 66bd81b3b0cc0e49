"""The peers that the overhead benchmark measures beside the gateway: `peers.py install [NAME…] | list`.

Each gets a virtual environment of its own under benchmarks/.work, from the package index that pip is
configured with; none of their packages comes near the gateway's. A peer that is not installed is
left out of the comparison, and its figures are null.
"""

import subprocess
import sys
import venv
from pathlib import Path
from typing import Final

WORK: Final = Path(__file__).resolve().parent / ".work"
PEERS: Final = {
    "tensorzero": "tensorzero==2026.6.0",
    "litellm": "litellm[proxy]==1.106.2",
    "fastmcp": "fastmcp==4.1.2",
}
INSTALL_LIMIT_S: Final = 1800


def folder(name: str) -> Path:
    """Where the peer's environment is, or would be."""
    return WORK / "peers" / name


def python(name: str) -> Path | None:
    """The peer's own interpreter, None while the peer is not installed."""
    return folder(name) / "bin" / "python" if _mark(name).is_file() else None


def _mark(name: str) -> Path:
    """Written last: it says that what it names was installed whole."""
    return folder(name) / "installed.txt"


def install(name: str) -> bool:
    """Make the peer's environment; False, with pip's own last lines, if that fails."""
    if _mark(name).is_file() and _mark(name).read_text() == PEERS[name]:
        print(f"{name}: {PEERS[name]} is installed")
        return True
    print(f"{name}: installing {PEERS[name]} …", flush=True)
    venv.create(folder(name), clear=True, with_pip=True)
    command = [str(folder(name) / "bin" / "python"), "-m", "pip", "install", "--quiet", PEERS[name]]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_LIMIT_S, check=False)
    except subprocess.TimeoutExpired:
        print(f"{name}: not installed within {INSTALL_LIMIT_S} s")
        return False
    if done.returncode:
        print(f"{name}: not installed. pip says:", *done.stderr.splitlines()[-3:], sep="\n  ")
        return False
    _mark(name).write_text(PEERS[name])
    print(f"{name}: installed")
    return True


def main(arguments: list[str]) -> int:
    """0 if all that was asked for is there."""
    match arguments:
        case ["list"]:
            for name, requirement in PEERS.items():
                print(f"{name:12} {requirement:28} {'installed' if python(name) else 'not installed'}")
            return 0
        case ["install", *names] if set(names) <= set(PEERS):
            failed = [name for name in names or PEERS if not install(name)]
            return 1 if failed else 0
        case _:
            print(f"usage: peers.py list | install [{' | '.join(PEERS)}]", file=sys.stderr)
            return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
