"""A gateway and its witnesses as processes: what receipts say, one that goes, a log that went back."""

import asyncio
import json
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from tests.e2e.conftest import Site, make_site, wait_until
from tests.e2e.documents import document
from tests.log_tools import aics
from tests.ports import held_port
from tests.postgres import postgres_server
from tests.witness import OwnWitness, served

from macroslow.crypto.note_keys import NoteType
from macroslow.tlog import note, policy, tree
from macroslow.tlog.checkpoint import LogPublicKey


@contextmanager
def in_a_thread(witnesses: Sequence[OwnWitness]) -> Iterator[None]:
    """Have them listen while the test goes its own way."""
    ready, loop = threading.Event(), asyncio.new_event_loop()
    over = asyncio.Event()

    async def serve() -> None:
        async with served(*witnesses):
            ready.set()
            await over.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        assert ready.wait(30)
        yield
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(30)
        loop.close()


@contextmanager
def stranger(folder: Path, log_key: LogPublicKey, environment: dict[str, str]) -> Iterator[tuple[str, str]]:
    """aics-witness as a process of its own; its URL and verifier key. It ends with the context."""
    program, config = aics("aics-witness"), folder / "witness.json"

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [program, *arguments],
            env=environment,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    with held_port() as port:
        address = f"127.0.0.1:{port}"
        run("init", "--config", str(config), "--name", "aics.example/w1", "--listen", address)
        run("add-log", "-c", str(config), "--origin", log_key.origin, "--vkey", log_key.ed25519.vkey)
        vkey = json.loads(run("status", "-c", str(config), "--json"))["witness"]["vkey"]
        process = subprocess.Popen(
            [program, "serve", "-c", str(config)], env=environment, stderr=subprocess.DEVNULL
        )
        try:
            yield f"http://{address}", vkey
        finally:
            process.terminate()
            process.wait(30)


def own(name: str, log_key: LogPublicKey, note_type: NoteType) -> OwnWitness:
    return OwnWitness(name, log_key, note_type, time_s=int(time.time()))


def log_key(site: Site) -> LogPublicKey:
    """The log's key; makes the state."""
    site.key("first")
    return LogPublicKey.parse(site.command("audit", "key").stdout)


def table(name: str, url: str, vkey: str) -> str:
    return f'[log.witnesses.{name}]\nurl = "{url}"\nkey = "{vkey}"\n'


def configure(site: Site, text: str) -> None:
    file = site.folder / "macroslow.toml"
    file.write_text(file.read_text() + text)


def ready(site: Site) -> bool:
    return site.call("GET", "/health/ready").status == 200


def prove(site: Site, key: str) -> str:
    """One run's receipt, verified by the command with the log's policy; what it said."""
    answered = site.execute(key, document('result = {"sum": 42}'))
    assert answered.status == 200, answered.body
    (site.folder / "answer.json").write_bytes(answered.body)
    (site.folder / "log.pub").write_text(site.ask("audit.key")["key"])
    (site.folder / "log.policy").write_text(site.ask("audit.policy")["policy"])
    verified = site.command("receipt", "verify", "answer.json", "--key", "log.pub", "--policy", "log.policy")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    return verified.stdout


@pytest.mark.sweep
def test_receipts_are_witnessed_by_strangers_and_by_two_of_three_when_one_has_gone(
    tmp_path: Path, emulator_url: str, clean_environment: dict[str, str]
) -> None:
    site = make_site(tmp_path / "site", emulator_url, clean_environment)
    key = log_key(site)
    two = [own("w2.example", key, NoteType.ED25519_COSIGNATURE), own("w3.example", key, NoteType.ML_DSA_44)]
    with ExitStack() as stack:
        stack.enter_context(in_a_thread(two))
        with stranger(tmp_path, key, clean_environment) as (url, vkey):
            configure(
                site,
                "[log]\nwitness_timeout_ms = 30000\nquorum = 3\n"
                + table("w1", url, vkey)
                + "".join(table(one.name[:2], one.url, one.vkey) for one in two),
            )
            site.start()
            wait_until(lambda: ready(site))
            caller = site.client("ann", scopes=["documents:execute", "audit:read"])
            assert "witnessed 3 of 3" in prove(site, caller)
            states = site.ask("audit.witnesses")["witnesses"]
            assert [one["error"] for one in states] == [None] * 3
        site.stop()
        file = site.folder / "macroslow.toml"
        file.write_text(file.read_text().replace("quorum = 3", "quorum = 2"))
        site.start()
        wait_until(lambda: ready(site))
        assert "witnessed 2 of 3" in prove(site, caller)
        gone, *others = site.ask("audit.witnesses")["witnesses"]
        assert gone["name"] == "w1"
        assert "cannot be reached" in gone["error"]
        assert [one["error"] for one in others] == [None, None]
        published = site.call("GET", "/log/checkpoint", headers={"x-api-key": caller})
        judged = policy.parse((site.folder / "log.policy").read_bytes()).judge(note.parse(published.body))
        assert (judged.signed, judged.met) == (("w2", "w3"), True)
        site.stop()


@pytest.mark.sweep
def test_a_restored_backup_is_not_served_until_the_newest_books_are_back(
    tmp_path: Path, emulator_url: str, clean_environment: dict[str, str]
) -> None:
    """Without a high-water mark, as on another machine: the witnesses alone know better."""
    site = make_site(tmp_path / "site", emulator_url, clean_environment)
    configure(site, '[log]\nhigh_water = "off"\n')
    key = log_key(site)
    one = own("w1.example", key, NoteType.ED25519_COSIGNATURE)
    with in_a_thread([one]):
        configure(site, "witness_timeout_ms = 30000\n" + table("w1", one.url, one.vkey))
        site.start()
        wait_until(lambda: ready(site))
        caller = site.client("ann", scopes=["documents:execute", "audit:read"])
        prove(site, caller)
        site.stop()
        witnessed = one.size
        assert witnessed == site.data("audit", "tail")["size"]  # to its last entry
        shutil.copytree(site.state, tmp_path / "backup")
        one.asked.clear()
        site.start()
        wait_until(lambda: ready(site))
        assert 0 not in one.asked  # what it cosigned is known from the stored checkpoint
        prove(site, caller)
        site.stop()

        seen = one.size
        newest = site.state.rename(tmp_path / "newest")
        shutil.copytree(tmp_path / "backup", site.state)
        site.start()
        wait_until(lambda: "rolled back or forked" in site.said)
        assert not ready(site)
        assert site.execute(caller, document("result = {}")).status == 503
        reasons = site.ask("audit.witnesses")["witnesses"][0]["error"]
        assert f"cosigned {seen} entries of this log" in reasons
        signed = site.call("GET", "/log/checkpoint", headers={"x-api-key": caller})
        assert (signed.status, note.parse_body(note.parse(signed.body).text).size) == (200, witnessed)
        site.stop()
        assert one.size == seen

        shutil.rmtree(site.state)
        newest.rename(site.state)
        site.start()
        wait_until(lambda: ready(site))
        prove(site, caller)
        site.stop()


@pytest.mark.sweep
def test_a_log_in_postgresql_is_witnessed_through_a_kill_and_not_served_once_it_went_back(
    tmp_path: Path, emulator_url: str, clean_environment: dict[str, str]
) -> None:
    with postgres_server() as database:
        environment = clean_environment | {"DATABASE_URL": database.url}
        site = make_site(
            tmp_path / "site", emulator_url, environment, '[state]\ndatabase = "env:DATABASE_URL"\n'
        )
        key = log_key(site)
        two = [
            own("w1.example", key, NoteType.ED25519_COSIGNATURE),
            own("w2.example", key, NoteType.ML_DSA_44),
        ]
        with in_a_thread(two):
            tables = "".join(table(one.name[:2], one.url, one.vkey) for one in two)
            configure(site, '[log]\nhigh_water = "off"\nwitness_timeout_ms = 30000\nquorum = 2\n' + tables)
            site.start()
            wait_until(lambda: ready(site))
            caller = site.client("ann", scopes=["documents:execute", "audit:read"])
            assert "witnessed 2 of 2" in prove(site, caller)
            site.stop(signal.SIGKILL)
            site.start()
            wait_until(lambda: ready(site))
            assert "witnessed 2 of 2" in prove(site, caller)
            site.stop()
            assert {one.size for one in two} == {site.data("audit", "tail")["size"]}

            for one in two:  # as if the database had been put back by one entry
                one.size, one.root = one.size + 1, b"\x01" * 32
            site.start()
            wait_until(lambda: "rolled back or forked" in site.said)
            assert not ready(site)
            assert site.execute(caller, document("result = {}")).status == 503
            site.stop()


@pytest.mark.sweep
def test_a_declared_fork_is_not_served_until_the_witnesses_know_the_new_log(
    tmp_path: Path, emulator_url: str, clean_environment: dict[str, str]
) -> None:
    outside = {"XDG_STATE_HOME": str(tmp_path / "outside")}
    site = make_site(tmp_path / "site", emulator_url, clean_environment | outside)
    key = log_key(site)
    one = own("w1.example", key, NoteType.ED25519_COSIGNATURE)
    with in_a_thread([one]):
        configure(site, "[log]\nwitness_timeout_ms = 30000\n" + table("w1", one.url, one.vkey))
        site.start()
        wait_until(lambda: ready(site))
        caller = site.client("ann", scopes=["documents:execute", "audit:read"])
        prove(site, caller)
        site.stop()
        site.data("audit", "fork", "--reason", "the books are lost", "--yes")
        site.start()
        wait_until(lambda: site.ask("audit.witnesses")["witnesses"][0]["error"] is not None)
        assert not ready(site)
        assert site.execute(caller, document("result = {}")).status == 503
        one.log_key = LogPublicKey.parse(site.ask("audit.key")["key"])
        one.size, one.root = 0, tree.EMPTY_ROOT
        wait_until(lambda: ready(site))
        assert "witnessed 1 of 1" in prove(site, caller)
        site.stop()
