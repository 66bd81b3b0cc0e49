# ruff: noqa - a block of a document, not a module
"""Connects without Python's socket module, so that no hook of the runner sees it."""

import ctypes
import struct
import time

libc = ctypes.CDLL(None, use_errno=True)
addresses = [("169.254.169.254", 80), ("1.1.1.1", 53), *(("127.0.0.1", port) for port in inputs["ports"])]
for host, port in addresses:
    for kind in (1, 2):
        address = struct.pack("=H", 2) + struct.pack("!H", port) + bytes(map(int, host.split("."))) + bytes(8)
        began = time.monotonic()
        descriptor = libc.socket(2, kind, 0)
        if descriptor < 0:
            print("contained", host, port, kind, ctypes.get_errno())
            continue
        result = libc.connect(descriptor, address, 16)
        if kind == 2 and result == 0:  # a datagram socket connects to nobody; on its own loopback it may
            result = libc.send(descriptor, b"x", 1, 0) if host != "127.0.0.1" else -1
        slow = time.monotonic() - began > 1
        print("BREACH" if result >= 0 or slow else "contained", host, port, kind, ctypes.get_errno())
