# ruff: noqa - a block of a document, not a module
"""Becomes somebody else."""

import ctypes
import os
import subprocess

for name, change in {
    "setuid": lambda: os.setuid(0),
    "setgid": lambda: os.setgid(0),
    "setresuid": lambda: os.setresuid(0, 0, 0),
    "setgroups": lambda: os.setgroups([0]),
    "nice": lambda: os.setpriority(os.PRIO_PROCESS, 0, -20),
    "realtime": lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)),
}.items():
    try:
        change()
    except OSError as error:
        print("contained", name, error.errno)
    else:
        print("BREACH", name)
for program in ("/usr/bin/su", "/usr/bin/mount", "/usr/bin/newuidmap", "/usr/bin/sudo"):
    if os.path.exists(program):
        done = subprocess.run([program, "-c", "id"], capture_output=True, stdin=subprocess.DEVNULL, timeout=5)
        print("BREACH" if b"uid=0" in done.stdout else "contained", program)
libc = ctypes.CDLL(None)
rights = (ctypes.c_uint32 * 6)()
libc.syscall(125, (ctypes.c_uint32 * 2)(0x20080522, 0), rights)
print("BREACH" if any(rights) else "contained", "capabilities", list(rights))
sealed = libc.prctl(39, 0, 0, 0, 0) == 1 and libc.prctl(21, 0, 0, 0, 0) == 2
print("contained" if sealed else "BREACH", "seals")
