# ruff: noqa - a block of a document, not a module
"""Opens sockets that belong to no network namespace, or that speak to the kernel."""

import socket

for family, kind in ((40, 1), (16, 3), (17, 3), (38, 5), (31, 3), (29, 3), (15, 3), (44, 3), (2, 3), (10, 3)):
    try:
        socket.socket(family, kind)
    except OSError as error:
        print("contained", family, kind, error.errno)
    else:
        print("BREACH", family, kind)
