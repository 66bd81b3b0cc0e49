"""Which provider serves which model, and at which price."""

from dataclasses import replace
from decimal import Decimal

import pytest

from macroslow.bootstrap.models.catalogue import complete_catalogue, names_in_vain
from macroslow.errors import ConfigurationError
from macroslow.settings import Settings, load


def settings(tmp_path, text: str) -> Settings:
    path = tmp_path / "macroslow.toml"
    path.write_text(text)
    return load(path, {})


def provider(name: str, more: str = "") -> str:
    return f'[providers.{name}]\nbase_url = "http://127.0.0.1:1/v1"\n{more}\n'


def served(tmp_path, text: str, model: str) -> str:
    return complete_catalogue(settings(tmp_path, text)).models[model].provider


def test_a_model_is_served_by_the_longest_pattern_that_names_it(tmp_path) -> None:
    text = (
        provider("any")
        + provider("small", 'models = ["gpt-4o-mini"]')
        + provider("most", 'models = ["gpt-*"]')
        + provider("all4o", 'models = ["gpt-4o*"]')
        + '[models.gpt-5x]\ninput_usd = "1"\noutput_usd = "1"\n'
        + '[models.o9]\ninput_usd = "1"\noutput_usd = "1"\n'
    )
    assert served(tmp_path, text, "gpt-4o-mini") == "small"
    assert served(tmp_path, text, "gpt-4o") == "all4o"
    assert served(tmp_path, text, "gpt-5x") == "most"
    assert served(tmp_path, text, "o9") == "any"


def test_a_model_that_nobody_names_goes_to_the_provider_that_names_none(tmp_path) -> None:
    text = provider("one", 'models = ["x"]') + provider("two")
    assert served(tmp_path, text, "gpt-4o") == "two"
    assert served(tmp_path, provider("one", 'models = ["x"]'), "gpt-4o") == ""
    assert served(tmp_path, "", "gpt-4o") == ""


def test_the_operators_models_are_priced_as_he_says_and_rounded_up(tmp_path) -> None:
    text = (
        provider("own")
        + """
[models.mine]
input_usd = "1.0000005"
output_usd = "2"
[models.cached]
input_usd = "3"
cached_input_usd = "0"
output_usd = "0"
"""
    )
    models = complete_catalogue(settings(tmp_path, text)).models
    mine, cached = models["mine"].prices, models["cached"].prices
    assert (mine.input_usd_micros, mine.cached_input_usd_micros) == (1_000_001, 1_000_001)
    assert cached.cached_input_usd_micros == 0  # free, which is not the same as not given
    assert models["mine"].provider == "own"


def test_a_tier_that_is_none_stops_the_start(tmp_path) -> None:
    [problem] = problems_of(tmp_path, provider("a", 'limits = {tier = "seed-1999"}'))
    assert (problem.line, problem.field) == (3, "providers.a.limits.tier")
    assert "seed-2025-10" in problem.fix


def problems_of(tmp_path, text: str):
    with pytest.raises(ConfigurationError) as caught:
        complete_catalogue(settings(tmp_path, text))
    return caught.value.problems


@pytest.mark.parametrize(
    ("entry", "field"),
    [
        ('alias_of = "gpt-99"', 'models."gpt-4.1".alias_of'),
        ('fallbacks = ["gpt-99"]', 'models."gpt-4.1".fallbacks'),
        ('input_usd = 1\noutput_usd = 2\nimage_rule = "none"', 'models."gpt-4.1".image_rule'),
    ],
    ids=["alias", "fall-back", "image rule"],
)
def test_names_that_lead_nowhere_stop_the_start_and_say_where(tmp_path, entry, field) -> None:
    [problem] = problems_of(tmp_path, provider("a") + f'[models."gpt-4.1"]\n{entry}\n')
    assert problem.file.endswith("macroslow.toml")
    assert (problem.line, problem.field) == (5 + entry.count("\n"), field)


def test_names_in_a_circle_are_each_told_with_its_line(tmp_path) -> None:
    text = provider("a") + '[models.a]\nalias_of = "b"\n[models.b]\nalias_of = "a"\n'
    found = problems_of(tmp_path, text)
    assert [(one.line, one.field) for one in found] == [(5, "models.a.alias_of"), (7, "models.b.alias_of")]


def test_fall_backs_belong_to_the_name_that_a_request_uses(tmp_path) -> None:
    text = provider("a") + (
        '[models.y1]\nalias_of = "o3"\nfallbacks = ["gpt-4o"]\n'
        '[models.y2]\nalias_of = "o3"\nfallbacks = ["cheap"]\n'
        '[models.y3]\nalias_of = "y2"\n'
        '[models.cheap]\nalias_of = "gpt-4o-mini"\n'
    )
    catalogue = complete_catalogue(settings(tmp_path, text))
    chains = {name: [model.name for model in catalogue.chain(name)] for name in ("o3", "y1", "y2", "y3")}
    assert chains == {
        "o3": ["o3"],
        "y1": ["o3", "gpt-4o"],
        "y2": ["o3", "gpt-4o-mini"],
        "y3": ["o3", "gpt-4o-mini"],  # what y2 stands for, with what follows y2
    }


def test_any_name_of_a_model_in_a_providers_list_serves_it_under_all(tmp_path) -> None:
    dated = "claude-sonnet-4-5-20250929"
    for listed in ("claude-sonnet-4-5", dated, "claude-sonnet-4-5*", "claude-*"):
        text = provider("a", f'kind = "anthropic"\nmodels = ["{listed}"]')
        configured = settings(tmp_path, text + '[models.claude]\nalias_of = "claude-sonnet-4-5"\n')
        catalogue = complete_catalogue(configured)
        for asked in ("claude", "claude-sonnet-4-5", dated):
            assert catalogue.find(asked).provider == "a"
        assert [*names_in_vain(configured, catalogue)] == []


def test_a_models_own_name_goes_before_another_of_its_names_and_that_before_a_pattern(tmp_path) -> None:
    own, other = provider("own", 'models = ["gpt-4o"]'), provider("other", 'models = ["gpt-4o-2025-10-15"]')
    pattern = provider("pattern", 'models = ["gpt-4o*"]')
    assert served(tmp_path, pattern + other + own, "gpt-4o") == "own"
    assert served(tmp_path, pattern + other, "gpt-4o") == "other"
    assert served(tmp_path, pattern, "gpt-4o") == "pattern"


def test_a_listed_name_that_serves_nothing_is_told_with_its_line_and_why(tmp_path) -> None:
    text = (
        provider("a", 'models = ["gpt-9", "quick", "claude-haiku-4-5", "gpt-4o-2025-10-15", "o3"]')
        + provider("b", 'models = ["gpt-4o"]')
        + '[models.quick]\nalias_of = "gpt-4o-mini"\n'
    )
    configured = settings(tmp_path, text)
    told = [*names_in_vain(configured, complete_catalogue(configured))]
    assert [line.partition(" serves nothing: ")[2] for line in told] == [
        "no model of that name has a price (see [models])",
        "it is another name here for gpt-4o-mini, so list that",
        "claude-haiku-4-5-20251001 is asked for in another API than this provider has",
        "gpt-4o is served by b",
    ]
    assert all("macroslow.toml:3: providers.a.models[" in line for line in told)


def test_a_fall_back_in_another_api_is_told(tmp_path) -> None:
    text = (
        provider("a")
        + provider("b", 'kind = "anthropic"')
        + '[models."gpt-4o"]\nfallbacks = ["gpt-4o-mini", "claude-haiku-4-5"]\n'
    )
    configured = settings(tmp_path, text)
    [told] = names_in_vain(configured, complete_catalogue(configured))
    assert told.endswith(
        "macroslow.toml:8: models.gpt-4o.fallbacks: claude-haiku-4-5-20251001 is asked for in another API"
        " than gpt-4o, and never follows it"
    )


# Prices of models that the catalogue has.


def test_own_prices_of_a_model_of_the_catalogue_leave_all_else_as_it_is(tmp_path) -> None:
    packaged = complete_catalogue(settings(tmp_path, provider("a"))).find("gpt-4o")
    text = provider("a") + '[models."gpt-4o"]\ninput_usd = 5\noutput_usd = 20\n'
    catalogue = complete_catalogue(settings(tmp_path, text))
    ours = catalogue.find("gpt-4o")
    assert ours is catalogue.find("gpt-4o-2025-10-15")
    assert replace(ours, prices=packaged.prices) == packaged
    assert (ours.prices.input_usd_micros, ours.prices.output_usd_micros) == (5_000_000, 20_000_000)
    # Twice the catalogue's input price, so twice its price for cached input.
    assert ours.prices.cached_input_usd_micros == 2 * packaged.prices.cached_input_usd_micros


def test_the_catalogues_own_prices_written_out_change_nothing(tmp_path) -> None:
    plain = complete_catalogue(settings(tmp_path, provider("a")))
    for name, packaged in plain.models.items():
        if packaged.family != name or packaged.provider != "a":
            continue
        usd = [Decimal(packaged.prices.input_usd_micros) / 10**6]
        usd.append(Decimal(packaged.prices.output_usd_micros) / 10**6)
        text = provider("a") + f'[models."{name}"]\ninput_usd = "{usd[0]:f}"\noutput_usd = "{usd[1]:f}"\n'
        ours = complete_catalogue(settings(tmp_path, text)).models[name]
        assert ours == replace(packaged, verified=True)


def test_prices_of_long_prompts_follow_and_are_never_below_the_usual(tmp_path) -> None:
    packaged = complete_catalogue(settings(tmp_path, provider("a"))).find("gemini-2.5-pro")
    assert packaged.long_prompts is not None
    text = provider("a") + (
        '[models."gemini-2.5-pro"]\ninput_usd = 0\noutput_usd = 1\ncached_input_usd = 7\n'
    )
    ours = complete_catalogue(settings(tmp_path, text)).find("gemini-2.5-pro")
    assert ours.long_prompts.above_tokens == packaged.long_prompts.above_tokens
    assert ours.prices.cached_input_usd_micros == 7_000_000
    assert ours.long_prompts.prices.cached_input_usd_micros == 7_000_000
    assert ours.long_prompts.prices.output_usd_micros >= ours.prices.output_usd_micros == 1_000_000
    assert ours.long_prompts.prices.input_usd_micros == 0


def test_what_the_operator_says_of_a_model_of_the_catalogue_goes_before_it(tmp_path) -> None:
    text = provider("a") + (
        '[models."gpt-4o"]\ninput_usd = 1\noutput_usd = 1\nencoding = "cl100k_base"\n'
        'context_tokens = 1000\nmax_output_tokens = 10\nimage_rule = "gpt-5"\noperations = ["responses"]\n'
    )
    catalogue = complete_catalogue(settings(tmp_path, text))
    ours = catalogue.find("gpt-4o")
    assert (ours.encoding, ours.counting) == ("cl100k_base", "estimate")
    assert (ours.context_tokens, ours.max_input_tokens, ours.max_output_tokens) == (1000, 1000, 10)
    assert ours.images is catalogue.image_rules["gpt-5"]
    assert ours.operations == ("responses",)


def test_another_name_with_own_prices_is_asked_for_by_that_name(tmp_path) -> None:
    text = provider("a", 'kind = "anthropic"') + (
        '[models."claude-sonnet-4-5"]\ninput_usd = 1\noutput_usd = 1\n'
    )
    catalogue = complete_catalogue(settings(tmp_path, text))
    ours, dated = catalogue.find("claude-sonnet-4-5"), catalogue.find("claude-sonnet-4-5-20250929")
    assert (ours.upstream, dated.upstream) == ("claude-sonnet-4-5", "claude-sonnet-4-5-20250929")
    assert ours.prices.input_usd_micros < dated.prices.input_usd_micros
    assert (ours.images, ours.family) == (dated.images, dated.family)


def test_a_model_that_a_provider_serves_in_another_api_than_its_maker_is_served(tmp_path) -> None:
    text = provider("router", 'models = ["claude-sonnet-4-5"]') + (
        '[models."claude-sonnet-4-5"]\ninput_usd = 1\noutput_usd = 1\n'
    )
    ours = complete_catalogue(settings(tmp_path, text)).find("claude-sonnet-4-5")
    assert ours.provider == "router"
    assert "chat.completions" in ours.operations


def test_an_alias_and_fall_backs_are_those_of_the_operator(tmp_path) -> None:
    text = provider("a") + '[models.fast]\nalias_of = "gpt-4o-mini"\n[models.gpt-4o]\nfallbacks = ["fast"]\n'
    catalogue = complete_catalogue(settings(tmp_path, text))
    assert catalogue.find("fast").name == "gpt-4o-mini"
    assert [model.name for model in catalogue.chain("gpt-4o")] == ["gpt-4o", "gpt-4o-mini"]


def test_a_provider_called_as_a_vendor_has_that_vendors_models_alone(tmp_path) -> None:
    text = provider("openai") + provider("anthropic", 'kind = "anthropic"')
    catalogue = complete_catalogue(settings(tmp_path, text))
    assert catalogue.find("gpt-4o").provider == "openai"
    assert catalogue.find("claude-haiku-4-5").provider == "anthropic"
    assert catalogue.find("gemini-2.5-pro").provider == ""
    assert served(tmp_path, provider("proxy"), "gemini-2.5-pro") == "proxy"
