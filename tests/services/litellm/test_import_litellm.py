"""LiteLLM's configuration: what has a counterpart is carried, everything else is named, no secret is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.metering.vocabulary import catalogue

from macroslow.metering.catalogue import Catalogue
from macroslow.services.litellm.deployments import Unpriced
from macroslow.services.litellm.import_litellm import Imported, import_config
from macroslow.settings import Settings

CATALOGUE = Catalogue({})


def read(text: str) -> Imported:
    found, problems = import_config(text, catalogue())
    assert found is not None, problems
    Settings.model_validate(found.settings)  # whatever is carried is a configuration
    return found


def deployment(name: str, model: str, *more: str, info: str = "") -> str:
    params = "".join(f"      {line}\n" for line in (f"model: {model}", *more))
    return f"  - model_name: {name}\n    litellm_params:\n{params}{info}"


def whys(found: Imported) -> dict[str, str]:
    return {note.what: note.why for note in found.notes}


def test_a_deployment_is_a_provider_with_a_key_limits_and_models() -> None:
    found = read(
        "model_list:\n"
        + deployment("gpt-4o", "openai/gpt-4o", "api_key: os.environ/MY_KEY", "rpm: 480", "tpm: 1000")
    )
    assert found.settings["providers"] == {
        "openai": {
            "kind": "openai",
            "base_url": "https://api.openai.com/v1",
            "models": ["gpt-4o"],
            "key": "env:MY_KEY",
            "limits": {"rpm": 480, "tpm": 1000},
        }
    }
    assert found.notes == ()
    assert found.lines["providers", "openai", "key"] == 2


def test_several_keys_of_one_destination_are_keys_with_limits_of_their_own() -> None:
    found = read(
        "model_list:\n"
        + deployment("gpt-4o", "openai/gpt-4o", "api_key: os.environ/A", "rpm: 1")
        + deployment("gpt-4o", "gpt-4o", "api_key: os.environ/B")
    )
    assert found.settings["providers"]["openai"]["keys"] == [  # type: ignore[index]
        {"key": "env:A", "limits": {"rpm": 1}},
        {"key": "env:B"},
    ]


@pytest.mark.parametrize(
    ("model", "more", "kind", "base_url", "auth"),
    [
        ("gpt-4o", [], "openai", "https://api.openai.com/v1", None),
        ("claude-haiku-4-5", [], "anthropic", "https://api.anthropic.com/v1", None),
        ("azure/gpt-4o", ["api_base: https://x.openai.azure.com/"], "openai",
         "https://x.openai.azure.com/openai/v1", "api-key"),
        ("openai/gpt-4o", ["api_base: https://vllm.example/v1"], "openai", "https://vllm.example/v1", None),
        ("ollama/gpt-4o", [], "openai", "http://127.0.0.1:11434/v1", None),
    ],
)  # fmt: skip
def test_each_kind_of_provider_has_its_destination(model, more, kind, base_url, auth) -> None:
    (provider,) = read("model_list:\n" + deployment("x", model, *more)).settings["providers"].values()  # type: ignore[attr-defined]
    assert (provider["kind"], provider["base_url"], provider.get("auth")) == (kind, base_url, auth)


def test_another_name_is_an_alias_and_other_deployments_of_a_name_are_fallbacks() -> None:
    found = read(
        "model_list:\n"
        + deployment("fast", "openai/gpt-4o-mini", "api_key: os.environ/A")
        + deployment("fast", "openai/gpt-4.1-mini", "api_key: os.environ/A")
    )
    assert found.settings["models"] == {"fast": {"alias_of": "gpt-4o-mini", "fallbacks": ["gpt-4.1-mini"]}}
    assert "fall-back" in whys(found)["fast"]


def test_what_is_asked_for_in_anthropics_api_is_told_and_follows_nothing_of_openais() -> None:
    found = read(
        "model_list:\n"
        + deployment("gpt-4o", "openai/gpt-4o")
        + deployment("cheap", "openai/gpt-4o-mini")
        + deployment("claude", "anthropic/claude-haiku-4-5")
        + deployment("cheap", "anthropic/claude-haiku-4-5")
        + "router_settings:\n  fallbacks:\n"
        + "    - gpt-4o: [cheap, claude, claude-sonnet-4-5]\n    - claude: [gpt-4o]\n"
    )
    assert found.settings["models"] == {
        "cheap": {"alias_of": "gpt-4o-mini"},
        "claude": {"alias_of": "claude-haiku-4-5"},
        "gpt-4o": {"fallbacks": ["cheap"]},
    }
    assert "/v1/chat/completions it is 404" in whys(found)["claude"]
    told = [note.why for note in found.notes if note.what == "fallbacks"]
    assert [why.partition(",")[0] for why in told] == [
        "'claude' is in another API than 'gpt-4o'",
        "'claude-sonnet-4-5' is in another API than 'gpt-4o'",
        "'gpt-4o' is in another API than 'claude'",
    ]
    assert any("in another API than the first" in note.why for note in found.notes if note.what == "cheap")


def test_a_key_serves_the_models_that_it_stood_with_and_no_others() -> None:
    found = read(
        "model_list:\n"
        + deployment("gpt-4o", "openai/gpt-4o", "api_key: os.environ/A", "rpm: 1")
        + deployment("gpt-4o", "openai/gpt-4o", "api_key: os.environ/B", "rpm: 2")
        + deployment("gpt-4o-mini", "openai/gpt-4o-mini", "api_key: os.environ/A", "rpm: 3")
        + deployment("gpt-4.1", "openai/gpt-4.1", "api_key: os.environ/B")
        + deployment("o3", "openai/o3", "api_key: os.environ/A", "rpm: 3")
    )
    providers = found.settings["providers"]
    assert [
        (one["models"], one.get("keys"), one.get("key"), one.get("limits")) for one in providers.values()
    ] == [  # type: ignore[attr-defined]
        (
            ["gpt-4o"],
            [{"key": "env:A", "limits": {"rpm": 1}}, {"key": "env:B", "limits": {"rpm": 2}}],
            None,
            None,
        ),
        (["gpt-4o-mini", "o3"], None, "env:A", {"rpm": 3}),
        (["gpt-4.1"], None, "env:B", None),
    ]
    assert [*providers] == ["openai", "openai-2", "openai-3"]  # type: ignore[misc]
    assert "a provider of its own, openai-3" in whys(found)["gpt-4.1"]
    assert found.lines["providers", "openai-3", "key"] == 17


def test_the_files_own_prices_are_per_million_here() -> None:
    info = "    model_info:\n      input_cost_per_token: 0.00000015\n      output_cost_per_token: 6e-07\n"
    found = read(
        "model_list:\n" + deployment("llama", "hosted_vllm/llama", "api_base: https://v/v1", info=info)
    )
    assert found.settings["models"] == {"llama": {"input_usd": "0.15", "output_usd": "0.6"}}


def test_what_has_no_price_is_said_and_not_served_under_another_name() -> None:
    found = read("model_list:\n" + deployment("mine", "openai/my-finetune"))
    assert "models" not in found.settings
    assert "no price" in whys(found)["mine"]
    assert found.unpriced == Unpriced({"my-finetune": 2}, {"mine": {"alias_of": "my-finetune"}})


def test_a_deployment_without_a_price_is_a_fallback_of_a_name_that_another_serves_and_told_as_such() -> None:
    azure = deployment("gpt-4o", "azure/my-gpt4o", "api_base: https://x.openai.azure.com")
    for both in (
        [deployment("gpt-4o", "openai/gpt-4o"), azure],
        [azure, deployment("gpt-4o", "openai/gpt-4o")],
        [azure, deployment("fast", "openai/gpt-4o")],
    ):
        found = read("model_list:\n" + "".join(both))
        assert found.unpriced.models == {"gpt-4o": {"fallbacks": ["my-gpt4o"]}}
        assert "'gpt-4o' serves the name, and this is a fall-back" in whys(found)["gpt-4o"]


def test_a_name_that_is_another_providers_model_takes_no_calls_from_it() -> None:
    price = ("input_cost_per_token: 0.000001", "output_cost_per_token: 0.000001")
    azure = deployment("gpt-4o", "azure/mine", "api_base: https://x.openai.azure.com", *price)
    fast = deployment("fast", "openai/gpt-4o")
    for both in (fast + azure, azure + fast):
        models = read("model_list:\n" + both).settings["models"]
        assert models["fast"] == {"alias_of": "gpt-4o"}  # type: ignore[index]
        assert models["gpt-4o"] == {"fallbacks": ["mine"]}  # type: ignore[index]
    assert "keeps it: 'mine' is its fall-back" in whys(read("model_list:\n" + azure + fast))["gpt-4o"]
    found = read("model_list:\n" + deployment("gpt-4o", "openai/gpt-4o") + azure + fast)
    assert found.settings["models"]["gpt-4o"] == {"fallbacks": ["mine"]}  # type: ignore[index]
    claude = deployment("gpt-4o", "anthropic/claude-haiku-4-5")
    for both in (fast + claude, claude + fast):
        assert read("model_list:\n" + both).settings["models"] == {"fast": {"alias_of": "gpt-4o"}}
    alias = "router_settings:\n  model_group_alias: {gpt-4o: big}\n"
    found = read("model_list:\n" + fast + deployment("big", "openai/gpt-4.1") + alias)
    assert "gpt-4o" not in found.settings["models"]  # type: ignore[operator]
    assert whys(found)["model_group_alias.gpt-4o"] == "is a model of its own too"


def test_a_name_of_two_deployments_without_a_price_has_one_table() -> None:
    found = read(
        "model_list:\n"
        + deployment("mine", "openai/tune-1")
        + deployment("mine", "openai/tune-2")
        + deployment("mine", "openai/tune-2", "api_key: os.environ/B")
        + deployment("mine", "anthropic/claude-unknown")
    )
    assert found.unpriced.models == {"mine": {"alias_of": "tune-1", "fallbacks": ["tune-2"]}}
    assert "in another API: not carried" in whys(found)["mine"]


def test_a_name_that_a_priced_model_has_too_keeps_it_and_its_fallbacks() -> None:
    found = read(
        "model_list:\n"
        + deployment("mine", "openai/my-finetune")
        + deployment("my-finetune", "openai/my-finetune")
        + deployment("mine", "openai/gpt-4o")
        + deployment("mine", "openai/gpt-4.1")
    )
    assert found.settings["models"] == {"mine": {"alias_of": "gpt-4o", "fallbacks": ["gpt-4.1"]}}
    assert found.unpriced == Unpriced({"my-finetune": 2}, {"mine": {"fallbacks": ["gpt-4.1", "my-finetune"]}})


def test_group_aliases_fallbacks_budget_and_patience_are_carried() -> None:
    found = read(
        "model_list:\n"
        + deployment("main", "openai/gpt-4o")
        + deployment("small", "openai/gpt-4o-mini")
        + "router_settings:\n"
        + '  model_group_alias: {"gpt-4": "main", "old": {"model": "small", "hidden": true}}\n'
        + "  fallbacks: [{main: [small, gone]}, {gone: [small]}]\n"
        + "litellm_settings:\n  max_budget: 12.5\n  budget_duration: 30d\n  num_retries: 2\n"
        + "  request_timeout: 30\n"
    )
    models = found.settings["models"]
    assert models["gpt-4"] == {"alias_of": "gpt-4o"}  # type: ignore[index]
    assert models["old"] == {"alias_of": "gpt-4o-mini"}  # type: ignore[index]
    assert models["main"] == {"alias_of": "gpt-4o", "fallbacks": ["small"]}  # type: ignore[index]
    assert found.settings["budgets"] == [{"for": "all", "period": "month", "usd": "12.5"}]
    assert found.settings["upstream"] == {"attempts": 3, "deadline_s": 30.0}
    assert "'gone' is not carried" in whys(found)["fallbacks"]


@pytest.mark.parametrize(
    ("duration", "period", "said"),
    [("1d", "day", 0), ("1mo", "month", 0), ("", "total", 0), ("7d", "total", 1)],
)
def test_a_period_that_does_not_exist_here_becomes_a_total_and_is_said(duration, period, said) -> None:
    found = read(f"litellm_settings:\n  max_budget: 5\n  budget_duration: '{duration}'\n")
    assert found.settings["budgets"] == [{"for": "all", "period": period, "usd": "5"}]
    assert len(found.notes) == said


def test_a_budget_in_the_wrong_section_is_told_where_it_belongs() -> None:
    found = read("general_settings:\n  max_budget: 5\n  budget_duration: 30d\n")
    assert "budgets" not in found.settings
    assert whys(found) == {
        "general_settings.max_budget": "stands in the wrong section; in litellm_settings it is carried"
    }


def test_a_file_with_nothing_of_litellm_in_it_is_asked_whether_it_is_one() -> None:
    found = read("x: 1\n")
    assert [(note.line, note.what) for note in found.notes] == [(1, "no model_list"), (1, "x")]
    assert whys(found)["no model_list"] == "is this a LiteLLM configuration?"


def test_every_line_without_a_counterpart_is_named_with_its_line_and_why() -> None:
    text = (
        "model_list:\n"  # 1
        + deployment("gpt-4o", "openai/gpt-4o", "temperature: 0", "api_version: x")  # 2 to 6
        + deployment("bed", "bedrock/claude")  # 7 to 9
        + "general_settings:\n"  # 10
        + "  master_key: sk-canary-1\n"  # 11
        + "  database_url: postgresql://u:canary-2@h/d\n"  # 12
        + "guardrails: []\n"  # 13
        + "environment_variables:\n  A: canary-3\n"  # 14, 15
    )
    found = read(text)
    assert [(note.line, note.what) for note in found.notes] == [
        (5, "gpt-4o.temperature"),
        (6, "gpt-4o.api_version"),
        (7, "bed"),
        (11, "general_settings.master_key"),
        (12, "general_settings.database_url"),
        (13, "guardrails"),
        (14, "environment_variables"),
    ]
    assert all(note.why for note in found.notes)
    assert "canary" not in repr(found)


@pytest.mark.parametrize("key", ["sk-canary-0123456789", "canary", "os.environ/canary spaced", "env/canary"])
def test_a_key_that_stands_in_the_file_is_neither_carried_nor_shown(key: str) -> None:
    found = read("model_list:\n" + deployment("gpt-4o", "openai/gpt-4o", f"api_key: '{key}'"))
    assert "canary" not in repr(found)
    assert found.settings["providers"]["openai"]["key"] == "env:OPENAI_API_KEY"  # type: ignore[index]
    assert "put it into .env" in whys(found)["gpt-4o.api_key"]


def test_keys_that_stand_in_the_file_are_not_taken_for_each_other() -> None:
    found = read(
        "model_list:\n"
        + deployment("gpt-4o", "openai/gpt-4o", "api_key: os.environ/OPENAI_API_KEY")
        + "".join(deployment("gpt-4o", "openai/gpt-4o", f"api_key: sk-{n}") for n in (1, 2, 1))
    )
    keys = [one["key"] for one in found.settings["providers"]["openai"]["keys"]]  # type: ignore[index]
    assert keys == ["env:OPENAI_API_KEY", "env:OPENAI_API_KEY_2", "env:OPENAI_API_KEY_3"]


@pytest.mark.parametrize(
    "base",
    [
        "os.environ/BASE",
        "file:///etc/passwd",
        "https://u:p@h/v1",
        "https://h/v1?x=1",
        "https://h/v1#x",
        "javascript:1",
    ],
)
def test_a_destination_that_is_none_is_not_carried(base: str) -> None:
    found = read("model_list:\n" + deployment("gpt-4o", "openai/gpt-4o", f"api_base: '{base}'"))
    assert "providers" not in found.settings
    assert "gpt-4o.api_base" in whys(found)


def test_one_model_has_one_provider() -> None:
    found = read(
        "model_list:\n"
        + deployment("gpt-4o", "openai/gpt-4o")
        + deployment("gpt-4o", "azure/gpt-4o", "api_base: https://x.openai.azure.com")
    )
    assert found.settings["providers"]["openai"]["models"] == ["gpt-4o"]  # type: ignore[index]
    assert "served by openai already" in whys(found)["gpt-4o"]


def test_limits_that_differ_between_models_are_learned_instead() -> None:
    found = read(
        "model_list:\n"
        + deployment("gpt-4o", "openai/gpt-4o", "rpm: 1")
        + deployment("gpt-4o-mini", "openai/gpt-4o-mini", "rpm: 2")
    )
    assert "limits" not in found.settings["providers"]["openai"]  # type: ignore[index]
    assert "differ" in whys(found)["openai"]


BOMB = "a: &a [x, x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [*{chr(97 + n)}, *{chr(97 + n)}]\n" for n in range(20)
)


@pytest.mark.parametrize(
    "text",
    [
        BOMB,
        "model_list: !!python/object/apply:os.system ['x']\n",
        "a: 1\na: 2\n",
        "base: &b {x: 1}\nother: {<<: *b}\n",
        "[" * 100,
        "a: " * 50,
        "- 1\n",
        "",
        "\x00",
        "a: 1\n---\nb: 2\n",
        "model_list:\n" + "  - x\n" * 5000,
        "%YAML 1.1\n---\na: 1\n",
    ],
    ids=range(12),
)
def test_yaml_with_surprises_is_not_read(text: str) -> None:
    found, problems = import_config(text, CATALOGUE)
    assert found is None
    assert problems
    assert all(problem.line for problem in problems)
    assert "front matter" not in repr(problems)


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 10**12), st.sampled_from(["", "x", "os.environ/A", "1d"])
)
NODES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                ["model_list", "model_name", "litellm_params", "model", "api_key", "api_base", "rpm",
                 "fallbacks", "model_group_alias", "router_settings", "litellm_settings",
                 "general_settings", "max_budget",
                 "budget_duration", "num_retries", "timeout", "model_info", "gpt-4o"]
            ),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=25,
)  # fmt: skip


@given(
    st.dictionaries(
        st.sampled_from(["model_list", "router_settings", "litellm_settings", "x"]), NODES, min_size=1
    )
)
def test_nothing_that_yaml_can_say_breaks_it(tree: dict) -> None:
    import json

    read(json.dumps(tree))  # JSON is YAML
