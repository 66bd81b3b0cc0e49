# ruff: noqa - a block of a document, not a module
"""Looks for secrets in its own environment, in every way there is to read it."""

import ctypes
import json
import os

environ = ctypes.POINTER(ctypes.c_char_p).in_dll(ctypes.CDLL(None), "environ")
native = []
while environ and environ[len(native)]:
    native.append(environ[len(native)].decode())
print(json.dumps(dict(os.environ)))
print(json.dumps(native))
try:
    with open("/proc/self/environ", "rb") as file:
        print(file.read())
except OSError as error:
    print("contained", error)
expected = {"PATH", "HOME", "TMPDIR", "LANG", "LC_CTYPE", "MAML_INPUTS"}
if strange := set(os.environ) - expected:
    print("BREACH", strange)
