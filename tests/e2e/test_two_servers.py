"""Starting, standing beside another, and ending: one server a folder, plain exit codes, nothing torn."""

import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.e2e.conftest import MACROSLOW, Site, emulating, make_site, wait_until
from tests.e2e.documents import document
from tests.ports import held_port

BAD_CONFIGURATION = 78
CANARY = "sk-canary-Zr8Qw3Lx0Tn5Vb7Kd2Hs9Mf4"


@pytest.fixture
def stopped(tmp_path, emulator_url, clean_environment) -> Site:
    """A configured folder in which nothing runs."""
    return make_site(tmp_path / "site", emulator_url, clean_environment)


def test_a_second_server_exits_78_and_names_the_process_that_holds_the_folder(site):
    second = site.command("serve", "--listen", "127.0.0.1:0")
    assert second.returncode == BAD_CONFIGURATION
    assert str(site.server.pid) in second.stderr
    assert "Traceback" not in second.stderr
    assert site.call("GET", "/health/ready").status == 200


@pytest.mark.sweep
def test_commands_say_the_same_beside_the_running_server_and_without_one(stopped):
    stopped.start()
    key = stopped.client("ada", budget_usd_micros=5_000_000)
    assert stopped.chat(key).status == 200
    reads = (("keys", "list"), ("usage",), ("signers", "list"))
    with ThreadPoolExecutor(len(reads)) as at_once:
        beside = [*at_once.map(lambda read: stopped.data(*read), reads)]
    tail = stopped.data("audit", "tail")["entries"]
    assert stopped.stop() == 0
    assert [stopped.data(*read) for read in reads] == beside
    assert stopped.data("audit", "tail")["entries"][: len(tail)] == tail
    (made,) = beside[0]["keys"]
    assert made["spent_usd_micros"] > 0
    # What is decided without a server holds for the next one.
    assert stopped.command("keys", "revoke", made["id"]).returncode == 0
    stopped.start()
    assert stopped.chat(key).status == 401
    assert stopped.stop() == 0


@pytest.fixture(scope="module")
def slow_emulator_url(clean_environment) -> Iterator[str]:
    """A provider whose answers take some seconds, so that a signal finds them under way."""
    with emulating(clean_environment, "--latency", "per_token_ms=30") as url:
        yield url


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(signal.SIGTERM, id="SIGTERM"),
        pytest.param(signal.SIGINT, id="Ctrl-C", marks=pytest.mark.sweep),
    ],
)
def test_a_signal_lets_running_requests_end_takes_no_new_ones_and_exits_0(
    tmp_path, slow_emulator_url, clean_environment, number
):
    patient = "\n[server]\nshutdown_grace_s = 100\n"
    stopped = make_site(tmp_path / "site", slow_emulator_url, clean_environment, patient)
    stopped.start()
    key = stopped.client("ada")
    with ThreadPoolExecutor(2) as elsewhere:
        run = elsewhere.submit(
            stopped.execute, key, document("import time\ntime.sleep(1.5)\nresult = 'ended'")
        )
        chat = elsewhere.submit(stopped.chat, key, stream=True, messages=_words(100))
        headers = {"x-api-key": key}
        wait_until(lambda: stopped.call("GET", "/runs", headers=headers).json["runs"])
        wait_until(lambda: any(key["held_usd_micros"] for key in stopped.ask("keys.list")["keys"]))
        stopped.server.send_signal(number)
        wait_until(lambda: not _accepts(stopped.url))
        code = stopped.server.wait(100)
        assert run.result().json["result"] == "ended"
        assert b"[DONE]" in chat.result().body
    assert code == 0
    assert "Traceback" not in stopped.said
    stopped.server.stdout.close()
    assert not (stopped.state / "control.sock").exists()
    assert stopped.data("audit", "tail")["entries"][-1]["type"] == "server-stopped"


def _words(count: int) -> list[dict[str, str]]:
    return [{"role": "user", "content": f"Answer with {count} words"}]


def _accepts(url: str) -> bool:
    host, _, port = url.removeprefix("http://").partition(":")
    try:
        socket.create_connection((host, int(port))).close()
    except OSError:
        return False
    return True


def _refused(site: Site, *arguments: str) -> str:
    """What `serve` says when it must not start."""
    refused = site.command("serve", "--listen", "127.0.0.1:0", *arguments)
    assert refused.returncode == BAD_CONFIGURATION, refused.stderr
    assert "Traceback" not in refused.stderr
    assert "fix:" in refused.stderr
    assert CANARY not in refused.stderr + refused.stdout
    assert not refused.stdout
    return refused.stderr


@pytest.mark.parametrize(
    ("dotenv", "why"),
    [
        ("OPENAI_API_KEY=your_openai_api_key_here\n", "placeholder"),
        ("OPENAI_API_KEY=\n", "env:OPENAI_API_KEY is set neither"),
        (f"ANOTHER_KEY={CANARY}\n", "env:OPENAI_API_KEY is set neither"),
    ],
    ids=["placeholder", "empty", "unresolved"],
)
def test_a_secret_that_is_none_stops_the_start_and_the_line_is_named(stopped, dotenv, why):
    (stopped.folder / ".env").write_text(dotenv)
    said = _refused(stopped)
    assert why in said
    assert "macroslow.toml:4" in said
    assert "providers.openai.key" in said


def test_every_mistake_in_the_configuration_is_named_with_its_line_and_no_value(stopped):
    with (stopped.folder / "macroslow.toml").open("a") as file:
        file.write(f'\n[server]\nlisten_on = "{CANARY}"\n[providers.openai.limits]\nrpm = "{CANARY}"\n')
    said = _refused(stopped)
    assert 'did you mean "listen"?' in said
    lines = (stopped.folder / "macroslow.toml").read_text().splitlines()
    for key in ("listen_on", "rpm"):
        number = next(at for at, line in enumerate(lines, 1) if line.startswith(key))
        assert f"macroslow.toml:{number}" in said


def test_a_key_written_into_the_configuration_is_refused_and_not_repeated(stopped):
    toml = stopped.folder / "macroslow.toml"
    toml.write_text(toml.read_text().replace("env:OPENAI_API_KEY", CANARY))
    assert "macroslow.toml:4" in _refused(stopped)


def test_a_port_in_use_is_named(stopped):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        refused = stopped.command("serve", "--listen", address)
    assert refused.returncode == BAD_CONFIGURATION
    assert address in refused.stderr
    assert "--listen" in refused.stderr


def test_the_port_of_the_environment_is_honoured(stopped):
    with held_port() as port:
        environment = stopped.environment | {"PORT": str(port)}
        command = [*MACROSLOW, "serve", "--json"]
        server = subprocess.Popen(
            command, cwd=stopped.folder, env=environment, stdout=subprocess.PIPE, text=True
        )
        try:
            assert json.loads(server.stdout.readline())["url"].endswith(f":{port}")
        finally:
            os.kill(server.pid, signal.SIGTERM)
            assert server.wait(30) == 0
            server.stdout.close()
