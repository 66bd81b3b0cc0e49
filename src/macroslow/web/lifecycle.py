"""Where the server stands between its start and its end: readiness says no before work is cut off."""

import enum


class Phase(enum.StrEnum):
    """The three times of a server's life."""

    STARTING = "starting"
    SERVING = "serving"
    STOPPING = "shutting down"


class Lifecycle:
    """One per process. The phase only moves forward."""

    def __init__(self) -> None:
        self.phase = Phase.STARTING

    def serve(self) -> None:
        """The listeners are open and everything is wired."""
        if self.phase is Phase.STARTING:
            self.phase = Phase.SERVING

    def stop(self) -> None:
        """No new work; what runs may finish."""
        self.phase = Phase.STOPPING
