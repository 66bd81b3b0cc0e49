"""Running code blocks behind walls: `choose` gives the strongest sandbox that works on this machine."""

from macroslow.adapters.sandbox._backend import NoSandbox, ProcessSandbox
from macroslow.adapters.sandbox._choose import NATIVE, BackendReport, choose, probe
from macroslow.adapters.sandbox._confine import confine, hindrance
from macroslow.adapters.sandbox._launcher import ZygoteLauncher
from macroslow.adapters.sandbox._zygote import profile_of

__all__ = [
    "NATIVE",
    "BackendReport",
    "NoSandbox",
    "ProcessSandbox",
    "ZygoteLauncher",
    "choose",
    "confine",
    "hindrance",
    "probe",
    "profile_of",
]
