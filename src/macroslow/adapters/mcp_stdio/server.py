"""A server behind standard streams, as the gateway uses it: `mcp.upstream.UpstreamServer`.

When its program ends, the calls that it was asked fail and say so; none is repeated, since nobody knows what
it did.
"""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from macroslow.adapters.mcp_stdio.connection import Connection
from macroslow.adapters.mcp_stdio.peer import BrokenOffError, TooLongError
from macroslow.adapters.mcp_stdio.ports import Programs
from macroslow.mcp.client.catalogue import everything
from macroslow.mcp.client.errors import in_words_of_the_port, too_large
from macroslow.mcp.client.rpc import Reply, complete
from macroslow.mcp.upstream import JSON, Found, Progress

LIST_S: Final = 30.0  # one page of a list
_START_S: Final = 120.0  # for so long a look at the catalogue waits for the program
_ENVELOPE_BYTES: Final = 4096  # of a line around its result


class StdioServer:
    """One server that is a program. `command` is what the operator wrote, `programs` starts it in its box."""

    def __init__(
        self, name: str, command: Sequence[str], programs: Programs, *, max_result_bytes: int
    ) -> None:
        self._command = tuple(command)
        self._max_result_bytes = max_result_bytes
        self._connection = Connection(name, programs, max_result_bytes)

    @property
    def where(self) -> str:
        """The command, as one line from which it could be read again."""
        return shlex.join(self._command)

    async def discover(self) -> Found:
        """Everything that it offers; see the port."""
        talk = await self._connection.conversation(_START_S)

        async def ask(method: str, params: JSON) -> Reply:
            return await talk.peer.ask(method, params, talk.greeting.version, LIST_S)

        with self._in_words_of_the_port():
            return await everything(talk.greeting, ask)

    async def call_tool(
        self, name: str, arguments: JSON, *, timeout_s: float, progress: Progress | None = None
    ) -> JSON:
        """Call a tool, once."""
        return await self._call("tools/call", {"name": name, "arguments": arguments}, timeout_s, progress)

    async def get_prompt(self, name: str, arguments: Mapping[str, str], *, timeout_s: float) -> JSON:
        """Fill in a prompt."""
        return await self._call("prompts/get", {"name": name, "arguments": dict(arguments)}, timeout_s)

    async def read_resource(self, uri: str, *, timeout_s: float) -> JSON:
        """Read a resource by its own URI."""
        return await self._call("resources/read", {"uri": uri}, timeout_s)

    async def changed(self) -> None:
        """Return when it says that its lists changed, or it was begun again."""
        await self._connection.changed.wait()
        self._connection.changed.clear()

    async def close(self) -> None:
        """Ask it to end, and end it."""
        await self._connection.close()

    async def _call(
        self, method: str, params: JSON, timeout_s: float, progress: Progress | None = None
    ) -> JSON:
        """One request; its time begins when the program runs, for which it waits as long."""
        talk = await self._connection.conversation(timeout_s)
        with self._in_words_of_the_port():
            asking = talk.peer.ask(method, params, talk.greeting.version, timeout_s, progress)
            result, line_bytes = await asking
            if line_bytes > self._max_result_bytes + _ENVELOPE_BYTES:
                raise TooLongError
            return complete(result)

    @contextmanager
    def _in_words_of_the_port(self) -> Iterator[None]:
        name = self._connection.name
        try:
            with in_words_of_the_port(name):
                yield
        except BrokenOffError as error:
            raise self._connection.unavailable(f"broke off: {error}") from None
        except TooLongError:
            raise too_large(name, self._max_result_bytes) from None
        except TimeoutError:
            raise self._connection.unavailable("did not answer in time") from None
