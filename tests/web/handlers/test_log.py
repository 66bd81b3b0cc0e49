"""The log over HTTP: what may be kept and by whom, and that nothing but canonical paths is anything."""

import re

import pytest
from tests.web.fakes import House, build

from macroslow.authz import scopes
from macroslow.web.gate import GateSettings
from macroslow.web.routes import PUBLIC_LOG_ROUTES

TILE = "/log/tile/0/000.p/5"
BUNDLE = "/log/tile/entries/000.p/5"
CHECKPOINT = "/log/checkpoint"
NOTE = b"log.example/1\n5\nhash\n"


@pytest.fixture
async def house() -> House:
    return await build()


@pytest.fixture
async def public() -> House:
    return await build(routes=PUBLIC_LOG_ROUTES)


@pytest.mark.parametrize(("path", "content"), [(TILE, bytes(160)), (BUNDLE, b"\0\1x" * 5)])
async def test_a_tile_may_be_kept_for_ever_by_its_reader_alone(
    path: str, content: bytes, house: House
) -> None:
    answer = await house.ask("GET", path)
    assert (answer.status, answer.body) == (200, content)
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["cache-control"] == "private, max-age=31536000, immutable"


async def test_a_checkpoint_is_asked_for_again_each_time(house: House) -> None:
    answer = await house.ask("GET", CHECKPOINT)
    assert (answer.status, answer.body) == (200, NOTE)
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["cache-control"] == "private, no-cache"
    assert answer.headers["content-length"] == str(len(NOTE))


@pytest.mark.parametrize("given", ["{tag}", "W/{tag}", '"other", {tag}', "*", ' {tag} , "x"'])
async def test_who_has_the_newest_checkpoint_gets_no_second_one(given: str, house: House) -> None:
    tag = (await house.ask("GET", CHECKPOINT)).headers["etag"]
    answer = await house.ask("GET", CHECKPOINT, headers=[("if-none-match", given.format(tag=tag))])
    assert (answer.status, answer.body) == (304, b"")
    assert answer.headers["etag"] == tag
    assert answer.headers["cache-control"] == "private, no-cache"
    assert not {"content-length", "content-type"} & set(answer.headers)


@pytest.mark.parametrize("given", ["", '""', '"other"', "{bare}", '"', ",,", "\xff"])
async def test_who_has_another_one_gets_it(given: str, house: House) -> None:
    tag = (await house.ask("GET", CHECKPOINT)).headers["etag"]
    answer = await house.ask(
        "GET", CHECKPOINT, headers=[("if-none-match", given.format(bare=tag.strip('"')))]
    )
    assert (answer.status, answer.body) == (200, NOTE)


async def test_a_newer_checkpoint_has_another_tag() -> None:
    notes = [NOTE, NOTE.replace(b"5", b"6")]

    async def checkpoint() -> bytes:
        return notes.pop(0)

    house = await build(checkpoint=checkpoint)
    first = await house.ask("GET", CHECKPOINT)
    second = await house.ask("GET", CHECKPOINT, headers=[("if-none-match", first.headers["etag"])])
    assert second.status == 200
    assert second.headers["etag"] != first.headers["etag"]


@pytest.mark.parametrize("path", [TILE, BUNDLE, CHECKPOINT])
async def test_head_is_told_what_get_would_be(path: str, house: House) -> None:
    of_get, of_head = [(await house.ask(method, path)).headers for method in ("GET", "HEAD")]
    assert {**of_head, "x-request-id": ""} == {**of_get, "x-request-id": ""}
    assert (await house.ask("POST", path)).status == 405


HOSTILE = [
    "/log/tile",
    "/log/tile/",
    "/log/tile/0",
    "/log/tile/0/0",
    "/log/tile/0/000.p/6",
    "/log/tile/0/000.p/05",
    "/log/tile/0/x000/000.p/5",
    "/log/tile/0/%30%30%30.p/5",
    "/log/tile/0/000%2Ep/5",
    "/log/tile/0%2F000.p/5",
    "/log/tile/0/./000.p/5",
    "/log/tile/0/../0/000.p/5",
    "/log/tile/../checkpoint",
    "/log/tile//0/000.p/5",
    "/log/tile/0/000.p/5/",
    "/log/tile/0/000.p//5",
    "/log//tile/0/000.p/5",
    "/log/tile/64/000.p/5",
    "/log/tile/0/" + "x999/" * 900 + "999",
    "/log/tile/" + "9" * 127 + "/000",
]


@pytest.mark.parametrize("path", HOSTILE, ids=range(len(HOSTILE)))
async def test_any_other_path_is_no_file_and_is_kept_by_nobody(path: str, house: House) -> None:
    answer = await house.ask("GET", path)
    assert answer.status == 404
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", [TILE, BUNDLE, CHECKPOINT])
async def test_a_public_log_is_everybodys_and_shared_caches_may_keep_it(path: str, public: House) -> None:
    answer = await public.ask("GET", path, key=None)
    assert answer.status == 200
    how = "no-cache" if path == CHECKPOINT else "max-age=31536000, immutable"
    assert answer.headers["cache-control"] == f"public, {how}"
    assert (await public.ask("GET", path, key="msk_nonsense")).status == 200  # nobody is asked who he is
    assert (await public.ask("GET", path, key=None, headers=[("host", "evil.example")])).status == 403


@pytest.mark.parametrize("path", ["/runs", "/info", "/metrics", "/v1/models", "/openapi.json", "/docs"])
async def test_a_public_log_opens_nothing_else(path: str, public: House) -> None:
    assert (await public.ask("GET", path, key=None)).status == 401


async def test_readers_of_a_public_log_are_limited_by_their_address() -> None:
    house = await build(GateSettings(public_per_minute=2), routes=PUBLIC_LOG_ROUTES)
    statuses = [(await house.ask("GET", TILE, key=None)).status for _ in range(3)]
    assert statuses == [200, 200, 429]
    assert (await house.ask("GET", TILE, key=None, client=("127.0.0.2", 5000))).status == 200


async def test_the_description_tells_how_files_are_named(house: House) -> None:
    described = (await house.ask("GET", "/openapi.json")).json["paths"]["/log/tile/{path}"]["get"]
    (parameter,) = [each for each in described["parameters"] if each["in"] == "path"]
    for path in ("0/000", "63/x001/x234/067.p/255", "entries/x999/000"):
        assert re.search(parameter["schema"]["pattern"], path)
    for path in HOSTILE:
        if (name := path.removeprefix("/log/tile/")) != "0/000.p/6":  # no such width in this tree
            assert not re.search(parameter["schema"]["pattern"], name)


async def test_the_description_of_a_public_log_says_that_it_is(public: House, house: House) -> None:
    told = {}
    for each, name in ((public, "public"), (house, "private")):
        paths = (await each.ask("GET", "/openapi.json")).json["paths"]
        told[name] = [paths[path]["get"]["security"] for path in ("/log/checkpoint", "/log/tile/{path}")]
        assert ("401" in paths["/log/checkpoint"]["get"]["responses"]) == (name == "private")
    needed = [{"key": [scopes.AUDIT_READ]}, {"bearer": [scopes.AUDIT_READ]}]
    assert told == {"public": [[], []], "private": [needed, needed]}
