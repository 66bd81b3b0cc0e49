# ruff: noqa - a block of a document, not a module
"""Types into the terminal of whoever started it."""

import errno
import fcntl
import os

for descriptor in (0, 1, 2):
    for request in (0x5412, 0x541C, 0x1_0000_5412):
        try:
            fcntl.ioctl(descriptor, request & 0xFFFFFFFF, b"x")
        except OSError as error:
            print("contained" if error.errno == errno.EPERM else "BREACH", descriptor, error.errno)
        else:
            print("BREACH", descriptor)
try:
    print("BREACH", os.open("/dev/tty", os.O_RDWR))
except OSError as error:
    print("contained", error.errno)
