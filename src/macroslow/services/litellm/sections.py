"""The sections of a LiteLLM configuration beside its deployments: fall-backs, aliases, a budget, retries."""

from macroslow.maml.yaml_tree import Mapping, Node, Scalar, Sequence
from macroslow.services.litellm.found import Found
from macroslow.services.litellm.words import (
    NOTHING_LIKE_IT,
    WHY,
    amount_of,
    period_of,
    plain_texts,
    text_of,
)


class Sections:
    """Takes them once the deployments are known, which they name."""

    def __init__(self, found: Found) -> None:
        self._found = found

    def take(self, section: str, node: Mapping) -> None:
        """Carry what has a counterpart, and say what has none."""
        for key, value in node.entries.items():
            line = node.key_lines[key]
            match key:
                case "fallbacks":
                    self._fallbacks(value, line)
                case "model_group_alias" if isinstance(value, Mapping):
                    self._aliases(value)
                case "num_retries" if isinstance(value, Scalar) and isinstance(value.value, int):
                    self._found.set("upstream", "attempts", max(1, min(value.value + 1, 20)), line)
                case "request_timeout" | "timeout" if isinstance(value, Scalar):
                    self._deadline(value, line)
                case "max_budget" if section == "litellm_settings":
                    self._budget(value, node, line)
                case "max_budget":
                    why = "stands in the wrong section; in litellm_settings it is carried"
                    self._found.note(line, f"{section}.max_budget", why)
                case "budget_duration" if "max_budget" in node.entries:
                    continue  # told with max_budget
                case _:
                    self._found.note(line, f"{section}.{key[:60]}", WHY.get(key, NOTHING_LIKE_IT))

    def _deadline(self, value: Scalar, line: int) -> None:
        if isinstance(value.value, int | float) and 0 < value.value <= 3600:
            self._found.set("upstream", "deadline_s", float(value.value), line)
        else:
            self._found.note(line, "timeout", "a call may take more than 0 and at most 3600 seconds here")

    def _budget(self, node: Node, section: Mapping, line: int) -> None:
        usd = amount_of(node)
        duration = text_of(section.entries.get("budget_duration"))
        if usd is None:
            self._found.note(line, "max_budget", "is not an amount")
            return
        period = period_of(duration)
        if period is None:
            why = f"no period {duration[:20]!r} here: carried as a total, which is never more"
            self._found.note(line, "budget_duration", why)
        budget = {"for": "all", "period": period or "total", "usd": usd}
        self._found.settings["budgets"] = [budget]
        self._found.lines |= {("budgets", "[0]", member): line for member in budget}

    def _fallbacks(self, node: Node, line: int) -> None:
        if not isinstance(node, Sequence):
            self._found.note(line, "fallbacks", "is not a list")
            return
        for item in node.items:
            for model, names in item.entries.items() if isinstance(item, Mapping) else ():
                self._fallbacks_of(model, plain_texts(names), item.line)

    def _fallbacks_of(self, model: str, names: list[str], line: int) -> None:
        if model == "*":
            self._found.note(line, "fallbacks", WHY["default_fallbacks"])
            return
        unknown = [name for name in (model, *names) if not self._found.is_served(name)]
        if unknown:
            self._found.note(
                line, "fallbacks", f"{unknown[0][:60]!r} is not carried, so it is no part of one"
            )
        others = [name for name in names if name != model and name not in unknown]
        if model in unknown:
            return
        foreign = [name for name in others if self._found.dialect(name) != self._found.dialect(model)]
        for name in foreign:
            why = f"{name[:60]!r} is in another API than {model[:60]!r}, so it is no part of one"
            self._found.note(line, "fallbacks", why)
        if same := [name for name in others if name not in foreign]:
            self._found.fall_back(model, same, line)

    def _aliases(self, node: Mapping) -> None:
        for alias, target in node.entries.items():
            name = text_of(target.entries.get("model")) if isinstance(target, Mapping) else text_of(target)
            upstream = self._found.upstream_of.get(name, name)
            if not upstream or upstream == alias:
                self._found.note(
                    node.key_lines[alias], f"model_group_alias.{alias[:60]}", "names no other model"
                )
            elif alias in self._found.models or alias in self._found.dialects:
                self._found.note(
                    node.key_lines[alias], f"model_group_alias.{alias[:60]}", "is a model of its own too"
                )
            else:
                self._found.set_model(alias, "alias_of", upstream, node.key_lines[alias])
