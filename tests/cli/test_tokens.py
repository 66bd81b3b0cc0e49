"""`tokens count`: offline, with or without a configuration, of texts and of requests."""

import json

import pytest

HELLO = "hello world"
CHAT = {"model": "gpt-4o", "messages": [{"role": "user", "content": HELLO}]}


@pytest.fixture
def text(tmp_path):
    (tmp_path / "text.txt").write_text(HELLO, "utf-8")
    return "text.txt"


@pytest.fixture
def body(tmp_path):
    def written(members) -> str:
        (tmp_path / "body.json").write_text(json.dumps(members), "utf-8")
        return "body.json"

    return written


def counted(ran) -> dict:
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout.splitlines()[-1])


def test_a_text_is_counted_and_priced_without_a_configuration(macroslow, text):
    ran = macroslow("tokens", "count", text, "--model", "gpt-4.1")
    assert ran.returncode == 0, ran.stderr
    first, price, share, ends = ran.stdout.splitlines()
    assert first == "2 tokens with gpt-4.1 (exact; at most 18)"
    assert price == "$0.000004 as input; $0.000036 is held for it"
    assert share == "0.00% of the 1,047,576 tokens that one request may bring"
    assert ends == "the provider stops serving it on 2027-01-14"


def test_the_same_as_one_json_object(macroslow, text):
    assert counted(macroslow("tokens", "count", text, "--model", "gpt-5.4", "--json")) == {
        "model": "gpt-5.4",
        "tokens": 2,
        "exact": True,
        "most_tokens": 18,
        "input_usd_micros": 5,
        "most_input_usd_micros": 45,
        "max_input_tokens": 922_000,
        "share": 0.0,
        "verified": True,
        "retires": "",
    }


def test_an_estimate_is_called_one_and_its_bound_is_shown(macroslow, text):
    ran = macroslow("tokens", "count", text, "--model", "claude-sonnet-4-5")
    assert ran.stdout.startswith("3 tokens with claude-sonnet-4-5 (an estimate; at most 27)")


def test_a_price_found_in_one_place_is_said_to_be(macroslow, text):
    ran = macroslow("tokens", "count", text, "--model", "claude-fable-5-2")
    assert "found in one place only" in ran.stdout


@pytest.mark.parametrize(
    ("operation", "members", "tokens"),
    [
        ("chat.completions", CHAT, 2 + 3 + 4),
        ("embeddings", {"model": "text-embedding-3-small", "input": [HELLO, HELLO]}, 4),
        ("embeddings", {"model": "text-embedding-3-small", "input": [[1, 2, 3]]}, 3),
    ],
)
def test_a_request_names_its_model_and_is_counted_with_its_framing(
    macroslow, body, operation, members, tokens
):
    ran = macroslow("tokens", "count", body(members), "--operation", operation, "--json")
    assert counted(ran)["tokens"] == tokens
    assert counted(ran)["model"] == members["model"]


@pytest.mark.parametrize(
    ("operation", "members"),
    [
        ("responses", {"model": "gpt-5.1", "input": HELLO}),
        ("messages", {"model": "claude-haiku-4-5", "max_tokens": 5, "messages": CHAT["messages"]}),
    ],
)
def test_requests_of_every_api_are_understood(macroslow, body, operation, members):
    found = counted(macroslow("tokens", "count", body(members), "--operation", operation, "--json"))
    assert 2 <= found["tokens"] < 20


def test_another_model_than_the_requests_own_may_be_asked_for(macroslow, body):
    arguments = ("--operation", "chat.completions", "--model", "gpt-3.5-turbo", "--json")
    assert counted(macroslow("tokens", "count", body(CHAT), *arguments))["model"] == "gpt-3.5-turbo"


def test_an_operators_own_model_has_the_price_he_gave_it(macroslow, text, tmp_path):
    (tmp_path / "macroslow.toml").write_text(
        '[models."llama"]\ninput_usd = 1000000\noutput_usd = 0\ncontext_tokens = 100\n', "utf-8"
    )
    found = counted(macroslow("tokens", "count", text, "--model", "llama", "--json"))
    assert (found["input_usd_micros"], found["max_input_tokens"]) == (2_000_000, 100)


def test_standard_input_is_read_where_it_is_named(process):
    ran = process("tokens", "count", "-", "--model", "gpt-4o", "--json", given=HELLO)
    assert counted(ran)["tokens"] == 2


def test_a_million_spaces_are_counted(macroslow, tmp_path):
    (tmp_path / "spaces").write_text(" " * 1_000_000, "utf-8")
    assert counted(macroslow("tokens", "count", "spaces", "--model", "gpt-4o", "--json"))["tokens"] > 0


@pytest.mark.parametrize(
    ("arguments", "content", "says"),
    [
        ((), b"x", "name a model with --model"),
        (("--model", "nobody"), b"x", "fix: give its prices in the configuration"),
        (("--model", "gpt-7"), b"x", "there is no model 'gpt-7' with a price"),
        (("--model", "gpt4o"), b"x", 'fix: did you mean "gpt-4o"? else give its prices'),
        (("--model", "gpt-4o"), b"caf\xe9", "the text is not UTF-8 at byte 3"),
        (("--operation", "chat.completions"), b"{", "not JSON"),
        (("--operation", "chat.completions"), b'{"model": "gpt-4o"}', "messages"),
        (("--operation", "completions"), b"x", "completions"),
    ],
)
def test_what_cannot_be_counted_is_refused_in_words(macroslow, tmp_path, arguments, content, says):
    (tmp_path / "file").write_bytes(content)
    ran = macroslow("tokens", "count", "file", *arguments)
    assert ran.returncode != 0
    assert says in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_picture_for_a_model_that_takes_none_is_refused_by_name(macroslow, body):
    picture = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
    members = {"model": "gpt-3.5-turbo", "messages": [{"role": "user", "content": [picture]}]}
    ran = macroslow("tokens", "count", body(members), "--operation", "chat.completions")
    assert ran.returncode != 0
    assert "gpt-3.5-turbo takes no images" in ran.stderr
