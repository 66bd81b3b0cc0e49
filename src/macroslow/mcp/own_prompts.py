"""The gateway's own prompts as a source: anybody who may connect may take them."""

from collections.abc import Sequence

import mcp_types as types

from macroslow.authn.principal import Principal
from macroslow.mcp.prompts import Prompt
from macroslow.mcp.source import Caller, Source


class OwnPrompts(Source):
    """These prompts, each as one message of the user's."""

    def __init__(self, prompts: Sequence[Prompt]) -> None:
        self._prompts = {prompt.name: prompt for prompt in prompts}
        self._shown = [_shown(prompt) for prompt in prompts]

    async def prompts(self, principal: Principal) -> Sequence[types.Prompt]:
        return self._shown

    async def get_prompt(
        self, caller: Caller, params: types.GetPromptRequestParams
    ) -> types.GetPromptResult | None:
        prompt = self._prompts.get(params.name)
        if prompt is None:
            return None
        text = types.TextContent(type="text", text=prompt.text(params.arguments or {}))
        return types.GetPromptResult(
            description=prompt.description, messages=[types.PromptMessage(role="user", content=text)]
        )


def _shown(prompt: Prompt) -> types.Prompt:
    return types.Prompt(
        name=prompt.name,
        title=prompt.title,
        description=prompt.description,
        arguments=[
            types.PromptArgument(name=one.name, description=one.description, required=one.required)
            for one in prompt.arguments
        ],
    )
