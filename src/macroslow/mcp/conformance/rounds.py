"""Questions to the client by rounds (MCP 2026-07-28, "Multi Round-Trip Requests"), as tables.

A round answers with requests and a state; the client calls again with its responses and that state. What
comes back was in the client's hands: the state is sealed and bound to the caller, the method, the arguments
and the time before it leaves (see `arming`), so that what is read here is what was written here.
"""

import json
from collections.abc import Callable, Mapping
from typing import Final

import mcp_types as types

from macroslow.mcp.conformance.calls import Call, ask_model, ask_user
from macroslow.mcp.conformance.schemas import STRING, form
from macroslow.values import value

Known = Mapping[str, str]
Questions = Mapping[str, types.InputRequest]


@value
class Dialogue:
    """What is asked in each round, and what is said once all is known.

    Without `remembers` there is no state, and so but one round. With `if_able` only such questions are asked
    as the client can answer; otherwise it must be able to answer all of a round.
    """

    rounds: tuple[Questions, ...]
    conclude: Callable[[Known], str]
    remembers: bool = True
    if_able: bool = False

    def next(self, call: Call) -> types.InputRequiredResult | str:
        """The next round's questions, the same ones again if responses are missing, or the conclusion."""
        asked, known = self._so_far(call.params.request_state)
        responses = call.params.input_responses or {}
        if asked and self.rounds[asked - 1].keys() <= responses.keys():
            known |= {key: _said(responses[key]) for key in self.rounds[asked - 1]}
            if asked == len(self.rounds):
                return self.conclude(known)
            asked += 1
        return self._ask(call, max(asked, 1), known)

    def _so_far(self, state: str | None) -> tuple[int, dict[str, str]]:
        """How many rounds were asked, and what was learned."""
        if not self.remembers:
            return 1, {}
        if state is None:
            return 0, {}
        kept = json.loads(state)
        return kept["asked"], kept["known"]

    def _ask(self, call: Call, asked: int, known: Known) -> types.InputRequiredResult:
        questions = self.rounds[asked - 1]
        if self.if_able:
            questions = {key: request for key, request in questions.items() if call.can(request)}
        for request in questions.values():
            call.require(request)
        state = json.dumps({"asked": asked, "known": dict(known)}) if self.remembers else None
        return types.InputRequiredResult(input_requests=dict(questions), request_state=state)


def _said(response: types.InputResponse) -> str:
    match response:
        case types.ElicitResult(action="accept", content=dict(content)) if content:
            return str(next(iter(content.values())))
        case types.CreateMessageResult(content=types.TextContent(text=said)):
            return said
        case types.ListRootsResult(roots=roots):
            return f"{len(roots)} root(s)"
        case _:
            return "?"


_NAME: Final = ask_user("What is your name?", form(name=STRING))
_CONFIRM: Final = ask_user("Please confirm", form(ok={"type": "boolean"}))
_ROOTS: Final = types.ListRootsRequest()

DIALOGUES: Final[Mapping[str, Dialogue]] = {
    "test_input_required_result_elicitation": Dialogue(
        ({"user_name": _NAME},), lambda known: f"Hello, {known['user_name']}!", remembers=False
    ),
    "test_input_required_result_sampling": Dialogue(
        ({"capital_question": ask_model("What is the capital of France?")},),
        lambda known: f"Model said: {known['capital_question']}",
        remembers=False,
    ),
    "test_input_required_result_list_roots": Dialogue(
        ({"client_roots": _ROOTS},),
        lambda known: f"Client exposed {known['client_roots']}.",
        remembers=False,
    ),
    "test_input_required_result_request_state": Dialogue(
        ({"confirm": _CONFIRM},), lambda _: "state-ok: confirmation received"
    ),
    "test_input_required_result_tampered_state": Dialogue(
        ({"confirm": _CONFIRM},), lambda _: "state-ok: it came back as it was"
    ),
    "test_input_required_result_multiple_inputs": Dialogue(
        ({"user_name": _NAME, "greeting": ask_model("Generate a greeting", 50), "client_roots": _ROOTS},),
        lambda _: "All inputs received.",
    ),
    "test_input_required_result_multi_round": Dialogue(
        (
            {"step1": ask_user("Step 1: What is your name?", form(name=STRING))},
            {"step2": ask_user("Step 2: What is your favorite color?", form(color=STRING))},
        ),
        lambda known: f"{known['step1']} likes {known['step2']}.",
    ),
    "test_input_required_result_capabilities": Dialogue(
        ({"sample": ask_model("Say hello", 50), "ask": _NAME},),
        lambda _: "All inputs received.",
        if_able=True,
    ),
}
"""The tools that ask."""

PROMPT_DIALOGUE: Final = Dialogue(
    ({"user_context": ask_user("What context should the prompt use?", form(context=STRING))},),
    lambda known: f"Use the following context: {known['user_context']}",
    remembers=False,
)
