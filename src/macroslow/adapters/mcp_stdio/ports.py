"""What a server needs from the sandbox that runs it."""

from typing import Protocol


class Streams(Protocol):
    """A program that was started. One task reads, one writes; neither after `close`."""

    async def read(self, most_bytes: int) -> bytes:
        """Some of what it wrote to its standard output; b"" at the end."""
        ...

    async def write(self, data: bytes) -> None:
        """Return once the program's pipe has all of it; OSError if it reads no more."""
        ...

    def hang_up(self) -> None:
        """Close its standard input, which asks a server to end."""
        ...

    async def ended(self) -> str:
        """How it ended, in one sentence without its subject's name, once it has."""
        ...

    def last_words(self) -> str:
        """The end of what it wrote to its standard error, or "": harmless to a log, and for it alone."""
        ...

    async def close(self) -> None:
        """End it and all that it started, now."""
        ...


class Programs(Protocol):
    """Starts one program, whenever it is wanted anew."""

    async def start(self) -> Streams:
        """Start it. Raises SandboxUnavailableError, with the reason, if it cannot be started."""
        ...

    async def close(self) -> None:
        """End what was needed to start it."""
        ...
