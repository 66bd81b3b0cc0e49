# ruff: noqa - a block of a document, not a module
"""Reads the host's files, those of the gateway first."""

import os

places = [
    *inputs["files"],
    "/etc/shadow",
    "/root/.ssh",
    "/root/.bashrc",
    "/home",
    "/var/log",
    "/var/run/docker.sock",
]
places += ["/proc/kcore", "/proc/sys/kernel/core_pattern", "/sys/kernel", "/dev/mem", "/dev/vda", "/dev/kmsg"]
places += ["/proc/1/root", "/../../etc/shadow", "/proc/self/root/etc/shadow", "/proc/config.gz", "/run"]
for place in places:
    try:
        if os.path.isdir(place):
            content = os.listdir(place)
        else:
            with open(place, "rb") as file:
                content = file.read(4096)
    except OSError as error:
        print("contained", place, error.errno)
    else:
        print("BREACH", place, content)
