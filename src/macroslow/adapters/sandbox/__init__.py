"""Running code behind walls: `choose` gives the strongest sandbox that works here, `Boxes` one program's."""

from macroslow.adapters.sandbox._backend import NoSandbox, ProcessSandbox
from macroslow.adapters.sandbox._box import Box
from macroslow.adapters.sandbox._boxes import Boxes, box_name, box_profile
from macroslow.adapters.sandbox._choose import BackendReport, choose, probe
from macroslow.adapters.sandbox._confine import confine, hindrance
from macroslow.adapters.sandbox._launcher import ZygoteLauncher
from macroslow.adapters.sandbox._mounts import refusal as mount_refusal
from macroslow.adapters.sandbox._profile import profile_of
from macroslow.adapters.sandbox.inside.wire import NATIVE

__all__ = [
    "NATIVE",
    "BackendReport",
    "Box",
    "Boxes",
    "NoSandbox",
    "ProcessSandbox",
    "ZygoteLauncher",
    "box_name",
    "box_profile",
    "choose",
    "confine",
    "hindrance",
    "mount_refusal",
    "probe",
    "profile_of",
]
