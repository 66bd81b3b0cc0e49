# ruff: noqa - a block of a document, not a module
"""Calls services on abstract sockets and on sockets in the gateway's folder."""

import socket

for name in inputs["unix"]:
    try:
        with socket.socket(socket.AF_UNIX) as service:
            service.settimeout(3)
            service.connect("\0" + name[1:] if name.startswith("@") else name)
            print("BREACH", name, service.recv(100))
    except OSError as error:
        print("contained", name, error.errno)
