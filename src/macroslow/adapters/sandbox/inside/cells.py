"""The Python blocks of one run: one process, one shared namespace, like cells of a notebook.

Line numbers are the document's, and tracebacks show the document's frames, not this module's.
The code shares this process, so everything that leaves it here is the code's own word.
"""

import builtins
import contextlib
import errno
import json
import keyword
import linecache
import os
import socket
import sys
import traceback
import types
from collections.abc import Iterator, Mapping
from typing import Any, Final

from . import wire

RESERVED: Final = frozenset({"inputs", "result", "main", "apis", "sources"})
_HERE: Final = os.path.dirname(__file__)  # noqa: PTH120 - this side stays free of pathlib
_MAX_ERROR_CHARS: Final = 400
_LOOKUPS: Final = frozenset(
    {"socket.connect", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo", "socket.gethostbyname"}
)


def becomes_variable(name: str) -> bool:
    """Whether an input is also a variable of its own name."""
    dunder = name.startswith("__") and name.endswith("__")
    taken = keyword.iskeyword(name) or hasattr(builtins, name) or name in RESERVED
    return name.isidentifier() and not dunder and not taken


class Cells:
    """Runs blocks in one namespace."""

    def __init__(self, inputs: Mapping[str, Any], apis: Mapping[str, str]) -> None:
        module = types.ModuleType("__main__")
        sys.modules["__main__"] = module
        self._namespace: dict[str, Any] = vars(module)
        self._inputs = inputs
        self._refused: list[str] = []
        self._namespace.update({name: value for name, value in inputs.items() if becomes_variable(name)})
        self._namespace.update(inputs=inputs, apis=dict(apis))
        sys.addaudithook(self._explain_refusal)

    def run(self, name: str, code: str, line: int, result_descriptor: int | None) -> tuple[int, str]:
        """Run one block; return its exit code and one sentence on what went wrong, if anything did.

        With `result_descriptor` (the last Python block) the document's result is written there.
        """
        filename = f"<block {name}>"
        source = "\n" * (line - 1) + code
        linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
        before = self._namespace.get("main")
        self._refused.clear()
        try:
            exec(compile(source, filename, "exec", dont_inherit=True), self._namespace)  # noqa: S102
            if result_descriptor is not None:
                self._hand_over(result_descriptor, before)
        except SystemExit as leaving:
            return self._exit_code(leaving.code)
        except BaseException as error:  # noqa: BLE001 - whatever the code raised is its outcome
            return 1, self._report(error)
        return 0, ""

    def _hand_over(self, descriptor: int, main_before: object) -> None:
        main = self._namespace.get("main")
        if callable(main) and main is not main_before:
            value = main(self._inputs)
        elif "result" in self._namespace:
            value = self._namespace["result"]
        else:
            return
        try:
            text = json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
        except (TypeError, ValueError, RecursionError) as error:
            raise TypeError(f"the result of the document is not JSON: {error}") from None
        while text:
            text = text[os.write(descriptor, text) :]

    @staticmethod
    def _exit_code(code: object) -> tuple[int, str]:
        if code is None or code == 0:
            return 0, ""
        if not isinstance(code, int):
            print(code, file=sys.stderr)
            code = 1
        return code & 0xFF, f"The block called exit with code {code & 0xFF}."

    def _report(self, error: BaseException) -> str:
        """Print the traceback as the document's author should see it; return it in one sentence."""
        shown = traceback.TracebackException.from_exception(error)
        for part in _chain(shown):
            own = [frame for frame in part.stack if not frame.filename.startswith(_HERE)]
            part.stack = traceback.StackSummary.from_list(own)
        print("".join(shown.format()), end="", file=sys.stderr)
        lines = [frame.lineno for frame in shown.stack if frame.filename.startswith("<block ")]
        where = f" (line {lines[-1]})" if lines else ""
        sentence = list(shown.format_exception_only())[-1].strip()[:_MAX_ERROR_CHARS] + where
        hints = [text for text in dict.fromkeys(self._refused) if text not in sentence]
        return " ".join([sentence, *hints[:1]])

    def _explain_refusal(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Say, where a direct connection is tried, what to write instead. The wall itself is elsewhere."""
        if event not in _LOOKUPS:
            return
        host = _host(event, arguments)
        if host is None or host == "localhost" or host.startswith("127.") or host == "::1":
            return
        text = (
            f"This run cannot reach {host[:200]!r} directly: its document must list"
            ' "api://NAME" under permissions.execute, where NAME is what the operator calls that API,'
            ' and use the address apis["NAME"].'
        )
        self._refused.append(text)
        raise OSError(errno.ENETUNREACH, text)


def _host(event: str, arguments: tuple[Any, ...]) -> str | None:
    target = arguments[0] if event.startswith("socket.get") else arguments[1]
    if event.startswith("socket.get"):
        host = target
    elif arguments[0].family in {socket.AF_INET, socket.AF_INET6} and isinstance(target, tuple):
        host = target[0]
    else:
        return None
    return host.decode("ascii", "replace") if isinstance(host, bytes) else host or None


def _chain(shown: traceback.TracebackException) -> Iterator[traceback.TracebackException]:
    """All tracebacks that will be printed with this one."""
    waiting = [shown]
    while waiting:
        part = waiting.pop()
        yield part
        group = getattr(part, "exceptions", None) or []
        waiting += [other for other in (part.__cause__, part.__context__, *group) if other is not None]


def _open_streams() -> None:
    """New text streams over descriptors 1 and 2, in case a block closed or replaced the old ones."""
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        stream = open(  # noqa: SIM115 - lives as long as the block
            descriptor, "w", encoding="utf-8", errors="backslashreplace", closefd=False
        )
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def serve(channel: socket.socket, environment: Mapping[str, str]) -> None:
    """Learn the job from the first message, then run the blocks that arrive, until the channel closes."""
    own_pid = os.getpid()
    try:
        _, descriptors = wire.receive(channel)
        job = wire.read_job(descriptors[0])
        os.close(descriptors[0])
        os.environ.clear()
        os.environ.update({**environment, **job["environment"]})
        cells = Cells(job["inputs"], job["apis"])
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
        sys.argv = [""]
        while True:
            message, descriptors = wire.receive(channel)
            exit_code, error = _run_block(cells, job["blocks"][message["index"]], descriptors)
            if os.getpid() != own_pid:  # a fork that ran off the end of the block
                os._exit(exit_code)
            for descriptor in descriptors[2:]:
                os.close(descriptor)
            wire.send(channel, {"exit_code": exit_code, "error": error})
    except (EOFError, ValueError, OSError):  # the run is over, or the code broke its own channel
        os._exit(0)


def _run_block(cells: Cells, block: Mapping[str, Any], descriptors: list[int]) -> tuple[int, str]:
    for stream, descriptor in enumerate(descriptors[:2], start=1):
        os.dup2(descriptor, stream)
        os.close(descriptor)
    _open_streams()
    result = descriptors[2] if len(descriptors) > 2 else None
    exit_code, error = cells.run(block["name"], block["code"], block["line"], result)
    for text in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # closed by the block: nothing is left to write
            text.flush()
    return exit_code, error
