"""What a handler gets and gives: one request, one response, no framework between."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from macroslow.authn.principal import Principal
from macroslow.web.media_types import JSON

Headers = Sequence[tuple[bytes, bytes]]
"""Names in lower case, as ASGI has them."""

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

JSON_HEADERS: Final[Headers] = ((b"content-type", JSON.encode("ascii")),)


@dataclass(slots=True)  # not frozen: one is made per request, and freezing costs a microsecond
class Request:
    """One request that has passed the gate. `principal` is None on the public routes alone.

    `params` are the path's variable segments (letters, digits and `._~-`), `query` is raw, and
    `media_type` is the body's, in lower case and without parameters ("" without a body). Headers
    that matter to the gate are there at most once; of others `by_name` has the last copy. A handler
    whose caller hangs up is cancelled.
    """

    method: str
    path: str
    query: bytes
    headers: Headers
    by_name: Mapping[bytes, bytes]
    params: Mapping[str, str]
    media_type: str
    body: bytes
    principal: Principal | None
    request_id: str
    encrypted: bool = False

    def header(self, name: bytes) -> bytes | None:
        """The first value of a header."""
        values = self.values(name)
        return values[0] if values else None

    def values(self, name: bytes) -> Sequence[bytes]:
        """The values of all copies of a header."""
        if name not in self.by_name:
            return ()
        return [value for key, value in self.headers if key == name]

    @property
    def caller(self) -> Principal:
        """The principal of a route that demands one."""
        if self.principal is None:
            raise RuntimeError("a public route asked who its caller is")
        return self.principal


@dataclass(slots=True)
class Response:
    """An answer. Bytes are sent with their length; an iterator is sent as it yields and then closed.

    `nothing_done`: somebody behind us refused, and the same request may be sent again.
    """

    status: int
    headers: Headers = ()
    body: bytes | AsyncIterator[bytes] = b""
    nothing_done: bool = False


def json_response(value: object, status: int = 200) -> Response:
    """An answer in JSON."""
    return Response(status, JSON_HEADERS, orjson.dumps(value))
