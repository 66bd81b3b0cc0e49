"""The signer's process: it gives what the engine gives, to its gateway alone, for as long as that lives."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.adapters.signer.trees import RIVALS, head, proof

from macroslow.adapters.signer import SignerProcess
from macroslow.crypto import statements
from macroslow.errors import ConfigurationError, LogUnavailableError, VerificationError
from macroslow.ports import Signer, Statement
from macroslow.tlog.checkpoint import verify_checkpoint

MAIN = "macroslow.bootstrap.signing.main"


def process_of(signer: SignerProcess) -> subprocess.Popen[bytes]:
    """The process that was started for it."""
    assert signer.process is not None
    return signer.process


@asynccontextmanager
async def opened(folder: Path, **changed: object) -> AsyncIterator[SignerProcess]:
    request: dict[str, object] = {"state": str(folder), "origin": None, "new_origin": "gateway.example/log"}
    request |= {"keys": None, "binding": False}
    subject = SignerProcess.start(MAIN)
    try:
        await subject.open({**request, "marks": str(folder / "marks"), **changed})
        yield subject
    finally:
        await subject.close()


async def test_a_new_folder_gets_its_keys_and_they_sign(tmp_path: Path) -> None:
    async with opened(tmp_path) as subject:
        signer: Signer = subject
        note = await signer.checkpoint(7, head(7).root, [])
        assert verify_checkpoint(note, subject.keys.current).size == 7
        answer = await signer.answer(Statement({"a": 1}))
        with pytest.raises(VerificationError):  # the key of answers is no key of histories
            statements.verify(answer, lambda _: None, use="history")
        with pytest.raises(ValueError, match="ASCII"):
            await signer.answer(Statement({"é": 1}))
        with pytest.raises(VerificationError, match="different trees"):
            await signer.checkpoint(7, head(7, RIVALS[1:]).root, [])
        with pytest.raises(ValueError, match="too large"):
            await signer.history(Statement({"a": "x" * 2_000_000}))
        fingerprint = subject.keys.current.fingerprint
    async with opened(tmp_path) as subject:
        assert subject.keys.current.fingerprint == fingerprint
        assert subject.last == head(7)


async def test_many_calls_at_once_are_answered_each_with_its_own(tmp_path: Path) -> None:
    async with opened(tmp_path) as subject:
        texts = await asyncio.gather(*(subject.answer(Statement({"n": n})) for n in range(20)))
        for number, text in enumerate(texts):
            payload, _ = statements._take_apart(text)
            assert payload == b'{"n":%d}' % number


async def test_a_caller_that_goes_away_takes_nobodys_answer(tmp_path: Path) -> None:
    async with opened(tmp_path) as subject:
        tasks = [
            asyncio.create_task(subject.checkpoint(size, head(size).root, proof(size - 1, size)))
            for size in range(1, 6)
        ]
        await asyncio.sleep(0)
        tasks[1].cancel()
        notes = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(notes[1], asyncio.CancelledError)
        for size in (1, 3, 4, 5):
            note = notes[size - 1]
            assert isinstance(note, bytes)
            assert verify_checkpoint(note, subject.keys.current).size == size


async def test_signals_of_a_stop_do_not_end_it(tmp_path: Path) -> None:
    async with opened(tmp_path) as subject:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            process_of(subject).send_signal(number)
        await subject.checkpoint(7, head(7).root, [])
    assert process_of(subject).returncode == 0


async def test_when_it_dies_every_call_fails_and_none_hangs(tmp_path: Path) -> None:
    async with opened(tmp_path) as subject:
        assert subject.alive
        process_of(subject).send_signal(signal.SIGSTOP)
        waiting = asyncio.create_task(subject.checkpoint(7, head(7).root, []))
        await asyncio.sleep(0)
        process_of(subject).kill()
        with pytest.raises(LogUnavailableError, match="has ended"):
            await waiting
        with pytest.raises(LogUnavailableError, match="has ended"):
            await subject.answer(Statement({}))
        assert not subject.alive


async def test_it_ends_with_its_gateway(tmp_path: Path) -> None:
    subject = SignerProcess.start(MAIN)
    await subject.close()  # never opened
    assert process_of(subject).returncode == 0
    assert not (tmp_path / "keys").exists()


async def test_keys_that_do_not_serve_are_told_in_its_own_words(tmp_path: Path) -> None:
    async with opened(tmp_path):
        pass
    with pytest.raises(ConfigurationError, match="names 'other'") as caught:
        async with opened(tmp_path, origin="other"):
            pass
    assert caught.value.fix
    (tmp_path / "keys" / "signer" / "history.json").unlink()
    with pytest.raises(ConfigurationError, match="cannot be read"):
        async with opened(tmp_path):
            pass


async def test_a_request_that_opens_nothing_ends_it(tmp_path: Path) -> None:
    with pytest.raises(LogUnavailableError, match="has ended"):
        async with opened(tmp_path, marks=5):
            pass


@pytest.mark.skipif(os.geteuid() != 0, reason="it lets nobody else look")
async def test_it_knows_no_secret_of_the_gateway_and_gives_up_what_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-a-secret-of-the-gateway")
    with (tmp_path / "open").open("w") as held:
        os.set_inheritable(held.fileno(), True)
        async with opened(tmp_path) as subject:
            proc = Path("/proc", str(process_of(subject).pid))
            status = dict(line.split(":\t", 1) for line in (proc / "status").read_text().splitlines())
            assert status["NoNewPrivs"] == "1"
            assert (proc / "environ").read_bytes() == b""
            targets = sorted(str(each.readlink()) for each in (proc / "fd").iterdir())
            assert [target.split(":")[0] for target in targets] == ["/dev/null"] * 3 + ["socket"]
            (core,) = [line for line in (proc / "limits").read_text().splitlines() if "core" in line]
            assert core.split()[4:6] == ["0", "0"]


_LOOK = """
import asyncio, os, sys
from pathlib import Path
from macroslow.adapters.signer import SignerProcess

from macroslow.adapters.sandbox.inside import syscalls

async def main():
    signer = SignerProcess.start("macroslow.bootstrap.signing.main")
    folder = sys.argv[1]
    request = {"state": folder, "origin": None, "new_origin": "a.example", "marks": None}
    await signer.open({**request, "keys": None, "binding": False})
    syscalls.drop_capabilities()  # root without them is a user as others
    seen = []
    for name in ("mem", "environ", "maps", "auxv"):
        path = f"/proc/{signer.process.pid}/{name}"
        try:
            open(path, "rb").read(1)
            seen.append(name)
        except PermissionError:
            pass
    await signer.close()
    print(seen)

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="told by /proc")
def test_a_process_of_the_same_user_cannot_look_into_it(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _LOOK, str(tmp_path)], check=False, capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "[]\n", done.stderr
