"""From a raw path to a route, without decoding anything.

The path is matched as it stands in the request line: a percent escape, a dot segment, an empty
segment or a byte outside `A-Za-z0-9._~-` fits no route. So what was authorised and what is handled
cannot be two readings of one path.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from macroslow.errors import MethodNotAllowedError, NotFoundError
from macroslow.web.routes import LOG_PATHS, PUBLIC_PATHS, Route

VERSION: Final = b"/v1"
BASE_URLS: Final = "the base URL of OpenAI's clients ends in /v1, that of Anthropic's does not"
_SEGMENT: Final = re.compile(rb"[A-Za-z0-9_~-][A-Za-z0-9._~-]{0,127}")  # no leading dot: no `..`
_REST: Final = b"...}"
_NO_PARAMS: Final[Mapping[str, str]] = {}


@dataclass(frozen=True, slots=True)
class Found:
    """The routes of one path by method, and what its variable segments hold."""

    methods: Mapping[str, Route]
    params: Mapping[str, str]

    def route(self, method: str) -> Route:
        """The route for a method; HEAD is served where GET is. MethodNotAllowedError otherwise."""
        route = self.methods.get("GET" if method == "HEAD" else method)
        if route is None:
            raise MethodNotAllowedError(f"{method[:20]!r} is not served here", allowed=self.allowed)
        return route

    @property
    def allowed(self) -> tuple[str, ...]:
        """What an Allow header lists."""
        head = ("HEAD",) if "GET" in self.methods else ()
        return (*sorted(self.methods), *head, "OPTIONS")


class Router:
    """A table of routes, ready for look-up. Refuses a table that is open by mistake."""

    def __init__(self, routes: Iterable[Route]) -> None:
        fixed: dict[bytes, dict[str, Route]] = {}
        self._variable: dict[tuple[bytes, ...], dict[str, Route]] = {}
        for route in routes:
            if route.path not in LOG_PATHS and (route.scope is None) != (route.path in PUBLIC_PATHS):
                raise ValueError(f"{route.path}: a route has a scope, or is one of the public paths")
            path = route.path.encode("ascii")
            if b"{" in path:
                methods = self._variable.setdefault(tuple(path.split(b"/")), {})
            else:
                methods = fixed.setdefault(path, {})
            if route.method in methods:
                raise ValueError(f"{route.method} {route.path} is in the table twice")
            methods[route.method] = route
        self._fixed = {path: Found(methods, _NO_PARAMS) for path, methods in fixed.items()}

    def find(self, raw_path: bytes) -> Found:
        """Return what is served at a path. NotFoundError if nothing is."""
        fixed = self._fixed.get(raw_path)
        if fixed is not None:
            return fixed
        segments = raw_path.split(b"/")
        for template, methods in self._variable.items():
            params = _match(template, segments)
            if params is not None:
                return Found(methods, params)
        raise NotFoundError("no such path", fix=self._meant(raw_path))

    def _meant(self, raw_path: bytes) -> str:
        """The repair for a path that is none: mostly its base URL has /v1 once too often, or not at all."""
        path = b"/" + b"/".join(filter(None, raw_path.split(b"/")))
        for meant in (path, VERSION + path, path.removeprefix(VERSION)):
            if meant in self._fixed:
                return f"did you mean {meant.decode('ascii')}? {BASE_URLS}"
        served = [name.decode("ascii") for name in self._fixed if name.startswith(VERSION)]
        models = f"models are called at {', '.join(served)}; " if served else ""
        return f"{models}docs/reference/http.md has every path"


def _match(template: tuple[bytes, ...], segments: list[bytes]) -> dict[str, str] | None:
    if template[-1].endswith(_REST):
        return _match_rest(template[:-1], segments, template[-1][1 : -len(_REST)])
    if len(template) != len(segments):
        return None
    params: dict[str, str] = {}
    for expected, given in zip(template, segments, strict=True):
        if expected[:1] != b"{":
            if expected != given:
                return None
        elif _SEGMENT.fullmatch(given):
            params[expected[1:-1].decode("ascii")] = given.decode("ascii")
        else:
            return None
    return params


def _match_rest(template: tuple[bytes, ...], segments: list[bytes], name: bytes) -> dict[str, str] | None:
    """The same where all that follows the template, one segment at least, is one parameter."""
    rest = segments[len(template) :]
    if not rest or not all(map(_SEGMENT.fullmatch, rest)):
        return None
    params = _match(template, segments[: len(template)])
    return None if params is None else {**params, name.decode("ascii"): b"/".join(rest).decode("ascii")}
