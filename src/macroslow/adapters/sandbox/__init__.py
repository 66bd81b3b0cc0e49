"""Running code blocks behind walls: `choose` gives the strongest sandbox that works on this machine."""

from macroslow.adapters.sandbox._backend import NoSandbox, ProcessSandbox
from macroslow.adapters.sandbox._choose import BackendReport, choose, probe

__all__ = ["BackendReport", "NoSandbox", "ProcessSandbox", "choose", "probe"]
