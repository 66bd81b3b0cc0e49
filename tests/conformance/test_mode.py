"""`serve --conformance` is production's stack, and says that it is no production."""

import json
import urllib.error
import urllib.request
from pathlib import Path

from tests.conformance.asking import Asker
from tests.conformance.conftest import Served


def got(url: str, **headers: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def test_the_start_and_info_say_what_this_is(served: Served) -> None:
    assert served.notes[0].startswith("FOR CONFORMANCE TESTS ONLY")
    key = served.key("operator-of-ci", scopes=["operations:read"])
    status, info = got(f"{served.url}/info", **{"x-api-key": key})
    assert (status, json.loads(info)["serves"]) == (200, "conformance")


def test_who_shows_a_key_is_who_the_key_says(served: Served) -> None:
    assert got(f"{served.url}/info", **{"x-api-key": "msk_wrong"})[0] == 401
    assert got(f"{served.url}/info", authorization="Bearer msk_wrong")[0] == 401
    assert Asker(served.url, "msk_wrong").tool("test_simple_text").status == 401


def test_its_own_tools_and_the_fixtures_are_listed_together(served: Served) -> None:
    names = [tool["name"] for tool in Asker(served.url).ask("tools/list").result["tools"]]
    assert {"run_document", "test_simple_text"} <= {*names}
    assert len(names) == len({*names})


def test_its_state_is_private_and_elsewhere(served: Served) -> None:
    assert served.state.stat().st_mode & 0o077 == 0
    assert Path.cwd() not in served.state.parents
