# ruff: noqa - a block of a document, not a module
"""Tries what Landlock leaves to others: connecting by other ways, listening, other processes, attributes."""

import os
import resource
import socket

IPPROTO_MPTCP, MSG_FASTOPEN = 262, 0x20000000


def by_mptcp(port):
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, IPPROTO_MPTCP) as way_out:
        way_out.connect(("127.0.0.1", port))
        return way_out.recv(99)


def by_fast_open(port):
    with socket.socket() as way_out:
        way_out.sendto(b"x", MSG_FASTOPEN, ("127.0.0.1", port))
        return way_out.recv(99)


def by_fast_open_message(port):
    with socket.socket() as way_out:
        way_out.sendmsg([b"x"], [], MSG_FASTOPEN, ("127.0.0.1", port))
        return way_out.recv(99)


def attempt(name, action, *arguments):
    try:
        print("BREACH", name, arguments, action(*arguments))
    except OSError as error:
        print("contained", name, error.errno)


for port in inputs["ports"]:
    for way in (by_mptcp, by_fast_open, by_fast_open_message):
        attempt(way.__name__, way, port)
for pid in [*inputs["pids"], os.getppid()]:
    attempt("read limits", resource.prlimit, pid, resource.RLIMIT_NOFILE)
    attempt("set limits", resource.prlimit, pid, resource.RLIMIT_CORE, (0, 0))
for pid in inputs["pids"]:
    attempt("priority", os.setpriority, os.PRIO_PROCESS, pid, 19)
    attempt("processors", os.sched_setaffinity, pid, {0})
    attempt("scheduler", os.sched_setscheduler, pid, os.SCHED_IDLE, os.sched_param(0))
for path in inputs["files"]:
    attempt("chmod", os.chmod, path, 0o777)
    attempt("chown", os.chown, path, os.getuid(), os.getgid())
    attempt("utime", os.utime, path, (1, 1))
    attempt("setxattr", os.setxattr, path, "user.x", b"1")
