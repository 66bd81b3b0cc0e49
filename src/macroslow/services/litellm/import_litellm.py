"""A LiteLLM proxy's config.yaml as settings of ours, with every line that has no counterpart named.

What is carried: deployments (`model_list`) as providers, keys, limits, prices and aliases; fall-backs
and group aliases; the budget of the whole; retries and time-outs. Secrets are carried as references
only: one that stands in the file itself is left there, and said so.

Source: LiteLLM documentation, "Config.yaml" and "All settings" (2026-10).
"""

import re
from dataclasses import dataclass
from typing import Final

from macroslow.errors import Problem
from macroslow.inference.dialect import Dialect
from macroslow.maml.yaml_tree import Mapping, Node, Scalar, Sequence, read_yaml
from macroslow.metering.catalogue import Catalogue
from macroslow.services.litellm.litellm_providers import Deployed, Destination, Login, Note, Path, Providers
from macroslow.services.litellm.litellm_words import (
    ANTHROPIC_ALONE,
    KNOWN_PARAMS,
    PRICES,
    WHY,
    Vendor,
    amount_of,
    period_of,
    plain_texts,
    text_of,
    usd_per_million,
    vendor_of,
)

_ENVIRON: Final = re.compile(r"os\.environ/([A-Za-z_][A-Za-z0-9_]*)")


@dataclass(frozen=True, slots=True)
class Imported:
    """Settings as tables of macroslow.toml, the line of the file behind each value, and the rest.

    `unpriced` are the models without a price by the provider's own name: they are served once they have
    one.
    """

    settings: dict[str, object]
    lines: dict[Path, int]
    notes: tuple[Note, ...]
    unpriced: dict[str, "Unpriced"]


@dataclass(frozen=True, slots=True)
class Unpriced:
    """A deployment whose model has no price: its line, and the other names that it is asked for by."""

    line: int
    names: list[str]


def import_config(text: str, catalogue: Catalogue) -> tuple[Imported | None, list[Problem]]:
    """Read a config.yaml. None and problems if it is not YAML that is read here (no aliases, no tags)."""
    problems: list[Problem] = []
    root = read_yaml(text, first_line=1, problems=problems)
    if root is None or problems:
        worded = [Problem(p.message.replace("front matter", "the file"), p.fix, p.line) for p in problems]
        return None, worded
    return _Import(catalogue).run(root), []


class _Import:
    """Collects settings as the file is walked through once."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._notes: list[Note] = []
        self._providers = Providers(self._note)
        self._models: dict[str, dict[str, object]] = {}
        self._lines: dict[Path, int] = {}
        self._upstream_of: dict[str, str] = {}
        self._dialects: dict[str, Dialect] = {}
        self._unpriced: dict[str, Unpriced] = {}
        self._settings: dict[str, object] = {}
        self._in_clear: dict[str, str] = {}
        """References for keys that stand in the file, by the key. Of these only references leave here."""

    def run(self, root: Mapping) -> Imported:
        for key, node in root.entries.items():
            line = root.key_lines[key]
            match key, node:
                case "model_list", Sequence():
                    for item in node.items:
                        self._deployment(item)
                case (("router_settings" | "litellm_settings" | "general_settings"), Mapping()):
                    continue  # after the models, which they name
                case "environment_variables", _:
                    self._note(line, key, "put them into .env, or the environment of the process")
                case _:
                    self._note(line, key, "there is nothing like it here")
        for key in ("router_settings", "litellm_settings", "general_settings"):
            section = root.entries.get(key)
            if isinstance(section, Mapping):
                self._section(key, section)
        if providers := self._providers.tables(self._lines):
            self._settings["providers"] = providers
        if self._models:
            self._settings["models"] = self._models
        notes = tuple(sorted(self._notes, key=lambda one: one.line))
        return Imported(self._settings, self._lines, notes, self._without_price())

    def _note(self, line: int, what: str, why: str) -> None:
        self._notes.append(Note(line, what, why))

    def _without_price(self) -> dict[str, Unpriced]:
        """The models without a price, each with those of its names that no other model has."""
        return {
            upstream: Unpriced(one.line, [n for n in one.names if n != upstream and n not in self._models])
            for upstream, one in self._unpriced.items()
        }

    # Deployments

    def _deployment(self, node: Node) -> None:
        params = node.entries.get("litellm_params") if isinstance(node, Mapping) else None
        name = text_of(node.entries.get("model_name")) if isinstance(node, Mapping) else ""
        model = text_of(params.entries.get("model")) if isinstance(params, Mapping) else ""
        if not isinstance(node, Mapping) or not isinstance(params, Mapping) or not name or not model:
            self._note(node.line, "model_list", "an entry has no model_name or no litellm_params.model")
            return
        vendor, upstream = vendor_of(model)
        if vendor is None:
            prefix = model.partition("/")[0]
            self._note(node.line, name, f"{prefix[:40]!r} speaks neither OpenAI's nor Anthropic's API")
            return
        if "*" in name or "*" in upstream:
            pattern = upstream if "*" in upstream else name
            self._note(node.line, name, f'a pattern: add "{pattern}" to `models` of its provider here')
            return
        base_url = self._base_url(params, vendor, name)
        if base_url:
            self._serve(node, params, name, upstream, vendor, base_url)
        self._leftovers(name, node, params)

    def _serve(
        self, node: Mapping, params: Mapping, name: str, upstream: str, vendor: Vendor, base_url: str
    ) -> None:
        """Give the deployment to its provider, and the name to the model."""
        owner = self._providers.owner_of(upstream)
        destination = self._providers.destination(vendor, base_url, node.line)
        if owner is not None and owner is not destination:
            why = f"{upstream!r} is served by {owner.name} already: every model has one provider here"
            self._note(node.line, name, why)
            return
        key = self._key(params, destination, name)
        deployed = destination.models.setdefault(upstream, Deployed(node.line))
        login = deployed.logins.setdefault(key, Login(key, node.line))
        login.limits.add((self._count(params, "rpm"), self._count(params, "tpm")))
        if not self._price(node, params, name, upstream):
            return
        if vendor.kind is Dialect.ANTHROPIC:
            self._note(node.line, name, ANTHROPIC_ALONE)
        self._dialects[upstream] = vendor.kind
        self._dialects.setdefault(name, vendor.kind)
        first = self._upstream_of.setdefault(name, upstream)
        if self._dialects[name] is not vendor.kind:
            why = "another deployment of the name, in another API than the first: not carried"
            self._note(node.line, name, why)
        elif first != upstream:
            self._fall_back(name, [upstream], node.line)
            why = "another deployment of the name: carried as a fall-back, for when the first is out of reach"
            self._note(node.line, name, why)
        elif name != upstream:
            self._model(name, "alias_of", upstream, node.line)

    def _base_url(self, params: Mapping, vendor: Vendor, name: str) -> str:
        """The destination's base URL; empty, with a note, if the file does not say it."""
        node = params.entries.get("api_base") or params.entries.get("base_url")
        given = text_of(node)
        line = node.line if node else params.line
        if _ENVIRON.fullmatch(given):
            self._note(
                line, f"{name}.api_base", "a variable: write the URL, so that a key has one destination"
            )
            return ""
        base_url = (given or vendor.base_url).rstrip("/")
        if not base_url:
            self._note(line, f"{name}.api_base", "is not given, and this provider has none of its own")
        elif not re.fullmatch(r"https?://[^\s@?#\\]+", base_url):
            self._note(
                line, f"{name}.api_base", "is not an http or https URL without user, query and fragment"
            )
            return ""
        after = vendor.after_base
        return f"{base_url}{after}" if base_url and after and not base_url.endswith(after) else base_url

    def _key(self, params: Mapping, destination: Destination, name: str) -> str | None:
        node = params.entries.get("api_key")
        given = text_of(node)
        if node is None or not given or given.lower() in {"none", "anything", "fake-key"}:
            return None if given or destination.vendor.name in {"ollama", "vllm"} else self._own(destination)
        environ = _ENVIRON.fullmatch(given)
        if environ:
            return f"env:{environ[1]}"
        reference = self._in_clear.setdefault(given, self._unused(destination))
        why = f"the key stands in the file itself and is not carried: put it into .env as {reference[4:]}"
        self._note(node.line, f"{name}.api_key", why)
        return reference

    def _unused(self, destination: Destination) -> str:
        """A variable that no other key of the file is in: whether two are the same is not ours to guess."""
        own = self._own(destination)
        taken = {key for one in self._providers.all() for key in one.used_keys}
        taken |= set(self._in_clear.values())
        names = (own, *(f"{own}_{number}" for number in range(2, 2000)))
        return next(name for name in names if name not in taken)

    def _own(self, destination: Destination) -> str:
        """The variable that LiteLLM reads where a deployment names none."""
        return f"env:{destination.name.upper().replace('-', '_')}_API_KEY"

    def _count(self, params: Mapping, member: str) -> int | None:
        node = params.entries.get(member)
        value = node.value if isinstance(node, Scalar) else None
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
        if node is not None:
            self._note(node.line, member, "is not a number of 1 or more")
        return None

    def _price(self, node: Mapping, params: Mapping, name: str, upstream: str) -> bool:
        """The file's own prices, per token; else the catalogue must have some. Whether there are."""
        info = node.entries.get("model_info")
        tables = [one for one in (params, info) if isinstance(one, Mapping)]
        for member, setting in PRICES.items():
            for table in tables:
                usd = usd_per_million(table.entries.get(member))
                if usd is not None:
                    self._model(upstream, setting, usd, table.key_lines[member])
        priced = {"input_usd", "output_usd"} <= self._models.get(upstream, {}).keys()
        if not priced:
            self._models.pop(upstream, None)
        if priced or self._catalogue.find(upstream) is not None:
            return True
        self._unpriced.setdefault(upstream, Unpriced(node.line, [])).names.append(name)
        why = f"no price of {upstream!r} is known: it is served once the lines for it at the end have one"
        self._note(node.line, name, why)
        return False

    def _leftovers(self, name: str, node: Mapping, params: Mapping) -> None:
        """Everything that was not looked at."""
        for key, line in node.key_lines.items():
            if key not in {"model_name", "litellm_params", "model_info"}:
                self._note(line, f"{name}.{key[:60]}", "there is nothing like it here")
        for key, line in params.key_lines.items():
            if key not in KNOWN_PARAMS:
                self._note(line, f"{name}.{key[:60]}", WHY.get(key, "there is nothing like it here"))

    # Sections

    def _section(self, section: str, node: Mapping) -> None:
        for key, value in node.entries.items():
            line = node.key_lines[key]
            match key:
                case "fallbacks":
                    self._fallbacks(value, line)
                case "model_group_alias" if isinstance(value, Mapping):
                    self._aliases(value)
                case "num_retries" if isinstance(value, Scalar) and isinstance(value.value, int):
                    self._set("upstream", "attempts", max(1, min(value.value + 1, 20)), line)
                case "request_timeout" | "timeout" if isinstance(value, Scalar):
                    self._deadline(value, line)
                case "max_budget" if section == "litellm_settings":
                    self._budget(value, node, line)
                case "budget_duration" if "max_budget" in node.entries:
                    continue  # told with max_budget
                case _:
                    self._note(line, f"{section}.{key[:60]}", WHY.get(key, "there is nothing like it here"))

    def _set(self, section: str, key: str, value: object, line: int) -> None:
        table = self._settings.setdefault(section, {})
        assert isinstance(table, dict)  # noqa: S101 - made here alone
        table[key] = value
        self._lines[section, key] = line

    def _deadline(self, value: Scalar, line: int) -> None:
        if isinstance(value.value, int | float) and 0 < value.value <= 3600:
            self._set("upstream", "deadline_s", float(value.value), line)
        else:
            self._note(line, "timeout", "a call may take more than 0 and at most 3600 seconds here")

    def _budget(self, node: Node, section: Mapping, line: int) -> None:
        usd = amount_of(node)
        duration = text_of(section.entries.get("budget_duration"))
        if usd is None:
            self._note(line, "max_budget", "is not an amount")
            return
        period = period_of(duration)
        if period is None:
            why = f"no period {duration[:20]!r} here: carried as a total, which is never more"
            self._note(line, "budget_duration", why)
        budget = {"for": "all", "period": period or "total", "usd": usd}
        self._settings["budgets"] = [budget]
        self._lines |= {("budgets", "[0]", member): line for member in budget}

    def _fallbacks(self, node: Node, line: int) -> None:
        if not isinstance(node, Sequence):
            self._note(line, "fallbacks", "is not a list")
            return
        for item in node.items:
            for model, names in item.entries.items() if isinstance(item, Mapping) else ():
                self._fallbacks_of(model, plain_texts(names), item.line)

    def _fallbacks_of(self, model: str, names: list[str], line: int) -> None:
        if model == "*":
            self._note(line, "fallbacks", WHY["default_fallbacks"])
            return
        unknown = [name for name in (model, *names) if not self._is_served(name)]
        if unknown:
            self._note(line, "fallbacks", f"{unknown[0][:60]!r} is not carried, so it is no part of one")
        others = [name for name in names if name != model and name not in unknown]
        if model in unknown:
            return
        foreign = [name for name in others if self._dialect(name) != self._dialect(model)]
        for name in foreign:
            why = f"{name[:60]!r} is in another API than {model[:60]!r}, so it is no part of one"
            self._note(line, "fallbacks", why)
        if same := [name for name in others if name not in foreign]:
            self._fall_back(model, same, line)

    def _dialect(self, name: str) -> Dialect:
        """The API that a carried name is asked for in."""
        model = self._catalogue.find(name)
        by_catalogue = Dialect.ANTHROPIC if model and "messages" in model.operations else Dialect.OPENAI
        return self._dialects.get(name, by_catalogue)

    def _is_served(self, name: str) -> bool:
        return name in self._upstream_of or name in self._models or self._catalogue.find(name) is not None

    def _fall_back(self, model: str, names: list[str], line: int) -> None:
        known = self._models.get(model, {}).get("fallbacks", [])
        assert isinstance(known, list)  # noqa: S101 - made here alone
        self._model(model, "fallbacks", [*known, *(name for name in names if name not in known)], line)

    def _aliases(self, node: Mapping) -> None:
        for alias, target in node.entries.items():
            name = text_of(target.entries.get("model")) if isinstance(target, Mapping) else text_of(target)
            upstream = self._upstream_of.get(name, name)
            if not upstream or upstream == alias:
                self._note(node.key_lines[alias], f"model_group_alias.{alias[:60]}", "names no other model")
            elif alias in self._models or alias in self._upstream_of:
                self._note(
                    node.key_lines[alias], f"model_group_alias.{alias[:60]}", "is a model of its own too"
                )
            else:
                self._model(alias, "alias_of", upstream, node.key_lines[alias])

    def _model(self, name: str, member: str, value: object, line: int) -> None:
        self._models.setdefault(name, {})[member] = value
        self._lines["models", name, member] = line
