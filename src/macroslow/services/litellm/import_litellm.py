"""A LiteLLM proxy's config.yaml as settings of ours, with every line that has no counterpart named.

What is carried: deployments (`model_list`) as providers, keys, limits, prices and aliases; fall-backs
and group aliases; the budget of the whole; retries and time-outs. Secrets are carried as references
only: one that stands in the file itself is left there, and said so.

Source: LiteLLM documentation, "Config.yaml" and "All settings" (2026-10).
"""

from dataclasses import dataclass
from typing import Final

from macroslow.errors import Problem
from macroslow.maml.yaml_tree import Mapping, Sequence, read_yaml
from macroslow.metering.catalogue import Catalogue
from macroslow.services.litellm.deployments import Deployments, Unpriced
from macroslow.services.litellm.found import Found, Note, Path
from macroslow.services.litellm.sections import Sections
from macroslow.services.litellm.words import NOTHING_LIKE_IT

SECTIONS: Final = ("router_settings", "litellm_settings", "general_settings")


@dataclass(frozen=True, slots=True)
class Imported:
    """Settings as tables of macroslow.toml, the line of the file behind each value, and the rest.

    `unpriced` are the models without a price: they are served once they have one.
    """

    settings: dict[str, object]
    lines: dict[Path, int]
    notes: tuple[Note, ...]
    unpriced: Unpriced


def import_config(text: str, catalogue: Catalogue) -> tuple[Imported | None, list[Problem]]:
    """Read a config.yaml. None and problems if it is not YAML that is read here (no aliases, no tags)."""
    problems: list[Problem] = []
    root = read_yaml(text, first_line=1, problems=problems)
    if root is None or problems:
        worded = [Problem(p.message.replace("front matter", "the file"), p.fix, p.line) for p in problems]
        return None, worded
    return _imported(root, Found(catalogue)), []


def _imported(root: Mapping, found: Found) -> Imported:
    deployments, sections = Deployments(found), Sections(found)
    if root.entries.keys().isdisjoint({"model_list", *SECTIONS}):
        found.note(1, "no model_list", "is this a LiteLLM configuration?")
    for key, node in root.entries.items():
        line = root.key_lines[key]
        match key, node:
            case "model_list", Sequence():
                for item in node.items:
                    deployments.take(item)
            case _, Mapping() if key in SECTIONS:
                continue  # after the models, which they name
            case "environment_variables", _:
                found.note(line, key, "put them into .env, or the environment of the process")
            case _:
                found.note(line, key, NOTHING_LIKE_IT)
    deployments.settle()
    for key in SECTIONS:
        section = root.entries.get(key)
        if isinstance(section, Mapping):
            sections.take(key, section)
    if providers := deployments.providers():
        found.settings["providers"] = providers
    if found.models:
        found.settings["models"] = found.models
    unpriced = deployments.without_price()
    notes = tuple(sorted(found.notes, key=lambda one: one.line))
    return Imported(found.settings, found.lines, notes, unpriced)
