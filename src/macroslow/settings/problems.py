"""What is wrong with a configuration, in the words of the person who has to mend it."""

import re
from ast import literal_eval
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from macroslow.errors import Problem
from macroslow.settings.fields import split_listen
from macroslow.settings.model import Settings, schema
from macroslow.settings.origin import KeyPath, Origin, dotted, element, problem

_Found = tuple[KeyPath, str, str]  # where, what is wrong, what mends it
_POSITION: Final = re.compile(r" \(at line (\d+), column (\d+)\)")
_TWICE: Final = re.compile(r"Cannot declare \((.*)\) twice")
_QUOTES: Final = {
    "string_type": "write it in quotes",
    "int_type": "write it without quotes",
    "float_type": "write it without quotes",
    "bool_type": "write true or false, without quotes",
}
_LATER: Final[Mapping[KeyPath, str]] = {
    ("sources",): "bound data sources are",
    ("privacy",): "removal of personal data is",
}
"""Settings of the design that only another version acts on."""
_ELSEWHERE: Final[Mapping[KeyPath, str]] = dict.fromkeys(
    (("auth", "jwt"), ("auth", "oidc")), "write [auth.issuers.NAME] for each issuer of tokens"
)
"""Settings that have another name here."""


def syntax_problem(error: Exception, file: str) -> Problem:
    """Why the file is not TOML at all."""
    position = _POSITION.search(str(error))
    message, fix = _POSITION.sub("", str(error)), ""
    if isinstance(error, UnicodeDecodeError):
        message = "is not UTF-8"
    elif twice := _TWICE.fullmatch(message):
        table = dotted(literal_eval(f"({twice[1]})"))
        message, fix = f"the table [{table}] is there twice", f"put all settings under one [{table}]"
    return Problem(message, fix, int(position[1]) if position else None, "", file)


def from_validation(error: ValidationError, origins: Mapping[KeyPath, Origin]) -> list[Problem]:
    """One Problem for each complaint. Values are not quoted: one may be a secret in the wrong place."""
    errors = error.errors(include_url=False, include_input=False)
    return [_problem(one, origins) for one in errors if not _follows(one, errors)]


def contradictions(settings: Settings, origins: Mapping[KeyPath, Origin]) -> list[Problem]:
    """What each section allows and all of them together do not."""
    found = (
        *_ambiguous_models(settings),
        *_emulators_in_production(settings),
        *_models_of_themselves(settings),
        *_two_listeners_at_one_address(settings),
    )
    return [problem(path, message, fix, origins) for path, message, fix in found]


def _follows(one: ErrorDetails, errors: Iterable[ErrorDetails]) -> bool:
    """Whether it only says that a list lacks its elements, which are complained of themselves."""
    within = one["loc"]
    return one["type"] == "too_short" and any(
        len(other["loc"]) > len(within) and other["loc"][: len(within)] == within for other in errors
    )


def _problem(one: ErrorDetails, origins: Mapping[KeyPath, Origin]) -> Problem:
    located = (part for part in one["loc"] if part != "[key]")
    path = tuple(element(part) if isinstance(part, int) else part for part in located)
    message, fix = _words(one, path)
    if one["type"] == "extra_forbidden" and (name := _unquoted(path, origins)):
        message, fix = "a name with a dot stands without quotes", f"write [{dotted((path[0], name))}]"
    return problem(path, message, fix, origins)


def _unquoted(path: KeyPath, origins: Mapping[KeyPath, Origin]) -> str:
    """The name that `[models.gpt-4.1]` was meant to be: TOML reads a table `gpt-4` with a table `1` in it."""
    if path[0] != "models" or len(path) != 3:
        return ""
    below = [one for one in origins if one[:2] == path[:2]]
    above = {one[:-1] for one in below}
    tables = [one[:-1] for one in below if one[:3] == path and len(one) > 3 and one not in above]
    known = any(one[2] in _names(path[:2]) for one in below if len(one) > 2)
    return ".".join(min(tables, key=len)[1:]) if tables and not known else ""


def _words(one: ErrorDetails, path: KeyPath) -> tuple[str, str]:
    key = path[-1] if path else ""
    later = _LATER.get(path)
    match one["type"]:
        case "extra_forbidden" if later:
            return f"{later} not available in this version", f"remove {key}"
        case "extra_forbidden":
            return "there is no such setting", _suggestion(path)
        case "model_type":
            return "should be a table", "write { … } with its settings"
        case "tuple_type" | "list_type":
            return "should be a list", "write it in brackets: [ … ]"
        case "missing":
            return "is not set, and has no default", f"add {key} = …"
        case _:
            message = re.sub(r"^Input should", "should", one["msg"])
            return message, str(one.get("ctx", {}).get("fix", "") or _QUOTES.get(one["type"], ""))


def _suggestion(path: KeyPath) -> str:
    """The name that was meant: the same in another section, else one alike in this section."""
    if path in _ELSEWHERE:
        return _ELSEWHERE[path]
    *above, key = path
    names = _names(above)
    homes = [section for section in _names(()) if key in _names((section,))]
    if homes:
        return f'"{key}" belongs in [{homes[0]}]'
    if alike := get_close_matches(key, names, n=1, cutoff=0.6):
        return f'did you mean "{alike[0]}"?'
    return "known here: " + ", ".join(names)


def _names(path: Sequence[str]) -> list[str]:
    """The keys that the section at `path` knows."""
    whole = schema()
    node: Any = whole
    for key in path:
        node = (
            node.get("properties", {}).get(key) or node.get("additionalProperties") or node.get("items") or {}
        )
        if not isinstance(node, dict):
            return []
        node = next((one for one in node.get("anyOf", ()) if "$ref" in one), node)  # a table or nothing
        reference = str(node.get("$ref", "")).rpartition("/")[2]
        node = whole["$defs"][reference] if reference else node
    return list(node.get("properties", {}))


def _ambiguous_models(settings: Settings) -> Iterator[_Found]:
    """Every model has one provider, or a prompt could go where nobody meant it to.

    Providers of two kinds serve different APIs, so each kind may have one that serves the rest.
    """
    owners: dict[str, str] = {}
    for name, provider in settings.providers.items():
        for model in provider.models or (f"every {provider.kind} model",):
            owner = owners.setdefault(model, name)
            if owner != name:
                what = model if provider.models is None else f'"{model}"'
                message = f'would serve {what}, and so would provider "{owner}"'
                yield ("providers", name, "models"), message, "list in models what each of them serves"


def _emulators_in_production(settings: Settings) -> Iterator[_Found]:
    emulators = {("providers", name): one.emulator for name, one in settings.providers.items()}
    emulators |= {("images", name): one.emulator for name, one in settings.images.named.items()}
    for table, emulator in emulators.items():
        if emulator and settings.gateway.is_production:
            what = "text" if table[0] == "providers" else "images"
            message = f"an emulator answers with invented {what}, and environment is production"
            yield (*table, "emulator"), message, "remove emulator, or set another environment"


def _models_of_themselves(settings: Settings) -> Iterator[_Found]:
    for name, model in settings.models.items():
        for member, others in (("alias_of", (model.alias_of,)), ("fallbacks", model.fallbacks)):
            if name in others:
                yield ("models", name, member), "names the model itself", "name another model"


def _two_listeners_at_one_address(settings: Settings) -> Iterator[_Found]:
    listen, server = settings.administration.listen, settings.server
    if listen is None:
        return
    host, port = split_listen(listen)
    if port and port == server.port and _overlap(host, server.host):
        message = f"is taken by server.listen, {server.listen}"
        yield ("administration", "listen"), message, "choose another port"


def _overlap(one: str, other: str) -> bool:
    """Whether one host's addresses are some of the other's."""
    every = "::" if ":" in one + other else "0.0.0.0"  # noqa: S104 (compared, not bound)
    same_family = (":" in one) == (":" in other)
    hosts = {"127.0.0.1" if each == "localhost" else each for each in (one, other)}
    return len(hosts) == 1 or (same_family and every in hosts)
