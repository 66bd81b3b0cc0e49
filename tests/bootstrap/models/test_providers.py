"""What each account of a provider may use of each model."""

from tests.bootstrap.models.test_catalogue import provider, settings

from macroslow.bootstrap.models.catalogue import complete_catalogue
from macroslow.bootstrap.models.providers import lines, tiers
from macroslow.limits.admission import Charge, Pace, Quota, Window


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


def test_without_a_provider_nothing_is_limited(tmp_path) -> None:
    configured = settings(tmp_path, "")
    assert lines(configured, complete_catalogue(configured)) == {}
