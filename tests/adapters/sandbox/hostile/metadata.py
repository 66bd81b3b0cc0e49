# ruff: noqa - a block of a document, not a module
"""Calls the cloud's metadata service, a name server and the internet."""

import socket

for family, kind, address in (
    (socket.AF_INET, socket.SOCK_STREAM, ("169.254.169.254", 80)),
    (socket.AF_INET, socket.SOCK_STREAM, ("1.1.1.1", 443)),
    (socket.AF_INET, socket.SOCK_DGRAM, ("8.8.8.8", 53)),
    (socket.AF_INET6, socket.SOCK_STREAM, ("fd00:ec2::254", 80)),
):
    try:
        with socket.socket(family, kind) as way_out:
            way_out.settimeout(3)
            way_out.connect(address)
            way_out.send(b"GET / HTTP/1.0\r\n\r\n")
    except TimeoutError:
        print("BREACH", address, "was tried for seconds")
    except OSError as error:
        print("contained", address, error.errno)
    else:
        print("BREACH", address)
try:
    print("BREACH", socket.getaddrinfo("example.com", 80))
except OSError as error:
    print("contained", error)
