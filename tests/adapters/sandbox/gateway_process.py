"""A gateway in a process of its own, as any user, with marked secrets that no code block may find.

`python gateway_process.py enter UID BACKEND FOLDER` (as root, or as UID itself) binds the interpreter
into FOLDER, where that user can read it, becomes UID and starts over with `serve`. It then reads
one job a line and writes one outcome a line. The first line that it writes says where the secrets are.
A line with a `program` is a box: its code gets the places as the first line of its standard input.
"""

import asyncio
import contextlib
import dataclasses
import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

SOURCES = str(Path(__file__).resolve().parents[3] / "src")


def enter(uid: int, backend: str, folder: Path) -> None:
    from macroslow.adapters.sandbox.inside import syscalls

    python = Path(sys.executable).resolve()
    if os.geteuid() == 0:
        prefix = folder / "python"
        prefix.mkdir()
        syscalls.unshare(syscalls.NEW_NS, "mount")
        syscalls.mount("", "/", flags=syscalls.MS_REC | syscalls.MS_PRIVATE)
        syscalls.mount(sys.base_prefix, str(prefix), flags=syscalls.MS_BIND)
        python = prefix / python.relative_to(Path(sys.base_prefix).resolve())
        if uid:
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
    libraries = [path for path in sys.path if Path(path).name == "site-packages"]
    environment = {
        "PYTHONPATH": ":".join([SOURCES, *libraries]),
        "SECRET": os.environ["SECRET"],
        "TMPDIR": str(folder),
    }
    command = [str(python), __file__, "serve", str(uid), backend, str(folder)]
    os.execve(python, command, environment)


def expose(folder: Path, secret: str) -> dict[str, list[Any]]:
    """Put the secret wherever a gateway has one."""
    state = folder / "gateway-state"
    state.mkdir()
    for name, mode in (("closed.key", 0o600), ("open.key", 0o644)):
        (state / name).write_text(secret)
        (state / name).chmod(mode)
    sibling = subprocess.Popen(
        [sys.executable, "-c", "import sys; sys.stdin.read()", secret], stdin=subprocess.PIPE
    )
    addresses: list[Any] = [
        ("127.0.0.1", 0),
        "\0sandbox-test-" + str(os.getpid()),
        str(state / "control.sock"),
    ]
    bound = []
    for address in addresses:
        listener = socket.socket(socket.AF_INET if isinstance(address, tuple) else socket.AF_UNIX)
        listener.bind(address)
        listener.listen()
        bound.append(listener.getsockname())
        threading.Thread(target=tell, args=(listener, secret), daemon=True).start()
    return {
        "pids": [os.getpid(), sibling.pid],
        "files": [str(state / "open.key"), str(state / "closed.key"), str(state), str(Path(__file__))],
        "ports": [bound[0][1]],
        "unix": ["@" + bound[1][1:].decode(), bound[2]],
    }


def tell(listener: socket.socket, secret: str) -> None:
    while True:
        peer, _ = listener.accept()
        with peer:
            peer.sendall(secret.encode())


@contextlib.asynccontextmanager
async def greet(listener: socket.socket) -> Any:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"egress: " + await reader.readline())
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, sock=listener):
        yield


async def in_a_box(given: dict[str, Any]) -> dict[str, Any]:
    """Run Python code as an operator's program; what it wrote, how it ended, how long that took."""
    from macroslow.adapters.sandbox._boxes import Boxes
    from macroslow.workflow.box import BoxLimits, Mount, Program

    prefix = Path(sys.base_prefix).resolve()
    mounts = () if prefix.is_relative_to("/usr") else (Mount(str(prefix), writable=False),)
    mounts += tuple(Mount(path, writable) for path, writable in given.get("mounts", {}).items())
    python = [str(Path(sys.executable).resolve()), "-I", "-S", "-c"]
    prelude = "import json, sys; inputs = json.loads(sys.stdin.readline())\n"
    command = (*python, prelude + given["program"])
    boxes = Boxes(Program("hostile", command, mounts, limits=BoxLimits(**given.get("limits", {}))))
    box = await boxes.start(given.get("environment", {}))
    try:
        await box.write(json.dumps(given["inputs"]).encode() + b"\n")
        if not given.get("silent"):
            box.hang_up()
        said = b""
        while len(said) < 1024 * 1024 and (chunk := await box.read(64 * 1024)):
            said += chunk
        ended = await box.ended() if len(said) < 1024 * 1024 else ""
        last_words = box.last_words()
    finally:
        await box.close()
        await boxes.close()
    return {"stdout": said.decode("utf-8", "replace"), "ended": ended, "last_words": last_words}


async def serve(backend: str, folder: Path) -> None:
    from macroslow.adapters.sandbox import ProcessSandbox
    from macroslow.workflow.sandbox import Block, Job, Limits

    sandbox = ProcessSandbox(backend, preload=())
    places = expose(folder, os.environ["SECRET"])
    print(json.dumps({"places": places, "counts_memory": sandbox.counts_memory}), flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        given = json.loads(line)
        if "program" in given:
            print(json.dumps(await in_a_box(given)), flush=True)
            continue
        given["blocks"] = tuple(Block(**block) for block in given["blocks"])
        given["limits"] = Limits(**given.get("limits", {}))
        job = Job(**given)
        outcome = await sandbox.run(job, greet if job.wants_egress else None)
        answer = dataclasses.asdict(outcome)
        answer["result_json"] = outcome.result_json and outcome.result_json.decode()
        print(json.dumps(answer), flush=True)
    await sandbox.close()
    os._exit(0)


if __name__ == "__main__":
    if sys.argv[1] == "enter":
        sys.path.insert(0, SOURCES)
        enter(int(sys.argv[2]), sys.argv[3], Path(sys.argv[4]))
    else:
        asyncio.run(serve(sys.argv[3], Path(sys.argv[4])))
