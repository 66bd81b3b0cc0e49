"""Which provider serves which model, at which price and within which limits."""

from decimal import Decimal

import pytest

from macroslow.bootstrap.models import complete_catalogue, micros
from macroslow.bootstrap.providers import lines, tiers
from macroslow.errors import ConfigurationError
from macroslow.limits.admission import Charge, Pace, Quota, Window
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


@pytest.mark.parametrize(
    ("usd", "expected"), [("0", 0), ("0.000001", 1), ("0.0000001", 1), ("2.5", 2_500_000), ("1e3", 10**9)]
)
def test_dollars_become_micros_rounded_up(usd: str, expected: int) -> None:
    assert micros(Decimal(usd)) == expected


def test_quotas_are_those_of_the_provider_that_serves_the_model(tmp_path) -> None:
    limits = 'limits = {rpm = 60, tpm = 6000, concurrency = 3, window = "minute", charge = "used"}'
    text = provider("a", f'models = ["gpt-4o"]\n{limits}') + provider("b")
    configured = settings(tmp_path, text)
    made = lines(configured, complete_catalogue(configured))
    [limited] = made["a", "gpt-4o"]
    assert limited.account == "a"
    expected = Quota(rpm=60, tpm=6000, concurrent=3, window=Window.SLIDING, charge=Charge.USED)
    assert limited.quota == expected
    [free] = made["b", "gpt-4o-mini"]
    assert free.quota == Quota()
    assert ("a", "gpt-4o-mini") not in made


def test_every_key_has_limits_of_its_own(tmp_path, monkeypatch) -> None:
    keys = 'keys = [{key = "env:ONE"}, {key = "env:TWO", limits = {rpm = 7, pace = "minute"}}]'
    configured = settings(tmp_path, provider("a", f"{keys}\nlimits = {{rpm = 60}}"))
    one, two = lines(configured, complete_catalogue(configured))["a", "gpt-4o"]
    assert (one.account, one.quota) == ("a", Quota(rpm=60))
    assert (two.account, two.quota) == ("a#2", Quota(rpm=7, pace=Pace.MINUTE))


def test_a_named_tier_gives_what_the_operator_does_not(tmp_path) -> None:
    configured = settings(tmp_path, provider("a", 'limits = {rpm = 150, tier = "seed-2025-10"}'))
    catalogue = complete_catalogue(configured)
    [limited] = lines(configured, catalogue)["a", "gpt-4o"]
    assert (limited.quota.rpm, limited.quota.tpm) == (150, 10_000)
    assert tiers(configured, catalogue)["a"].of("gpt-4o", "chat.completions").max_output_tokens == 4096


def test_a_tier_that_is_none_stops_the_start(tmp_path) -> None:
    configured = settings(tmp_path, provider("a", 'limits = {tier = "seed-1999"}'))
    with pytest.raises(ConfigurationError) as caught:
        lines(configured, complete_catalogue(configured))
    assert "seed-2025-10" in caught.value.fix


@pytest.mark.parametrize("entry", ['alias_of = "nothing"', 'fallbacks = ["nothing"]'])
def test_names_that_lead_nowhere_stop_the_start(tmp_path, entry) -> None:
    configured = settings(tmp_path, provider("a") + f"[models.gpt-4o]\n{entry}\n")
    with pytest.raises(ConfigurationError):
        complete_catalogue(configured)


def test_an_alias_and_fall_backs_are_those_of_the_operator(tmp_path) -> None:
    text = provider("a") + '[models.fast]\nalias_of = "gpt-4o-mini"\n[models.gpt-4o]\nfallbacks = ["fast"]\n'
    catalogue = complete_catalogue(settings(tmp_path, text))
    assert catalogue.find("fast").name == "gpt-4o-mini"
    assert catalogue.find("gpt-4o").fallbacks == ("fast",)


def test_a_provider_called_as_a_vendor_has_that_vendors_models_alone(tmp_path) -> None:
    text = provider("openai") + provider("anthropic", 'kind = "anthropic"')
    catalogue = complete_catalogue(settings(tmp_path, text))
    assert catalogue.find("gpt-4o").provider == "openai"
    assert catalogue.find("claude-haiku-4-5").provider == "anthropic"
    assert catalogue.find("gemini-2.5-pro").provider == ""
    assert served(tmp_path, provider("proxy"), "gemini-2.5-pro") == "proxy"


def test_without_a_provider_nothing_is_limited(tmp_path) -> None:
    configured = settings(tmp_path, "")
    assert lines(configured, complete_catalogue(configured)) == {}
