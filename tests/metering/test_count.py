"""Token counts: the vocabulary is the published one, the rules over-count rather than under-count."""

import gzip
import time

import orjson
import pytest
import tiktoken_ext.openai_public as published
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.metering.vocabulary import counter, packed

from macroslow.errors import ConfigurationError
from macroslow.metering import count
from macroslow.metering.count import Counter, load, prompt_of, upper_bound_tokens


def test_the_digest_and_the_expression_are_those_of_tiktoken(monkeypatch):
    asked = {}

    def instead_of_the_network(url, expected_hash):
        asked["hash"] = expected_hash
        return {}

    monkeypatch.setattr(published, "load_tiktoken_bpe", instead_of_the_network)
    theirs = published.o200k_base()
    assert asked["hash"] == count.O200K_BASE_SHA256
    assert theirs["pat_str"] == count._O200K_BASE_PATTERN


@pytest.mark.parametrize("vocabulary", [b"", b"no gzip", gzip.compress(b"IQ== 0\n", mtime=0)])
def test_a_wrong_vocabulary_is_refused(vocabulary):
    with pytest.raises(ConfigurationError):
        load(vocabulary)


def test_a_damaged_vocabulary_is_refused():
    with pytest.raises(ConfigurationError):
        load(packed()[:-100])


# Ids as OpenAI's documentation and tiktoken's own tests print them for o200k_base.
@pytest.mark.parametrize(
    ("text", "ids"), [("hello world", [24912, 2375]), ("tiktoken is great!", [83, 8251, 2488, 382, 2212, 0])]
)
def test_published_vectors(text, ids):
    assert counter().encoder.encode_ordinary(text) == ids


@pytest.mark.parametrize("role", ["system", "developer", "user", "assistant", "tool"])
def test_every_role_is_one_token(role):
    assert counter().text(role) == 1


@pytest.mark.parametrize("text", ["<|endoftext|>", "<|im_start|>system", "\x00\x01", "👩‍👩‍👧", ""])
def test_control_sequences_are_ordinary_text(text):
    assert 0 <= counter().text(text) <= upper_bound_tokens(text)


@pytest.mark.parametrize("unit", [" ", "\t", "\n", "\r\n", "\u00a0", "a", "!", "1", "漢", " \n"])
def test_a_million_of_anything_is_counted_within_bounds(unit):
    text = unit * (1_000_000 // len(unit))
    started = time.process_time()
    tokens = counter().text(text)
    assert 1_000_000 // len(unit) // 128 <= tokens <= upper_bound_tokens(text)
    assert time.process_time() - started < 10


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=300))
def test_bytes_bound_the_tokens(text):
    assert counter().text(text) <= upper_bound_tokens(text)


@pytest.mark.parametrize("unit", ["The quick brown fox, jumping. ", "x = [1, 22, 333]\n", "Größe 漢字 👩 "])
def test_counting_in_parts_changes_a_long_count_by_a_few_tokens_at_most(unit):
    text = unit * (350_001 // len(unit))
    whole = len(counter().encoder.encode_ordinary(text))
    assert abs(counter().text(text) - whole) <= 3 * 4


def test_a_panic_of_the_engine_falls_back_to_the_bound():
    class PanicException(BaseException):
        pass

    class Engine:
        def encode_ordinary(self, text):
            raise PanicException

    assert Counter(Engine()).text("né") == 3


def test_any_other_failure_of_the_engine_is_not_hidden():
    class Engine:
        def encode_ordinary(self, text):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Counter(Engine()).text("x")


def test_messages_follow_the_cookbook():
    """The cookbook's own example, which it states as 124 tokens for gpt-4o."""
    pairs = [
        (
            None,
            "You are a helpful, pattern-following assistant that translates corporate jargon into "
            "plain English.",
        ),
        ("example_user", "New synergies will help drive top-line growth."),
        ("example_assistant", "Things working well together will increase revenue."),
        (
            "example_user",
            "Let's circle back when we have more bandwidth to touch base on opportunities for "
            "increased leverage.",
        ),
        ("example_assistant", "Let's talk later when we're less busy about how to do better."),
        (
            None,
            "This late pivot means we don't have time to boil the ocean for the client deliverable.",
        ),
    ]
    messages = [
        {"role": "system" if at < 5 else "user", "content": text, **({"name": name} if name else {})}
        for at, (name, text) in enumerate(pairs)
    ]
    assert counter().prompt(prompt_of(messages)) == 124


def cookbook_tool_tokens(tools) -> int:
    """The rule of the cookbook's section 7 for the gpt-4o family, for flat parameters."""
    tokens = 0
    for tool in tools:
        function = tool["function"]
        tokens += 7 + counter().text(f"{function['name']}:{function.get('description', '').rstrip('.')}")
        properties = function["parameters"]["properties"]
        if properties:
            tokens += 3
        for key, prop in properties.items():
            tokens += 3
            if "enum" in prop:
                tokens -= 3
                tokens += sum(3 + counter().text(item) for item in prop["enum"])
            tokens += counter().text(f"{key}:{prop['type']}:{prop['description'].rstrip('.')}")
    return tokens + 12


words = st.text(alphabet="abcdefghij _", min_size=1, max_size=20)
properties = st.dictionaries(
    words,
    st.fixed_dictionaries(
        {"type": st.sampled_from(["string", "number", "boolean"]), "description": words},
        optional={"enum": st.lists(words, min_size=1, max_size=4)},
    ),
    max_size=4,
)
functions = st.fixed_dictionaries(
    {"name": words, "description": words, "parameters": st.fixed_dictionaries({"properties": properties})}
)


@settings(max_examples=100, deadline=None)
@given(st.lists(functions, min_size=1, max_size=3))
def test_tools_are_never_counted_below_the_cookbook(generated):
    tools = [{"type": "function", "function": function} for function in generated]
    without = counter().prompt(prompt_of([]))
    assert counter().prompt(prompt_of([], tools)) - without >= cookbook_tool_tokens(tools)


def test_everything_a_model_reads_is_counted():
    long = "word " * 50
    base = [{"role": "user", "content": "x"}]
    plain = counter().prompt(prompt_of(base))
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": long}}
    schema = {"type": "json_schema", "json_schema": {"name": "s", "schema": {"description": long}}}
    tool = {"type": "function", "function": {"name": "f", "parameters": {"a": {"b": [long]}}}}
    assert counter().prompt(prompt_of([*base, {"role": "assistant", "tool_calls": [call]}])) > plain + 50
    assert counter().prompt(prompt_of([*base, {"role": "assistant", "refusal": long}])) > plain + 50
    assert counter().prompt(prompt_of([*base, {"role": "user", "content": "", "name": long}])) > plain + 50
    parts = [{"type": "text", "text": long}, {"type": "refusal", "refusal": long}]
    assert counter().prompt(prompt_of([*base, {"role": "assistant", "content": parts}])) > plain + 100
    assert counter().prompt(prompt_of(base, [tool])) > plain + 50
    assert counter().prompt(prompt_of(base, [], schema)) > plain + 50
    assert counter().prompt(prompt_of(base, [], {"type": "json_object"})) == plain


def test_the_size_of_a_body_bounds_its_tokens_but_for_the_framing():
    messages = [{"role": "user", "content": "\u0001" * 100}]
    assert sum(map(upper_bound_tokens, prompt_of(messages).texts)) <= len(orjson.dumps(messages))
