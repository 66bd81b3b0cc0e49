"""Deployments of a LiteLLM configuration (`model_list`): providers with keys, limits and prices."""

import re
from dataclasses import dataclass
from typing import Final

from macroslow.inference.dialect import Dialect
from macroslow.maml.yaml_tree import Mapping, Node, Scalar
from macroslow.services.litellm.found import Found
from macroslow.services.litellm.providers import Deployed, Destination, Login, Providers
from macroslow.services.litellm.words import (
    ANTHROPIC_ALONE,
    KNOWN_PARAMS,
    NOTHING_LIKE_IT,
    PRICES,
    WHY,
    Vendor,
    text_of,
    usd_per_million,
    vendor_of,
)

_ENVIRON: Final = re.compile(r"os\.environ/([A-Za-z_][A-Za-z0-9_]*)")


@dataclass(frozen=True, slots=True)
class Unpriced:
    """Models without a price, and what holds of names once they have one.

    `lines` are those of the models, by the provider's own name; `models` is what [models] gets then.
    """

    lines: dict[str, int]
    models: dict[str, dict[str, object]]


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A deployment whose model has no price."""

    line: int
    name: str
    upstream: str


class Deployments:
    """Takes them one by one, and gives each model one provider."""

    def __init__(self, found: Found) -> None:
        self._found = found
        self._providers = Providers(found.note)
        self._waiting: list[_Waiting] = []
        self._in_clear: dict[str, str] = {}
        """References for keys that stand in the file, by the key. Of these only references leave here."""

    def providers(self) -> dict[str, object]:
        """[providers] by name, of all that was taken."""
        return self._providers.tables(self._found.lines)

    def settle(self) -> None:
        """Leave a name that is a served model's own to that model: an alias would take all its calls along.

        To be asked when every deployment is taken, and before anything that names them.
        """
        waiting = {one.upstream for one in self._waiting}
        for name, upstream in self._found.upstream_of.items():
            owner = self._providers.owner_of(name)
            if owner is None or name in waiting or "alias_of" not in self._found.models.get(name, {}):
                continue
            line = self._found.lines["models", name, "alias_of"]
            others = [one for one in (upstream, *self._found.fallbacks_of(name)) if one != name]
            self._found.unset_model(name, "alias_of", "fallbacks")
            self._found.upstream_of[name] = name
            why = f"a model of {owner.name} has this name and keeps it: {upstream!r} is"
            if self._found.dialect(upstream) is self._found.dialect(name):
                self._found.fall_back(name, others, line)
                self._found.note(line, name, f"{why} its fall-back")
            else:
                self._found.note(line, name, f"{why} not carried under it, as it is in another API")

    def without_price(self) -> Unpriced:
        """What waits for a price, each told of. To be asked once everything else is taken."""
        unpriced = Unpriced({}, {})
        for one in self._waiting:
            unpriced.lines.setdefault(one.upstream, one.line)
            why = f"no price of {one.upstream!r} is known: {self._wait(one, unpriced.models)}"
            self._found.note(one.line, one.name, why)
        return unpriced

    def _wait(self, one: _Waiting, models: dict[str, dict[str, object]]) -> str:
        """What the name gets: the model, if nothing else serves it; else a fall-back, as with a price."""
        first = self._server_of(one.name, models)
        if first is None:
            models[one.name] = {"alias_of": one.upstream}
        if first is None or first == one.upstream:
            return "it is served once the lines for it at the end have one"
        if self._found.dialect(first) is not self._found.dialect(one.upstream):
            return f"{first!r} serves the name, in another API: not carried under it"
        table = models.setdefault(one.name, {})
        known = table.get("fallbacks", self._found.fallbacks_of(one.name))
        assert isinstance(known, list)  # noqa: S101 - made here alone
        table["fallbacks"] = known if one.upstream in known else [*known, one.upstream]
        return f"{first!r} serves the name, and this is a fall-back once the lines at the end have a price"

    def _server_of(self, name: str, waiting: dict[str, dict[str, object]]) -> str | None:
        """The provider's own name of what a name asks for first; None if it asks for nothing yet."""
        alias = self._found.models.get(name, waiting.get(name, {})).get("alias_of")
        if isinstance(alias, str):
            return alias
        return name if self._providers.owner_of(name) else None

    def take(self, node: Node) -> None:
        """Carry one entry, or say what of it is not carried."""
        params = node.entries.get("litellm_params") if isinstance(node, Mapping) else None
        name = text_of(node.entries.get("model_name")) if isinstance(node, Mapping) else ""
        model = text_of(params.entries.get("model")) if isinstance(params, Mapping) else ""
        if not isinstance(node, Mapping) or not isinstance(params, Mapping) or not name or not model:
            self._found.note(node.line, "model_list", "an entry has no model_name or no litellm_params.model")
            return
        vendor, upstream = vendor_of(model)
        if vendor is None:
            prefix = model.partition("/")[0]
            self._found.note(node.line, name, f"{prefix[:40]!r} speaks neither OpenAI's nor Anthropic's API")
            return
        if "*" in name or "*" in upstream:
            pattern = upstream if "*" in upstream else name
            self._found.note(node.line, name, f'a pattern: add "{pattern}" to `models` of its provider here')
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
            self._found.note(node.line, name, why)
            return
        key = self._key(params, destination, name)
        deployed = destination.models.setdefault(upstream, Deployed(node.line))
        login = deployed.logins.setdefault(key, Login(key, node.line))
        login.limits.add((self._count(params, "rpm"), self._count(params, "tpm")))
        self._found.dialects[upstream] = vendor.kind
        if not self._price(node, params, name, upstream):
            return
        if vendor.kind is Dialect.ANTHROPIC:
            self._found.note(node.line, name, ANTHROPIC_ALONE)
        self._found.dialects.setdefault(name, vendor.kind)
        first = self._found.upstream_of.setdefault(name, upstream)
        if self._found.dialects[name] is not vendor.kind:
            why = "another deployment of the name, in another API than the first: not carried"
            self._found.note(node.line, name, why)
        elif first != upstream:
            self._found.fall_back(name, [upstream], node.line)
            why = "another deployment of the name: carried as a fall-back, for when the first is out of reach"
            self._found.note(node.line, name, why)
        elif name != upstream:
            self._found.set_model(name, "alias_of", upstream, node.line)

    def _base_url(self, params: Mapping, vendor: Vendor, name: str) -> str:
        """The destination's base URL; empty, with a note, if the file does not say it."""
        node = params.entries.get("api_base") or params.entries.get("base_url")
        given = text_of(node)
        line = node.line if node else params.line
        if _ENVIRON.fullmatch(given):
            self._found.note(
                line, f"{name}.api_base", "a variable: write the URL, so that a key has one destination"
            )
            return ""
        base_url = (given or vendor.base_url).rstrip("/")
        if not base_url:
            self._found.note(line, f"{name}.api_base", "is not given, and this provider has none of its own")
        elif not re.fullmatch(r"https?://[^\s@?#\\]+", base_url):
            self._found.note(
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
        self._found.note(node.line, f"{name}.api_key", why)
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
            self._found.note(node.line, member, "is not a number of 1 or more")
        return None

    def _price(self, node: Mapping, params: Mapping, name: str, upstream: str) -> bool:
        """The file's own prices, per token; else the catalogue must have some. Whether there are."""
        info = node.entries.get("model_info")
        tables = [one for one in (params, info) if isinstance(one, Mapping)]
        for member, setting in PRICES.items():
            for table in tables:
                usd = usd_per_million(table.entries.get(member))
                if usd is not None:
                    self._found.set_model(upstream, setting, usd, table.key_lines[member])
        priced = {"input_usd", "output_usd"} <= self._found.models.get(upstream, {}).keys()
        if not priced:
            self._found.unset_model(upstream, *PRICES.values())
        if priced or self._found.catalogue.find(upstream) is not None:
            return True
        self._waiting.append(_Waiting(node.line, name, upstream))
        return False

    def _leftovers(self, name: str, node: Mapping, params: Mapping) -> None:
        """Everything that was not looked at."""
        for key, line in node.key_lines.items():
            if key not in {"model_name", "litellm_params", "model_info"}:
                self._found.note(line, f"{name}.{key[:60]}", NOTHING_LIKE_IT)
        for key, line in params.key_lines.items():
            if key not in KNOWN_PARAMS:
                self._found.note(line, f"{name}.{key[:60]}", WHY.get(key, NOTHING_LIKE_IT))
