"""The gateway as an ASGI application in this process: its lifespan opens and closes everything."""

import asyncio
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
import pytest

import macroslow
from macroslow import control
from macroslow.adapters import statefolder
from macroslow.bootstrap.commands import NoStateError, administer, first_key, key_defaults
from macroslow.settings import load

CONFIGURATION = '[sandbox]\nbackend = "none"\n[keys]\nbudget_usd = "2.50"\nexpires_days = 30\n'


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    path = tmp_path / "macroslow.toml"
    path.write_text(CONFIGURATION)
    return path


class Life:
    """What a server does with an application's lifespan."""

    def __init__(self, app) -> None:
        self.app = app
        self.said: asyncio.Queue[dict] = asyncio.Queue()
        self.asked: asyncio.Queue[dict] = asyncio.Queue()
        self.task = asyncio.create_task(app({"type": "lifespan"}, self.asked.get, self.said.put))

    async def ask(self, message: str) -> dict:
        await self.asked.put({"type": f"lifespan.{message}"})
        return await asyncio.wait_for(self.said.get(), 30)

    async def get(self, path: str, key: str = "") -> tuple[int, dict]:
        headers = [(b"host", b"127.0.0.1")] + ([(b"x-api-key", key.encode())] if key else [])
        scope = {
            "type": "http",
            "method": "GET",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": headers,
            "client": ("127.0.0.1", 1),
        }
        sent: list[dict] = []

        requests = [{"type": "http.request", "body": b"", "more_body": False}]

        async def receive() -> dict:
            if not requests:
                await asyncio.get_running_loop().create_future()  # stays as long as it takes
            return requests.pop()

        async def send(message: dict) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        body = b"".join(message.get("body", b"") for message in sent)
        return sent[0]["status"], orjson.loads(body) if body else {}


@asynccontextmanager
async def living(app):
    life = Life(app)
    assert await life.ask("startup") == {"type": "lifespan.startup.complete"}
    yield life
    assert await life.ask("shutdown") == {"type": "lifespan.shutdown.complete"}
    await life.task


async def test_it_serves_between_start_and_end_and_may_live_again(file: Path) -> None:
    app = macroslow.create_app(file)
    made = await asyncio.to_thread(first_key, load(file, {}))
    socket = file.parent / ".macroslow" / "control.sock"
    for _ in range(2):
        async with living(app) as life:
            assert (await life.get("/health/ready"))[0] in {200, 204}
            assert (await life.get("/runs", made["key"]))[0] == 200
            assert (await life.get("/runs"))[0] == 401
            listed = await asyncio.to_thread(control.call, socket, "keys.list", {})
            assert [key["id"] for key in listed["keys"]] == [made["id"]]
        assert not socket.exists()
        with statefolder.hold(statefolder.prepare(file.parent / ".macroslow")):
            pass  # the folder is free again
    types = [entry["type"] for entry in (await _tail(file))["entries"]]
    assert types.count("server-started") == types.count("server-stopped") == 2


async def _tail(file: Path):
    return await asyncio.to_thread(administer, load(file, {}), "audit.tail", {"count": 100})


async def test_an_address_has_as_many_failures_as_the_operator_says(file: Path) -> None:
    file.write_text(CONFIGURATION + "[server]\nfailures_per_minute = 2\n")
    await asyncio.to_thread(first_key, load(file, {}))
    async with living(macroslow.create_app(file)) as life:
        assert [(await life.get("/runs", "nonsense"))[0] for _ in range(3)] == [401, 401, 429]


async def test_a_second_one_on_the_same_state_says_that_it_is_in_use(file: Path) -> None:
    async with living(macroslow.create_app(file)):
        second = Life(macroslow.create_app(load(file, {})))
        told = await second.ask("startup")
        assert told["type"] == "lifespan.startup.failed"
        assert "in use" in told["message"]
        await second.task


async def test_a_start_that_fails_says_what_to_mend_and_leaves_the_state_free(file: Path) -> None:
    file.write_text(
        CONFIGURATION + '[providers.openai]\nbase_url = "http://127.0.0.1:1/v1"\nkey = "env:NOT_THERE"\n'
    )
    life = Life(macroslow.create_app(file))
    told = await life.ask("startup")
    assert told["type"] == "lifespan.startup.failed"
    assert "NOT_THERE" in told["message"]
    await life.task
    with statefolder.hold(statefolder.prepare(file.parent / ".macroslow")):
        pass


async def test_without_a_lifespan_it_says_what_is_missing(file: Path) -> None:
    app = macroslow.create_app(file)
    with pytest.raises(RuntimeError, match="lifespan"):
        await app({"type": "http"}, None, None)
    assert not (file.parent / ".macroslow").exists()


async def test_a_server_that_goes_away_closes_it_too(file: Path) -> None:
    life = Life(macroslow.create_app(file))
    await life.ask("startup")
    life.task.cancel()
    await asyncio.wait({life.task})
    with statefolder.hold(statefolder.prepare(file.parent / ".macroslow")):
        pass


def test_the_first_key_is_as_the_configuration_says(file: Path) -> None:
    made = first_key(load(file, {}))
    assert (made["principal"], made["budget_usd_micros"]) == ("me", 2_500_000)
    assert made["expires_at"] is not None
    assert "requests_per_minute" not in key_defaults(load(file, {}))


@pytest.mark.parametrize("verb", ["keys.list", "usage", "audit.verify", "audit.tail", "signers.list"])
def test_what_only_looks_makes_no_state(file: Path, verb: str) -> None:
    """A log that is found sound because it was made on the spot proves nothing."""
    with pytest.raises(NoStateError, match="no gateway's state"):
        administer(load(file, {}), verb, {})
    assert not (file.parent / ".macroslow").exists()


def test_the_package_has_what_it_says() -> None:
    assert set(macroslow.__all__) == {"__version__", "create_app"}
    with pytest.raises(AttributeError, match="nonsense"):
        macroslow.nonsense  # noqa: B018
