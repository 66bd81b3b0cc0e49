"""The machine's clock and entropy, which every assembly is given."""

from typing import Final

from macroslow.adapters.system import SystemClock, SystemEntropy

clock: Final = SystemClock()
entropy: Final = SystemEntropy()
