"""What the signer's process does to itself before it opens a key: nobody reads it or stops it early."""

import ctypes
import os
import resource
import signal
import sys
from typing import Final

_PR_SET_DUMPABLE: Final = 4
_PR_SET_NO_NEW_PRIVS: Final = 38
# Ctrl-C, a service manager's stop and a closed terminal are for the gateway, whose end is our end.
_IGNORED: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def withdraw(*, outlives_signals: bool) -> None:
    """Leave no core file, no memory for processes of the same user to read, and no way to more rights."""
    for number in _IGNORED if outlives_signals else ():
        signal.signal(number, signal.SIG_IGN)
    os.umask(0o077)
    os.chdir("/")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        _prctl(_PR_SET_DUMPABLE, 0)
        _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def _prctl(option: int, value: int) -> None:
    zero = ctypes.c_ulong(0)
    if ctypes.CDLL(None, use_errno=True).prctl(option, ctypes.c_ulong(value), zero, zero, zero):
        raise OSError(ctypes.get_errno(), f"prctl({option})")
