# ruff: noqa - a block of a document, not a module
"""Calls services that listen on the host's loopback."""

import socket

for port in inputs["ports"]:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=3) as service:
            print("BREACH", port, service.recv(100))
    except OSError as error:
        print("contained", port, error.errno)
