"""One file, layers above it, and every problem at once."""

from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import ValidationError

from macroslow.errors import ConfigurationError
from macroslow.metering.budgets import BudgetRule, Period, Scope
from macroslow.settings import Settings, load, schema
from macroslow.workflow.sandbox import Limits

OPENAI = '[providers.openai]\nbase_url = "https://api.openai.com/v1"\n'


@pytest.fixture
def write(tmp_path):
    def written(text: str, dotenv: str | None = None) -> Path:
        file = tmp_path / "macroslow.toml"
        file.write_text(text, encoding="utf-8")
        if dotenv is not None:
            (tmp_path / ".env").write_text(dotenv, encoding="utf-8")
        return file

    return written


def told(file: Path | None, environ: dict[str, str] | None = None) -> dict[str, tuple[int | None, str, str]]:
    """Line, message and fix of each problem, by its field."""
    with pytest.raises(ConfigurationError) as caught:
        load(file, environ or {})
    return {one.field: (one.line, one.message, one.fix) for one in caught.value.problems}


def test_without_a_file_the_defaults_hold(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = load(None, {})
    assert settings.model_dump() == Settings().model_dump()
    assert settings.source.file is None
    assert settings.state_folder == Path(".macroslow")
    assert settings.sandbox.limits.bounds == Limits()


def test_the_file_in_the_working_folder_is_found(write, tmp_path, monkeypatch):
    write('[gateway]\nname = "here"\n')
    monkeypatch.chdir(tmp_path)
    assert load(None, {}).gateway.name == "here"


def test_a_file_that_was_named_must_exist(tmp_path):
    with pytest.raises(ConfigurationError, match="cannot be read: No such file"):
        load(tmp_path / "none.toml", {})


def test_state_and_files_are_relative_to_the_configuration(write, tmp_path):
    settings = load(write('[state]\nfolder = "kept"\n'), {})
    assert settings.state_folder == tmp_path / "kept"
    assert settings.source.dotenv == tmp_path / ".env"


def test_all_problems_are_told_at_once_each_with_line_and_repair(write):
    file = write(
        "\n".join(
            [
                "[gateway]",
                'mode = "watch"',
                'profil = "dunes"',
                'listen = "127.0.0.1:1"',
                "[server]",
                'max_body_bytes = "8 MiB"',
                "[providers.a]",
                'kind = "vertex"',
                'base_url = "https://api.anthropic.com"',
                'keys = ["env:A"]',
                "[providers.b]",
                "[apis.weather]",
                'base_url = "https://a.example/x?key=1"',
                'secret = "vault:a"',
                'placement = "body"',
                'methods = ["POST"]',
                'paths = ["a"]',
                "[auth]",
                "byok = true",
                "[auth.jwt]",
                'issuer = "x"',
                "[sources.patients]",
                'path = "x"',
                "[sandbox]",
                'backend = "bubblewrap"',
                '[models."old"]',
                'encoding = "p50k_base"',
                "input_usd = 1",
                "output_usd = 2",
            ]
        )
    )
    problems = told(file)
    assert {field: line for field, (line, _, _) in problems.items()} == {
        "gateway.mode": 2,
        "gateway.profil": 3,
        "gateway.listen": 4,
        "server.max_body_bytes": 6,
        "providers.a.kind": 8,
        "providers.a.keys[0]": 10,
        "providers.b.base_url": 11,
        "apis.weather.base_url": 13,
        "apis.weather.secret": 14,
        "apis.weather.placement": 15,
        "apis.weather.methods[0]": 16,
        "apis.weather.paths[0]": 17,
        "auth.byok": 19,
        "auth.jwt": 20,
        "sources": 22,
        "sandbox.backend": 25,
        "models.old.encoding": 27,
    }
    assert problems["gateway.profil"][1:] == ("there is no such setting", 'did you mean "profile"?')
    assert problems["gateway.listen"][2] == '"listen" belongs in [server]'
    assert problems["providers.a.keys[0]"][1:] == ("should be a table", "write { … } with its settings")
    assert problems["auth.byok"][2] == 'byok = "openai", or another name of [providers]'
    assert problems["auth.jwt"][2] == "write [auth.issuers.NAME] for each issuer of tokens"
    for later in ("sources", "sandbox.backend"):
        assert "not available in this version" in problems[later][1]
        assert problems[later][2]


@pytest.mark.parametrize("name", ["chimera", "glastonbury"])
def test_a_profile_that_demands_more_than_this_version_does_is_refused(write, name):
    line, message, fix = told(write(f'\n[gateway]\nprofile = "{name}"\n'))["gateway.profile"]
    assert line == 3
    assert message.startswith(f'profile "{name}" demands ')
    assert message.endswith("which this version does not do")
    assert fix == 'write profile = "dunes"'


def test_an_unknown_profile_is_refused(write):
    assert told(write('[gateway]\nprofile = "dune"\n'))["gateway.profile"][0] == 2


def test_a_secret_in_the_place_of_its_reference_appears_in_no_message(write):
    file = write(
        OPENAI
        + 'key = "sk-canary-7f3a"\n[gateway]\nname = "sk-canary-7f3a!"\n[server]\nlisten = "sk-canary-7f3a"\n'
    )
    with pytest.raises(ConfigurationError) as caught:
        load(file, {"MACROSLOW__KEYS__BUDGET_USD": "sk-canary-7f3a", "PORT": "sk-canary-7f3a"})
    assert len(caught.value.problems) == 5
    assert "canary" not in f"{caught.value.problems}{caught.value!r}"


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("[gateway]\nname = \n", 2, "Invalid value"),
        ("[gateway]\n[gateway]\n", 2, "the table [gateway] is there twice"),
        ('[models."a.b"]\n[models."a.b"]\n', 2, 'the table [models."a.b"] is there twice'),
        ("[state]\nfolder = 'a'\nfolder = 'b'\n", 3, "Cannot overwrite a value"),
        ('a = "', None, "Unterminated string"),
    ],
)
def test_what_is_not_toml_is_told_with_its_line(write, text, line, message):
    with pytest.raises(ConfigurationError, match="is not TOML") as caught:
        load(write(text), {})
    (problem,) = caught.value.problems
    assert problem.line == line
    assert message in problem.message


def test_what_is_not_utf8_is_refused(tmp_path):
    (tmp_path / "x.toml").write_bytes(b'name = "\xff"')
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path / "x.toml", {})
    assert caught.value.problems[0].message == "is not UTF-8"


def test_a_huge_file_is_refused_before_it_is_parsed(tmp_path):
    (tmp_path / "x.toml").write_bytes(b"#" * (1024 * 1024 + 1))
    with pytest.raises(ConfigurationError, match="larger than"):
        load(tmp_path / "x.toml", {})


def test_nobody_serves_two_masters(write):
    second = OPENAI.replace("openai]", "other]")
    assert 'so would provider "openai"' in told(write(OPENAI + second))["providers.other.models"][1]
    file = write(OPENAI + 'models = ["a", "b"]\n' + second + 'models = ["b"]\n')
    assert told(file)["providers.other.models"][:2] == (6, 'would serve "b", and so would provider "openai"')
    assert len(load(write(OPENAI + second + 'models = ["llama*"]\n'), {}).providers) == 2


def test_an_emulator_is_refused_in_production(write):
    file = write(OPENAI + "emulator = true\n")
    assert load(file, {}).providers["openai"].emulator
    assert "invented text" in told(file, {"ENVIRONMENT": "production"})["providers.openai.emulator"][1]


@pytest.mark.parametrize(
    ("url", "good"),
    [
        ("https://api.openai.com/v1", True),
        ("http://127.0.0.1:8100/v1", True),
        ("http://localhost:11434", True),
        ("http://[::1]:8100/v1", True),
        ("http://10.0.0.8:8000/v1", False),
        ("http://localhost.evil.example/v1", False),
        ("http://127.0.0.1@evil.example/v1", False),
        ("https://user:pw@a.example/v1", False),
        ("https://a.example/v1?x=1", False),
        ("https://a.example/v1#x", False),
        ("https://a.example/v1?", False),
        ("https://a.example:99999/", False),
        ("https:///v1", False),
        ("file:///etc/passwd", False),
        ("https://a.example/\n", False),
        ("a.example", False),
    ],
)
def test_a_destination_is_an_encrypted_url_or_on_this_machine(write, url, good):
    escaped = url.replace("\n", "\\n")
    file = write(f'[providers.p]\nbase_url = "{escaped}"\n')
    if good:
        assert load(file, {}).providers["p"].base_url == url
    else:
        assert set(told(file)) & {"providers.p.base_url", "providers.p"}


def test_plain_http_to_another_machine_can_be_asked_for(write):
    load(write('[providers.p]\nbase_url = "http://vllm:8000/v1"\nplain_http = true\n'), {})


@pytest.mark.parametrize(
    ("listen", "host", "port", "url"),
    [
        ("127.0.0.1:0", "127.0.0.1", 0, "http://127.0.0.1:0"),
        ("[::1]:8000", "::1", 8000, "http://[::1]:8000"),
        ("0.0.0.0:80", "0.0.0.0", 80, "http://127.0.0.1:80"),
        ("[::]:80", "::", 80, "http://[::1]:80"),
    ],
)
def test_addresses_are_taken_apart(write, listen, host, port, url):
    server = load(write(f'[server]\nlisten = "{listen}"\n'), {}).server
    assert (server.host, server.port, server.url) == (host, port, url)


@pytest.mark.parametrize(
    "listen", ["8000", ":8000", "::1:8000", "[::1]", "a:b", "a:65536", "a:-1", "[a]:1", "a:１"]
)
def test_what_is_no_address_is_refused(write, listen):
    assert "server.listen" in told(write(f'[server]\nlisten = "{listen}"\n'))


def test_behind_a_proxy_that_lets_others_in_documents_must_be_signed(write):
    text = '[server]\nlisten = "127.0.0.1:1"\nallowed_hosts = ["gateway.example"]\n'
    assert load(write(text), {}).signature_rule == "required"
    assert load(write(text + '[documents]\nsignatures = "optional"\n'), {}).signature_rule == "optional"


def test_the_signature_rule_depends_on_who_can_reach_the_listener(write):
    for listen, rule in [
        ("127.0.0.1:1", "optional"),
        ("127.8.0.1:1", "optional"),
        ("0.0.0.0:1", "required"),
        ("[::]:1", "required"),
        ("gateway:1", "required"),
    ]:
        assert load(write(f'[server]\nlisten = "{listen}"\n'), {}).signature_rule == rule
    assert (
        load(
            write('[server]\nlisten = "0.0.0.0:1"\n[documents]\nsignatures = "flagged"\n'), {}
        ).signature_rule
        == "flagged"
    )


def test_hosts_are_loopback_the_listener_and_those_allowed(write):
    hosts = load(write('[server]\nlisten = "gw:1"\nallowed_hosts = ["a.example"]\n'), {}).server.hosts
    assert hosts == {"localhost", "127.0.0.1", "::1", "gw", "a.example"}


def test_prices_are_exact(write):
    model = load(write('[models."llama3.3"]\ninput_usd = 0.1\noutput_usd = 2\n'), {}).models["llama3.3"]
    assert (model.input_usd, model.output_usd) == (Decimal("0.1"), Decimal(2))


@pytest.mark.parametrize("amount", ["-1", "nan", "inf", "true", '"x"', "1e12"])
def test_what_is_no_amount_is_refused(write, amount):
    assert "keys.budget_usd" in told(write(f"[keys]\nbudget_usd = {amount}\n"))


def test_settings_cannot_be_changed(write):
    settings = load(write(OPENAI), {})
    with pytest.raises(ValidationError):
        settings.server.listen = "0.0.0.0:1"
    with pytest.raises(TypeError):
        settings.providers["x"] = settings.providers["openai"]


def test_every_secret_is_listed_with_its_place(write):
    file = write(OPENAI + 'key = "env:A"\n[apis.w]\nbase_url = "https://w.example"\nsecret = "file:w"\n')
    assert [(one.setting, str(one.reference), one.line) for one in load(file, {}).secrets()] == [
        ("providers.openai.key", "env:A", 3),
        ("apis.w.secret", "file:w", 6),
    ]


def test_a_dotenv_that_cannot_be_read_stops_the_start(write):
    with pytest.raises(ConfigurationError) as caught:
        load(write("", dotenv="A=1\nnot an assignment\n"), {})
    assert caught.value.problems[0].line == 2


def test_the_schema_is_closed_and_serialisable():
    assert schema()["additionalProperties"] is False
    assert schema()["properties"].keys() == Settings.model_fields.keys()


def test_several_keys_are_accounts_each_with_limits_of_its_own(write):
    text = OPENAI + 'limits = { rpm = 500 }\n[[providers.openai.keys]]\nkey = "env:A"\n'
    text += '[[providers.openai.keys]]\nkey = "env:B"\n[providers.openai.keys.limits]\nrpm = 5\n'
    settings = load(write(text), {})
    first, second = settings.providers["openai"].accounts("openai")
    assert (first.label, str(first.key), first.limits.rpm) == ("openai", "env:A", 500)
    assert (second.label, str(second.key), second.limits.rpm) == ("openai#2", "env:B", 5)
    assert [(one.setting, str(one.reference), one.line) for one in settings.secrets()] == [
        ("providers.openai.keys[0].key", "env:A", 5),
        ("providers.openai.keys[1].key", "env:B", 7),
    ]
    assert [one.setting for one in settings.secrets()] == [first.setting, second.setting]


def test_a_list_whose_element_is_refused_is_complained_of_once(write):
    issuer = '[auth.issuers.a]\npreset = "google"\naudiences = ["a"]\nalgorithms = '
    assert [*told(write(issuer + '["RS512"]\n'))] == ["auth.issuers.a.algorithms[0]"]
    assert [*told(write(issuer + "[]\n"))] == ["auth.issuers.a.algorithms"]


@pytest.mark.parametrize(
    ("server", "administration", "clash"),
    [
        ("127.0.0.1:8001", "127.0.0.1:8001", True),
        ("localhost:8001", "127.0.0.1:8001", True),
        ("0.0.0.0:8001", "127.0.0.1:8001", True),
        ("127.0.0.1:8000", "127.0.0.1:8001", False),
        ("127.0.0.1:0", "127.0.0.1:0", False),
        ("127.0.0.2:8001", "127.0.0.1:8001", False),
        ("[::1]:8001", "127.0.0.1:8001", False),
        ("[::]:8001", "[::1]:8001", True),
        ("[::]:8001", "127.0.0.1:8001", False),
    ],
)
def test_two_listeners_at_one_address_are_refused(write, server, administration, clash):
    file = write(f'[server]\nlisten = "{server}"\n[administration]\nlisten = "{administration}"\n')
    if not clash:
        load(file, {})
        return
    assert told(file)["administration.listen"] == (
        4,
        f"is taken by server.listen, {server}",
        "choose another port",
    )


def test_a_provider_without_a_key_is_still_one_account(write):
    (account,) = load(write(OPENAI), {}).providers["openai"].accounts("openai")
    assert (account.label, account.key) == ("openai", None)


@pytest.mark.parametrize(
    ("text", "field", "message"),
    [
        ('key = "env:A"\nkeys = [{ key = "env:B" }]', "providers.openai", "has both key and keys"),
        ('keys = [{ key = "env:A" }, { key = "env:A" }]', "providers.openai", "names the same key twice"),
        ("keys = [{ limits = { rpm = 1 } }]", "providers.openai.keys[0].key", "is not set"),
        ('auth = "basic"', "providers.openai.auth", "should be"),
        ('limits = { window = "hour" }', "providers.openai.limits.window", "should be"),
        ("limits = { rpd = 0 }", "providers.openai.limits.rpd", "greater than or equal to 1"),
        ('usage_url = "http://a.example"', "providers.openai", "usage_url is plain http"),
    ],
)
def test_what_makes_no_sense_of_a_provider_is_refused(write, text, field, message):
    assert message in told(write(OPENAI + text + "\n"))[field][1]


def test_an_administrators_key_is_for_reports_and_no_server_reads_it(write):
    settings = load(write(OPENAI + 'usage_key = "env:ADMIN"\n'), {})
    assert settings.secrets() == ()
    (wanted,) = settings.usage_secrets()
    assert (wanted.setting, str(wanted.reference), wanted.line) == (
        "providers.openai.usage_key",
        "env:ADMIN",
        3,
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('alias_of = "gpt-4o"\ninput_usd = 1', "input_usd is that model's own"),
        ("input_usd = 1", "output_usd is not set"),
        ("context_tokens = 9", "input_usd is not set"),
        ("", "says nothing of the model"),
    ],
)
def test_a_model_is_priced_or_an_alias_or_has_fallbacks(write, text, message):
    assert message in told(write(f"[models.x]\n{text}\n"))["models.x"][1]


@pytest.mark.parametrize(
    "text", ['alias_of = "gpt-4o"', 'fallbacks = ["y"]', "input_usd = 1\noutput_usd = 2"]
)
def test_each_kind_of_model_is_taken(write, text):
    assert load(write(f"[models.x]\n{text}\n"), {}).models["x"].is_priced == ("input" in text)


def test_a_model_is_not_its_own_fallback_or_alias(write):
    problems = told(write('[models.x]\nalias_of = "x"\n[models.y]\nfallbacks = ["z", "y"]\n'))
    assert problems["models.x.alias_of"][0] == 2
    assert problems["models.y.fallbacks"][0] == 4


def test_budgets_are_rules_in_whole_micro_dollars_never_rounded_up(write):
    file = write(
        '[[budgets]]\nfor = "team"\nperiod = "day"\nusd = 2.0000009\n'
        '[[budgets]]\nfor = "tag"\nname = "ci"\nperiod = "month"\nusd = 5\n'
    )
    assert load(file, {}).budget_rules == (
        BudgetRule(Scope.TEAM, "*", Period.DAY, 2_000_000),
        BudgetRule(Scope.TAG, "ci", Period.MONTH, 5_000_000),
    )


def test_what_is_wrong_with_a_budget_is_told_with_its_own_line(write):
    file = write(
        '[[budgets]]\nfor = "all"\nname = "x"\nperiod = "day"\nusd = 1\n'
        '[[budgets]]\nfor = "team"\nperiode = "day"\nusd = -1\n'
    )
    problems = told(file)
    assert problems["budgets[0]"][:2] == (1, 'a budget for "all" has no name')
    assert problems["budgets[1].usd"][:2] == (9, "is not an amount of 0 or more")
    assert problems["budgets[1].periode"] == (8, "there is no such setting", 'did you mean "period"?')
    assert problems["budgets[1].period"][:2] == (6, "is not set, and has no default")


def test_a_variable_replaces_the_whole_list_of_budgets(write):
    file = write('[[budgets]]\nfor = "all"\nperiod = "day"\nusd = 1\n')
    environ = {"MACROSLOW__BUDGETS": '[{ for = "tag", period = "total", usd = 3 }]'}
    settings = load(file, environ)
    assert [one.scope for one in settings.budgets] == ["tag"]
    environ = {"MACROSLOW__BUDGETS": '[{ for = "tag", period = "total", usd = -3 }]'}
    assert told(file, environ)["budgets[0].usd"][0] is None  # no line of the file is to blame


@pytest.mark.parametrize(
    ("url", "good"),
    [
        ("https://hooks.example/x?token=1", True),
        ("http://127.0.0.1:9/x", True),
        ("http://hooks.example/x", False),
        ("https://u:p@hooks.example/", False),
        ("https://hooks.example/#x", False),
        ("ftp://hooks.example/", False),
        ("https:///x", False),
        ("https://[x/", False),
    ],
)
def test_alerts_go_to_encrypted_urls_or_this_machine(write, url, good):
    file = write(f'[[alerts.webhooks]]\nurl = "{url}"\nsecret = "env:HOOK"\n')
    if good:
        assert [one.setting for one in load(file, {}).secrets()] == ["alerts.webhooks[0].secret"]
    else:
        assert "alerts.webhooks[0].url" in told(file)


def test_shares_of_a_budget_are_told_once_each_and_in_order(write):
    assert load(write("[alerts]\nat_percent = [100, 50, 50]\n"), {}).alerts.at_percent == (50, 100)
    assert "alerts.at_percent[0]" in told(write("[alerts]\nat_percent = [0]\n"))
    assert "no rise" in told(write("[alerts]\nsudden_rise = 0.5\n"))["alerts"][1]


def test_a_store_whose_driver_is_not_installed_says_how_to_install_it(write, monkeypatch):
    monkeypatch.setattr("macroslow.settings.section.find_spec", lambda name: None)
    problems = told(write('[state]\ndatabase = "env:D"\nrates = "env:R"\n'))
    assert problems["state.database"][2] == "pip install 'macroslow[postgres]'"
    assert problems["state.rates"][2] == "pip install 'macroslow[redis]'"


def test_a_store_whose_driver_is_installed_is_taken(write, monkeypatch):
    monkeypatch.setattr("macroslow.settings.section.find_spec", lambda name: object())
    settings = load(write('[state]\ndatabase = "env:D"\n'), {})
    assert [one.setting for one in settings.secrets()] == ["state.database"]


@pytest.mark.parametrize(
    ("header", "meant"),
    [("models.gpt-4.1", 'models."gpt-4.1"'), ("models.claude-3.5.sonnet", 'models."claude-3.5.sonnet"')],
)
def test_a_models_name_with_a_dot_is_told_to_be_quoted(write, header, meant):
    problems = told(write(f"[{header}]\ninput_usd = 1\noutput_usd = 1\n"))
    [(line, message, fix)] = problems.values()
    assert (line, message, fix) == (1, "a name with a dot stands without quotes", f"write [{meant}]")


def test_a_table_in_a_model_that_has_settings_is_no_name_with_a_dot(write):
    text = "[models.mine]\ninput_usd = 1\noutput_usd = 1\n[models.mine.limits]\nrpm = 1\n"
    assert told(write(text))["models.mine.limits"][1] == "there is no such setting"


def test_one_text_where_a_list_belongs_is_told_so(write):
    text = '[models.gpt-4o]\nfallbacks = "gpt-4o-mini"\n'
    assert told(write(text))["models.gpt-4o.fallbacks"] == (
        2,
        "should be a list",
        "write it in brackets: [ … ]",
    )


STAMPS = '[log.timestamps]\nurl = "http://tsa.example/tsr"\nroots = "tsa.pem"\n'


def test_an_authority_of_time_stamps_has_its_roots_and_asks_once_a_day(write):
    taken = load(write(STAMPS), {}).log.timestamps
    assert (taken.url, str(taken.roots), taken.every_hours) == ("http://tsa.example/tsr", "tsa.pem", 24)
    assert "log.timestamps.roots" in told(write('[log.timestamps]\nurl = "http://tsa.example"\n'))
    assert "log.timestamps.url" in told(write(STAMPS.replace("http", "ftp")))
    for hours in (0, 8761, 1.5):
        assert "log.timestamps.every_hours" in told(write(f"{STAMPS}every_hours = {hours}\n"))


def test_time_stamps_without_the_extra_say_how_to_install_it(write, monkeypatch):
    monkeypatch.setattr("macroslow.settings.section.find_spec", lambda name: None)
    assert told(write(STAMPS))["log.timestamps.roots"][2] == "pip install 'macroslow[timestamps]'"
