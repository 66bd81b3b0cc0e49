"""Print the Python to make the virtual environment with: this one, or one on this machine that is faster.

How a Python was built decides what all of its work costs: without profile-guided optimisation, as pyenv
builds by default, the gateway takes clearly more CPU. So the candidates are tried on a moment's work of
the kind that a gateway does, calls and small objects, and another than this one is named only where it needs
a tenth less. Any Python 3 runs this; one that is older than 3.11 names a newer one, or nothing.
"""

from __future__ import annotations  # it is run by whatever Python 3 is there

import math
import subprocess
import sys

CANDIDATES = ("/usr/local/bin/python3", "/usr/bin/python3")
LEAST_GAIN = 0.1
ROUNDS = 6
PROBE = """
import ensurepip, sys, time, venv
sys.version_info >= (3, 11) or sys.exit(1)
class Node:
    __slots__ = ("left", "right")
    def __init__(self, left, right):
        self.left = left
        self.right = right
def grow(depth):
    return Node(grow(depth - 1), grow(depth - 1)) if depth else None
def size(node):
    return 1 + size(node.left) + size(node.right) if node else 0
def once():
    began_s = time.process_time()
    size(grow(11))
    return time.process_time() - began_s
print(min(once() for _ in range(40)))
"""


def cost(python: str) -> float:
    """Seconds of CPU for the same work; infinity if it cannot serve here."""
    command = [python, "-I", "-c", PROBE]  # isolated: what lies in this folder is not imported
    try:
        run = subprocess.run(command, check=True, capture_output=True, timeout=20)
        return float(run.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return math.inf


def fastest() -> str | None:
    """The path of the one to take; None if there is none."""
    costs = dict.fromkeys((sys.executable, *CANDIDATES), math.inf)
    for _ in range(ROUNDS):  # by turns, and the least: what else the machine does meanwhile counts little
        for python in costs:
            costs[python] = min(costs[python], cost(python))
    best = min(costs, key=lambda python: costs[python])
    if costs[best] > costs[sys.executable] * (1 - LEAST_GAIN):
        best = sys.executable
    return best if costs[best] < math.inf else None


if __name__ == "__main__":
    print(fastest() or "")
