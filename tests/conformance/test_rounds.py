"""Questions by rounds: what a client brings back counts only where it was given out (N17), and nobody is
asked for what he did not declare, or for a secret (N19).
"""

import json
import re
from collections.abc import Callable

import pytest
from tests.conformance.asking import EVERYTHING, Answer, Asker
from tests.conformance.conftest import Served

from macroslow.mcp.conformance.rounds import DIALOGUES, PROMPT_DIALOGUE
from macroslow.mcp.conformance.schemas import DEFAULTS, ENUMS

SECRETS = re.compile("password|secret|token|api.?key|credential|card", re.IGNORECASE)
CONFIRMED = {"confirm": {"action": "accept", "content": {"ok": True}}}
TOOL = "test_input_required_result_request_state"
OTHER_TOOL = "test_input_required_result_tampered_state"
INVALID_STATE = (400, -32602, "Invalid or expired requestState")


@pytest.fixture(scope="module")
def ann(served: Served) -> Asker:
    return Asker(served.url, served.key("ann"))


def said(answer: Answer) -> tuple[int, int, str]:
    return answer.status, answer.code, answer.message["error"]["message"]


def test_a_state_comes_back_as_it_went(ann: Asker) -> None:
    asked = ann.tool(TOOL).result
    assert (asked["resultType"], [*asked["inputRequests"]]) == ("input_required", ["confirm"])
    done = ann.tool(TOOL, inputResponses=CONFIRMED, requestState=asked["requestState"]).result
    assert done["content"][0]["text"].startswith("state-ok")


def _flipped(state: str) -> str:
    middle = len(state) // 2
    return state[:middle] + ("A" if state[middle] != "A" else "B") + state[middle + 1 :]


@pytest.mark.parametrize(
    "spoil",
    [_flipped, lambda state: state[:-5], lambda state: state + "A", lambda _: "", lambda _: '{"asked":1}'],
    ids=["flipped", "truncated", "extended", "empty", "made-up"],
)
def test_a_state_that_was_touched_is_refused_N17(ann: Asker, spoil: Callable[[str], str]) -> None:
    state = ann.tool(TOOL).result["requestState"]
    assert said(ann.tool(TOOL, inputResponses=CONFIRMED, requestState=spoil(state))) == INVALID_STATE


def test_a_state_of_another_principal_is_refused_N17(ann: Asker, served: Served) -> None:
    state = ann.tool(TOOL).result["requestState"]
    for other in (Asker(served.url, served.key("eve")), Asker(served.url)):
        assert said(other.tool(TOOL, inputResponses=CONFIRMED, requestState=state)) == INVALID_STATE


def test_a_state_of_another_key_of_the_same_principal_counts(ann: Asker, served: Served) -> None:
    state = ann.tool(TOOL).result["requestState"]
    second = Asker(served.url, served.key("ann"))
    assert second.tool(TOOL, inputResponses=CONFIRMED, requestState=state).result["content"]


def test_a_state_for_other_arguments_or_another_tool_is_refused_N17(ann: Asker) -> None:
    state = ann.tool(TOOL, {"amount": 1}).result["requestState"]
    for tool, arguments in ((TOOL, {"amount": 2}), (TOOL, {}), (OTHER_TOOL, {"amount": 1})):
        asked = ann.tool(tool, arguments, inputResponses=CONFIRMED, requestState=state)
        assert said(asked) == INVALID_STATE


def test_a_state_says_nothing_to_who_holds_it(ann: Asker) -> None:
    state = ann.tool(TOOL).result["requestState"]
    assert not re.search("asked|known|confirm|ann", state)


@pytest.mark.parametrize("lacking", EVERYTHING)
def test_nobody_is_asked_for_what_he_did_not_declare_N19(served: Served, lacking: str) -> None:
    can = {name: declared for name, declared in EVERYTHING.items() if name != lacking}
    client = Asker(served.url, capabilities=can)
    refused = client.tool("test_input_required_result_multiple_inputs")
    assert (refused.status, refused.code) == (400, -32021)
    assert refused.message["error"]["data"] == {"requiredCapabilities": {lacking: {}}}
    asked = client.tool("test_input_required_result_capabilities").result["inputRequests"]
    methods = {"elicitation": "elicitation/create", "sampling": "sampling/createMessage"}
    assert {each["method"] for each in asked.values()} == {
        method for capability, method in methods.items() if capability != lacking
    }


def test_no_form_asks_for_a_secret_N19() -> None:
    rounds = [*PROMPT_DIALOGUE.rounds, *(one for each in DIALOGUES.values() for one in each.rounds)]
    forms = [DEFAULTS, ENUMS]
    forms += [
        question.params.requested_schema  # type: ignore[union-attr]
        for one in rounds
        for question in one.values()
        if question.method == "elicitation/create"
    ]
    assert len(forms) > 6
    for form in forms:
        assert not re.search(
            "password|secret|token|api.?key|credential|card", json.dumps(form), re.IGNORECASE
        )
