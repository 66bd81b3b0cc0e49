"""The operator's verb that runs a document: with what he allows and no more."""

from dataclasses import replace

import orjson
import pytest
from tests.services.house import House, base64_of, paper, succeeded

from macroslow.errors import BadRequestError, InvalidDocumentError, MissingRightError
from macroslow.services.documents.run_verb import RunVerb
from macroslow.services.signing.log_health import LogHealth


async def test_the_operator_runs_a_document_with_what_he_allows_and_no_more(ask, house: House) -> None:
    house.sandbox.work = lambda job: succeeded(job, orjson.dumps(job.inputs))
    answer = await ask("run", document=base64_of(paper("x")), inputs={"a": 1})
    assert (answer["status"], answer["result"]) == ("success", {"a": 1})
    asking = base64_of(paper("x", execute="gateway://local api://weather"))
    with pytest.raises(MissingRightError) as refused:
        await ask("run", document=asking)
    assert refused.value.fix == "allow it: --allow api://weather"
    assert (await ask("run", document=asking, allow=["api://weather"]))["status"] == "success"
    assert list(house.sandbox.jobs[-1].apis) == ["weather"]


async def test_what_the_gateway_does_not_have_cannot_be_allowed(ask) -> None:
    asking = base64_of(paper("x", execute="gateway://local api://unknown"))
    with pytest.raises(MissingRightError) as refused:
        await ask("run", document=asking, allow=["api://unknown"])
    assert "--allow" not in refused.value.fix
    with pytest.raises(MissingRightError):
        await ask("run", document=base64_of(paper("x", execute="gateway://elsewhere")), allow=["gateway://*"])


async def test_a_document_that_is_not_base64_is_a_bad_request(ask) -> None:
    for text in ("!", "a", "ä", "YQ==x"):
        with pytest.raises(BadRequestError, match="base64"):
            await ask("run", document=text)
    with pytest.raises(InvalidDocumentError):
        await ask("run", document="")


@pytest.mark.parametrize("allow", ["nonsense", "", "api://a/../b", "api://" + "a" * 5000, "api://%2e"])
async def test_what_is_no_uri_cannot_be_allowed(ask, allow: str) -> None:
    with pytest.raises(BadRequestError):
        await ask("run", document=base64_of(paper("x")), allow=[allow])


async def test_without_an_assembled_gateway_nothing_runs(house: House) -> None:
    core = replace(house.administration, documents=RunVerb(LogHealth()))
    with pytest.raises(BadRequestError, match="runs no documents"):
        await core.perform("run", {"document": ""})
