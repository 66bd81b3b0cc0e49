"""The catalogue: what the packaged file says, what an operator may write, and which names lead where."""

from datetime import date

import pytest
from tests.metering.vocabulary import ENTRY, catalogue, model

from macroslow.errors import ConfigurationError
from macroslow.metering.catalogue import parse_catalogue
from macroslow.metering.prices import TokenCounts

MODELS = catalogue().models


def mistakes(make) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        make()
    return [problem.field for problem in caught.value.problems]


# The packaged file.


@pytest.mark.parametrize("name", sorted(MODELS))
def test_a_packaged_model_makes_sense(name):
    of = MODELS[name]
    assert of.provider in {"openai", "anthropic", "google"}
    assert of.upstream == name
    assert of.max_output_tokens <= of.context_tokens
    assert (of.counting == "exact") == (of.tokens_per_1000_counted == 1000) or name.startswith("gpt-6")
    assert of.prices.cached_input_usd_micros <= of.prices.input_usd_micros
    assert bool(of.max_output_tokens) == (of.operations != ("embeddings",))
    assert ("messages" in of.operations) == (of.provider == "anthropic")
    if of.retires:
        date.fromisoformat(of.retires)


@pytest.mark.parametrize(
    "name",
    [
        *("gpt-4o", "gpt-4o-2025-10-15", "gpt-4o-2024-05-13", "gpt-4o-2024-08-06", "gpt-4o-2024-11-20"),
        *("gpt-4o-mini", "gpt-4.1", "gpt-4.1-mini", "gpt-4.1-nano", "gpt-5", "gpt-5-mini", "gpt-5-nano"),
        *("gpt-5.1", "gpt-5-codex", "gpt-5.1-codex", "o3", "o4-mini", "gpt-4-turbo", "gpt-3.5-turbo"),
        *("text-embedding-3-small", "text-embedding-3-large", "text-embedding-ada-002"),
        *("claude-opus-4-1", "claude-opus-4-5", "claude-sonnet-4-5", "claude-haiku-4-5"),
        *("claude-3-5-haiku-latest", "gemini-2.5-pro", "gemini-2.5-flash"),
    ],
)
def test_the_usual_models_have_a_price(name):
    assert catalogue().find(name) is not None


def test_anthropics_caches_cost_what_it_says_they_do():
    for of in MODELS.values():
        if of.provider == "anthropic":
            assert of.prices.cache_write_5m_usd_micros * 4 == of.prices.input_usd_micros * 5
            assert of.prices.cache_write_1h_usd_micros == of.prices.input_usd_micros * 2


def test_a_figure_that_stands_in_one_place_alone_is_not_called_verified():
    assert not MODELS["claude-fable-5-2"].verified
    assert MODELS["gpt-4o"].verified


def test_models_are_counted_in_two_encodings():
    assert {model.encoding for model in MODELS.values()} == {"o200k_base", "cl100k_base"}


# Names.


def test_an_alias_is_asked_for_as_the_model_and_a_snapshot_as_itself():
    of = catalogue().find("gpt-4o")
    assert catalogue().find("gpt-4o-2025-10-15") is of
    dated = catalogue().find("gpt-4o-2024-08-06")
    assert (dated.name, dated.upstream, dated.family) == ("gpt-4o-2024-08-06", "gpt-4o-2024-08-06", "gpt-4o")
    assert dated.prices == of.prices
    assert catalogue().find("gpt-7") is None


def test_names_are_sorted_and_found():
    names = [name for name, _ in catalogue().names()]
    assert names == sorted(names)
    assert {"gpt-4o", "gpt-4o-2025-10-15", "claude-sonnet-4-5"} <= set(names)
    assert all(catalogue().find(name) is of for name, of in catalogue().names())


def test_an_operators_entry_is_added_and_replaces():
    ours = catalogue().with_models({"local": ENTRY, "gpt-4o": {**ENTRY, "aliases": ["big"]}})
    assert ours.find("local").price(TokenCounts(10**6, 10**6)) == 0
    assert ours.find("gpt-4o").provider == ours.find("big").provider == "vllm"
    assert ours.find("gpt-4o-mini").provider == "openai"
    assert ours.find("gpt-4o-2025-10-15") is None
    assert ours.limits == catalogue().limits


def test_an_operator_names_models_as_he_likes_even_as_another():
    ours = catalogue().with_names({"fast": "gpt-4o-mini", "gpt-4o": "fast"}, {})
    assert ours.find("fast").name == ours.find("gpt-4o").name == "gpt-4o-mini"
    assert dict(ours.names())["gpt-4o"].name == "gpt-4o-mini"


@pytest.mark.parametrize(
    ("renamed", "at"),
    [
        ({"a": "nothing"}, ["a"]),
        ({"a": "a"}, ["a"]),
        ({"a": "b", "b": "c", "c": "a"}, ["a", "b", "c"]),
        ({"a": "b", "b": "nothing", "c": "gpt-4o"}, ["a", "b"]),
        ({"gpt-4o": "gpt-4o-mini", "gpt-4o-mini": "gpt-4o"}, ["gpt-4o", "gpt-4o-mini"]),
    ],
)
def test_a_name_that_leads_nowhere_is_refused(renamed, at):
    fields = [f"models.{name}.alias_of" for name in at]
    assert mistakes(lambda: catalogue().with_names(renamed, {})) == fields


def test_a_name_that_was_nearly_right_is_suggested():
    with pytest.raises(ConfigurationError) as caught:
        catalogue().with_names({"a": "gpt-4o-mimi"}, {})
    assert 'did you mean "gpt-4o-mini"?' in caught.value.problems[0].fix


def test_models_may_stand_in_for_each_other():
    ours = catalogue().with_names(
        {"fast": "gpt-4o-mini"}, {"gpt-4o": ("claude-sonnet-4-5", "fast"), "claude-sonnet-4-5": ("gpt-4o",)}
    )
    sonnet = "claude-sonnet-4-5-20250929"
    assert names_of(ours.chain("gpt-4o-2025-10-15")) == ["gpt-4o", sonnet, "gpt-4o-mini"]
    assert names_of(ours.chain("claude-sonnet-4-5")) == [sonnet, "gpt-4o"]
    assert names_of(ours.chain(sonnet)) == [sonnet]  # the entry is of the other name
    assert ours.chain("nothing") == ()


def names_of(models) -> list[str]:
    return [model.name for model in models]


@pytest.mark.parametrize(
    ("fallbacks", "at"),
    [
        ({"gpt-4o": ("nothing",)}, ["models.gpt-4o.fallbacks"]),
        ({"nothing": ("gpt-4o",)}, ["models.nothing.fallbacks"]),
        ({"gpt-4o": ("gpt-4o",)}, ["models.gpt-4o.fallbacks"]),
        ({"gpt-4o": ("gpt-4o-2025-10-15",)}, ["models.gpt-4o.fallbacks"]),
        ({"gpt-4o": ("gpt-4o-mini", "fast")}, ["models.gpt-4o.fallbacks"]),
    ],
)
def test_a_fall_back_on_nothing_on_itself_or_twice_is_refused(fallbacks, at):
    assert mistakes(lambda: catalogue().with_names({"fast": "gpt-4o-mini"}, fallbacks)) == at


# What an operator may write.


def test_what_is_left_out_is_the_careful_choice():
    of = catalogue().with_models({"m": {k: v for k, v in ENTRY.items() if k != "counting"}}).find("m")
    assert (of.counting, of.images, of.max_input_tokens) == ("estimate", None, 8192)
    assert (of.family, of.operations) == ("m", ("chat.completions",))
    assert of.priceable == frozenset()


def test_an_operators_model_takes_the_rules_of_the_packaged_ones():
    of = model(images="gpt-4o", priceable=["service_tier"], operations=["chat.completions", "responses"])
    assert of.images is catalogue().image_rules["gpt-4o"]
    assert of.priceable == {"service_tier"}


LONG = {
    "above_tokens": 1,
    "input_usd_micros": 1,
    "cached_input_usd_micros": 1,
    "output_usd_micros": 1,
}


@pytest.mark.parametrize(
    ("change", "at"),
    [
        ({"provider": ""}, "provider"),
        ({"provider": 5}, "provider"),
        ({"encoding": "p50k_base"}, "encoding"),
        ({"encoding": []}, "encoding"),
        ({"counting": "guess"}, "counting"),
        ({"tokens_per_1000_counted": 1.2}, "tokens_per_1000_counted"),
        ({"context_tokens": 0}, "context_tokens"),
        ({"context_tokens": True}, "context_tokens"),
        ({"max_input_tokens": -1}, "max_input_tokens"),
        ({"output_usd_micros": -1}, "output_usd_micros"),
        ({"output_usd_micros": 2.5}, "output_usd_micros"),
        ({"output_usd_micros": 10**13}, "output_usd_micros"),
        ({"cache_write_5m_usd_micros": "1"}, "cache_write_5m_usd_micros"),
        ({"aliases": "x"}, "aliases"),
        ({"aliases": [1]}, "aliases"),
        ({"snapshots": [""]}, "snapshots"),
        ({"operations": ["chat"]}, "operations"),
        ({"operations": [["responses"]]}, "operations"),
        ({"reasoning": "yes"}, "reasoning"),
        ({"verified": 1}, "verified"),
        ({"retires": "soon"}, "retires"),
        ({"images": "nothing"}, "images"),
        ({"images": []}, "images"),
        ({"priceable": "tools"}, "priceable"),
        ({"long_prompts": 5}, "long_prompts"),
        ({"long_prompts": {**LONG, "above_tokens": 0}}, "long_prompts.above_tokens"),
        ({"long_prompts": {**LONG, "more": 1}}, "long_prompts.more"),
        ({"long_prompts": LONG, "output_usd_micros": 2}, "long_prompts.output_usd_micros"),
        ({"long_prompts": LONG, "cache_write_1h_usd_micros": 2}, "long_prompts.cache_write_1h_usd_micros"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_wrong_member_is_named(change, at):
    assert mistakes(lambda: model(**change)) == [f"models.m.{at}"]


def test_every_mistake_is_listed():
    assert len(mistakes(lambda: catalogue().with_models({"a": {}, "b": 5}))) == 9


@pytest.mark.parametrize(
    "toml",
    [b"\xff", b"x", b"", b"models = 1", b"[models]\n[other]\n", b"[limits]\n", b"[models]\n[limits]\nx = 1"],
)
def test_a_file_that_is_no_catalogue_is_refused(toml):
    with pytest.raises(ConfigurationError):
        parse_catalogue(toml)


@pytest.mark.parametrize(
    ("toml", "at"),
    [
        ("[image_rules.x]\n", "image_rules.x.kind"),
        ("[image_rules]\nx = 1\n", "image_rules.x.kind"),
        ('[image_rules.x]\nkind = ["tiles"]\n', "image_rules.x.kind"),
        (
            '[image_rules.x]\nkind = "pixels"\nmax_edge_px = 1\nmost_tokens = 1\n',
            "image_rules.x.pixels_per_token",
        ),
        ("[limits.x]\nverified = true\nmodels = {}\n", "limits.x.source"),
        ('[limits.x]\nsource = "s"\nverified = true\nmodels = { m = 1 }\n', "limits.x.models.m"),
        ('[limits.x]\nsource = "s"\nverified = true\nmodels = { m = { c = {} } }\n', "limits.x.models.m.c"),
        (
            '[limits.x]\nsource = "s"\nverified = true\nmodels = { m = { chat = { rpm = 1 } } }\n',
            "limits.x.models.m.chat.rpm",
        ),
        (
            '[limits.x]\nsource = "s"\nverified = true\nmodels = { m = { chat = { context_tokens = 0 } } }\n',
            "limits.x.models.m.chat.context_tokens",
        ),
    ],
)
def test_a_wrong_rule_or_limit_is_named(toml, at):
    assert mistakes(lambda: parse_catalogue(f"[models]\n{toml}".encode())) == [at]
