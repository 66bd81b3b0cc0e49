"""The prompts of the fixtures."""

from collections.abc import Callable, Mapping
from typing import Final

import mcp_types as types

from macroslow.mcp.conformance.calls import Call
from macroslow.mcp.conformance.contents import embedded, image, text
from macroslow.mcp.conformance.rounds import PROMPT_DIALOGUE

ASKING: Final = "test_input_required_result_prompt"

PROMPTS: Final = tuple(
    types.Prompt(
        name=name,
        description=description,
        arguments=[types.PromptArgument(name=argument, required=True) for argument in arguments],
    )
    for name, description, arguments in (
        ("test_simple_prompt", "A simple prompt without arguments", ()),
        ("test_prompt_with_arguments", "A prompt with required arguments", ("arg1", "arg2")),
        ("test_prompt_with_embedded_resource", "A prompt with an embedded resource", ("resourceUri",)),
        ("test_prompt_with_image", "A prompt that includes image content", ()),
        (ASKING, "A prompt that asks for its context first", ()),
    )
)

_BLOCKS: Final[Mapping[str, Callable[[Call], tuple[types.ContentBlock, ...]]]] = {
    "test_simple_prompt": lambda _: (text("This is a simple prompt for testing."),),
    "test_prompt_with_arguments": lambda call: (
        text(f"Prompt with arguments: arg1='{call.argument('arg1')}', arg2='{call.argument('arg2')}'"),
    ),
    "test_prompt_with_embedded_resource": lambda call: (
        embedded(call.argument("resourceUri"), "Embedded resource content for testing."),
        text("Please process the embedded resource above."),
    ),
    "test_prompt_with_image": lambda _: (image(), text("Please analyze the image above.")),
}


def filled_in(call: Call) -> types.GetPromptResult | types.InputRequiredResult | None:
    """The prompt that `call` names; None if it is none of ours."""
    name = call.params.name
    if name == ASKING:
        concluded = PROMPT_DIALOGUE.next(call)
        return _messages(text(concluded)) if isinstance(concluded, str) else concluded
    return _messages(*_BLOCKS[name](call)) if name in _BLOCKS else None


def _messages(*blocks: types.ContentBlock) -> types.GetPromptResult:
    return types.GetPromptResult(
        messages=[types.PromptMessage(role="user", content=block) for block in blocks]
    )
