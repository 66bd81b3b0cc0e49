# ruff: noqa - a block of a document, not a module
"""Reports an exit code that no process has."""

import json
import socket
import time

report = {"exit_code": 10**300, "error": "half of a pair: \udfff"}
socket.socket(fileno=3).send(json.dumps(report).encode())
time.sleep(5)
