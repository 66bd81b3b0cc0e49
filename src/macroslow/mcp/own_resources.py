"""The gateway's own resources as a source. Unknown, foreign and not allowed look alike: not found."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

import mcp_types as types

from macroslow.authn.principal import Principal
from macroslow.mcp.resources import Reader, Resource
from macroslow.mcp.source import Caller, Source

MAX_COMPLETIONS: Final = 100  # the protocol's bound
Ids = Callable[[Principal], Awaitable[Sequence[str]]]
"""The ids that a principal may fill in, the likeliest first."""


class OwnResources(Source):
    """Resources with a reader each; `ids` are those of every template."""

    def __init__(self, readers: Mapping[Resource, Reader], ids: Ids) -> None:
        self._readers = readers
        self._ids = ids

    async def resources(self, principal: Principal) -> Sequence[types.Resource]:
        return [
            types.Resource(
                uri=one.uri,
                name=one.name,
                title=one.title,
                description=one.description,
                mime_type=one.mime_type,
            )
            for one in self._known(principal)
            if not one.is_template
        ]

    async def resource_templates(self, principal: Principal) -> Sequence[types.ResourceTemplate]:
        return [
            types.ResourceTemplate(
                uri_template=one.uri,
                name=one.name,
                title=one.title,
                description=one.description,
                mime_type=one.mime_type,
            )
            for one in self._known(principal)
            if one.is_template
        ]

    async def read_resource(
        self, caller: Caller, params: types.ReadResourceRequestParams
    ) -> types.ReadResourceResult | None:
        for resource in self._known(caller.principal):
            if (found := resource.id_in(params.uri)) is not None:
                text = await self._readers[resource](caller.principal, found)
                contents = types.TextResourceContents(uri=params.uri, mime_type=resource.mime_type, text=text)
                return types.ReadResourceResult(contents=[contents])
        return None

    async def complete(self, caller: Caller, params: types.CompleteRequestParams) -> types.Completion | None:
        match params.ref, params.argument.name:
            case types.ResourceTemplateReference(uri=template), "id":
                pass
            case _:
                return None
        known = self._known(caller.principal)
        if not any(one.is_template and one.uri == template for one in known):
            return None
        found = [one for one in await self._ids(caller.principal) if one.startswith(params.argument.value)]
        shown = found[:MAX_COMPLETIONS]
        return types.Completion(values=shown, total=len(found), has_more=len(found) > len(shown))

    def _known(self, principal: Principal) -> list[Resource]:
        return [one for one in self._readers if one.scope in principal.scopes]
