"""Checks that the APIs of OpenAI share: a body's members against a table, its model, its JSON.

The order is the service's: JSON, model, then member by member. A member that the service knows and the
emulator does not do is refused by name; a member that nobody knows, too. `null` is as not given.
"""

from collections.abc import Callable, Mapping
from typing import Any

from macroslow.emulator.ask import Ask, Message, text_of
from macroslow.emulator.bodies import json_object
from macroslow.emulator.openai import members, refusals
from macroslow.emulator.work import Served, refuse
from macroslow.metering.models import Model

Check = Callable[[str, object], object]


def members_of(raw: bytes) -> dict[str, Any]:
    """The members of a body from anyone that have a value."""
    given = json_object(raw)
    if given is None:
        refuse(refusals.not_json())
    return {name: item for name, item in given.items() if item is not None}


def model_of(given: Mapping[str, Any], served: Served) -> Model:
    """The model that is asked for."""
    if "model" not in given:
        refuse(refusals.Refusal(400, "you must provide a model parameter"))
    name = members.text("model", given["model"])
    return served.find(name) or refuse(refusals.unknown_model(name))


def writing_model_of(given: Mapping[str, Any], served: Served) -> Model:
    """The model that is asked for, which has to be one that writes."""
    model = model_of(given, served)
    if "embeddings" in model.operations:
        message = f"This is not a chat model and thus not supported: {given['model']}"
        refuse(refusals.Refusal(404, message, param="model"))
    return model


def check(given: Mapping[str, Any], checks: Mapping[str, Check]) -> None:
    """Check every member that is given."""
    for name, item in given.items():
        if name not in checks:
            refuse(refusals.bad_value(name, f"Unknown parameter: '{name}'.", "unknown_parameter"))
        checks[name](name, item)


def takes_images(ask: Ask) -> None:
    """Refuse images that the model cannot see."""
    if ask.images and ask.model.images is None:
        message = "Invalid content type. image_url is only supported by certain models."
        refuse(refusals.bad_value("messages", message, None))


def needs_the_word_json(param: str, messages: tuple[Message, ...]) -> None:
    """The service answers in JSON only if told to in words, too."""
    if not any("json" in text_of(message).lower() for message in messages):
        message = f"'{param}' must contain the word 'json' in some form, to use"
        refuse(refusals.bad_value(param, f"{message} a format of type 'json_object'.", None))


def output_limit(name: str, asked: int, model: Model) -> int:
    """The maximum that is asked for, if the model can write that much."""
    if asked > model.max_output_tokens:
        supports = f"This model supports at most {model.max_output_tokens} completion tokens"
        message = f"{name} is too large: {asked}. {supports}, whereas you provided {asked}."
        refuse(refusals.bad_value(name, message))
    return asked


def tool_choice(param: str, value: object) -> None:
    """A word, or the function that has to be called."""
    if isinstance(value, str):
        members.choice(param, value, ("none", "auto", "required"))
    else:
        kind = members.required(members.mapping(param, value), f"{param}.", "type")
        if kind != "function":
            refuse(refusals.not_emulated(f"{param}.type", "tools of the service, or sets of tools"))


def only(*done: object, what: str) -> Check:
    """A member of which the emulator does just the values `done`."""

    def one(param: str, value: object) -> None:
        if not any(value == allowed and type(value) is type(allowed) for allowed in done):
            refuse(refusals.not_emulated(param, what))

    return one


def between(least: float, most: float) -> Check:
    return lambda param, value: members.decimal(param, value, least=least, most=most)


def at_least(least: int, most: int | None = None) -> Check:
    return lambda param, value: members.integer(param, value, least=least, most=most)
