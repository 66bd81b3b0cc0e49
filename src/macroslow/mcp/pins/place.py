"""Which item of a server is meant."""

import enum

from macroslow.values import value


class Kind(enum.StrEnum):
    """What an item is."""

    SERVER = "server"
    TOOL = "tool"
    PROMPT = "prompt"
    RESOURCE = "resource"
    TEMPLATE = "template"


@value
class Place:
    """Which item of a server: tools and prompts by name, resources by URI; its identity has the name ""."""

    kind: Kind
    name: str
