# ruff: noqa - a block of a document, not a module
"""Reads what /proc has to say of init, the gateway, a sibling and everybody else."""

import os

pids = {1, os.getppid(), *map(int, inputs["pids"])}
try:
    pids |= {int(name) for name in os.listdir("/proc") if name.isdecimal()}
except OSError as error:
    print("contained /proc", error.errno)
for pid in sorted(pids - {os.getpid(), 0}):
    for name in ("environ", "maps", "auxv", "stack", "fd", "root/etc/shadow", "cwd"):
        path = f"/proc/{pid}/{name}"
        try:
            if name == "fd":
                content = os.listdir(path)
            else:
                with open(path, "rb") as file:
                    content = file.read()
        except OSError as error:
            print("contained", path, error.errno)
        else:
            print("BREACH", path, content[:4000])
