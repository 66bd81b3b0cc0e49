"""Prompts: the cookbook's rules hold, the likely number lies below the bound, images have a price."""

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.metering.vocabulary import catalogue, counter, counters, model

from macroslow.errors import InvalidModelRequestError
from macroslow.metering.count import Counted, count_prompt
from macroslow.metering.encodings import upper_bound_tokens
from macroslow.metering.images import Image
from macroslow.metering.prompts import Prompt, prompt_of

CLAUDE = catalogue().find("claude-sonnet-4-6")
GPT_4O = catalogue().find("gpt-4o")
MODELS = sorted(name for name, one in catalogue().models.items() if "embeddings" not in one.operations)


@pytest.mark.parametrize(
    ("name", "tokens"), [("gpt-4o", 124), ("gpt-4o-mini", 124), ("gpt-4", 129), ("gpt-3.5-turbo", 129)]
)
def test_messages_follow_the_cookbook(name, tokens):
    """The cookbook's own example, and what it says the API reported for it."""
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
    model = catalogue().find(name)
    assert count_prompt(prompt_of(messages), model, counters()) == Counted(tokens, tokens + 16)


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


WEATHER = {
    "type": "function",
    "function": {
        "name": "get_current_weather",
        "description": "Get the current weather in a given location",
        "parameters": {
            "type": "object",
            "properties": {
                "location": {
                    "type": "string",
                    "description": "The city and state, e.g. San Francisco, CA",
                },
                "unit": {
                    "type": "string",
                    "description": "The unit of temperature to return",
                    "enum": ["celsius", "fahrenheit"],
                },
            },
            "required": ["location"],
        },
    },
}


def test_the_cookbooks_example_of_a_tool_is_covered():
    """It says that the API reported 101 tokens with gpt-4o for this tool and these messages, 105 before."""
    messages = [
        {
            "role": "system",
            "content": "You are a helpful assistant that can answer to questions about the weather.",
        },
        {"role": "user", "content": "What's the weather like in San Francisco?"},
    ]
    assert counter().prompt(prompt_of(messages)) + cookbook_tool_tokens([WEATHER]) == 101
    for name, reported in (("gpt-4o", 101), ("gpt-4", 105)):
        counted = count_prompt(prompt_of(messages, [WEATHER]), catalogue().find(name), counters())
        assert reported <= counted.tokens <= 1.5 * reported


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


texts = st.lists(st.text(max_size=200), max_size=5).map(tuple)
prompts = st.builds(Prompt, texts, st.integers(0, 10_000))


@settings(max_examples=100, deadline=None)
@given(prompts, st.sampled_from(MODELS))
def test_the_likely_number_lies_below_the_bound_and_the_bound_within_the_window(prompt, name):
    of = catalogue().find(name)
    counted = count_prompt(prompt, of, counters())
    assert 0 <= counted.tokens <= counted.most_tokens <= max(of.max_input_tokens, counted.tokens)
    assert counted.most_tokens >= min(counted.tokens + 16, of.max_input_tokens)


@settings(max_examples=100, deadline=None)
@given(prompts)
def test_the_bound_of_an_estimate_covers_any_byte_pair_vocabulary(prompt):
    most = count_prompt(prompt, CLAUDE, counters()).most_tokens
    assert most >= sum(map(upper_bound_tokens, prompt.texts)) + prompt.framing_tokens


def test_an_exact_count_leaves_room_for_framing_that_is_not_published():
    assert count_prompt(Prompt(("hello world",), 0), GPT_4O, counters()) == Counted(2, 18)
    assert count_prompt(Prompt((), 10_000), GPT_4O, counters()) == Counted(10_000, 10_200)


def test_an_estimate_is_a_count_times_the_models_factor():
    half_more = model(counting="estimate", tokens_per_1000_counted=1500, max_input_tokens=10**6)
    assert count_prompt(Prompt(("hello world",), 1), half_more, counters()) == Counted(5, 13 + 16)


def test_the_bound_stays_within_what_a_model_takes_but_never_below_the_count():
    small = model(max_input_tokens=1000)
    assert count_prompt(Prompt((), 995), small, counters()) == Counted(995, 1000)
    assert count_prompt(Prompt((), 1001), small, counters()) == Counted(1001, 1001)


def test_images_are_part_of_a_prompt():
    known, unknown = Image(1024, 1024), Image(None, None)
    counted = count_prompt(Prompt((), 0, (known, unknown)), GPT_4O, counters())
    assert counted.tokens == 765 + 1445
    of_claude = count_prompt(Prompt((), 0, (Image(200, 200),)), CLAUDE, counters())
    assert of_claude.tokens == 54
    assert of_claude.most_tokens >= CLAUDE.images.most_tokens  # the size may be rounded otherwise there


def test_a_picture_is_counted_or_refused_and_never_left_out():
    content = [{"type": "text", "text": "x"}, {"type": "image_url", "image_url": {"url": "https://a.test/b"}}]
    messages = [{"role": "user", "content": content}]
    seen = prompt_of(messages, picture=lambda image_url: Image(None, None, image_url["url"]))
    assert seen.images == (Image(None, None, "https://a.test/b"),)
    with pytest.raises(ValueError, match="a picture where none can be"):
        prompt_of(messages)


@pytest.mark.parametrize(("sort", "text"), [("function", "arguments"), ("custom", "input")])
def test_of_a_call_of_a_tool_its_own_text_is_counted_and_no_other(sort, text):
    other = "input" if text == "arguments" else "arguments"
    called = {"name": "f", text: "counted", other: "not there by its shape"}
    assert prompt_of([{"tool_calls": [{"id": "c", sort: called}]}]).texts == ("f", "counted", "c")
    with pytest.raises(KeyError, match=text):
        prompt_of([{"tool_calls": [{"id": "c", sort: {"name": "f", other: "a guess"}}]}])


def test_images_for_a_model_without_a_price_for_them_are_refused_by_name():
    with pytest.raises(InvalidModelRequestError, match=r"gpt-3\.5-turbo takes no images") as caught:
        count_prompt(Prompt((), 0, (Image(1, 1),)), catalogue().find("gpt-3.5-turbo"), counters(), "input")
    assert caught.value.param == "input"


def test_more_tokens_that_are_known_are_added_to_both():
    assert Counted(1, 5).plus(10) == Counted(11, 15)


@settings(max_examples=50, deadline=None)
@given(texts, texts, st.sampled_from(MODELS))
def test_two_prompts_together_have_no_more_than_each_alone(first, second, name):
    of = catalogue().find(name)
    whole = count_prompt(Prompt(first + second, 0), of, counters())
    parts = [count_prompt(Prompt(one, 0), of, counters()) for one in (first, second)]
    assert whole.tokens <= sum(part.tokens for part in parts) + 1
    assert whole.most_tokens <= sum(part.most_tokens for part in parts) + 1
