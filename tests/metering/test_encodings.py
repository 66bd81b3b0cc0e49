"""Encodings: the vocabularies are the published ones, and the counts are those of tiktoken."""

import base64
import gzip
import time

import pytest
import tiktoken
import tiktoken_ext.openai_public as published
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.metering.vocabulary import counter, counters, packed

from macroslow.errors import ConfigurationError
from macroslow.metering.encodings import PUBLISHED, Counter, Counters, load, upper_bound_tokens

NAMES = sorted(PUBLISHED)
encodings = st.sampled_from(NAMES)


@pytest.fixture(scope="session", params=NAMES)
def reference(request):
    """An encoding, and tiktoken's own from the same bytes, built as tiktoken builds it."""
    lines = gzip.decompress(packed(request.param)).splitlines()
    ranks = {base64.b64decode(line.split()[0]): int(line.split()[1]) for line in lines}
    pattern = PUBLISHED[request.param].pattern
    theirs = tiktoken.Encoding("theirs", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
    return request.param, theirs


@pytest.mark.parametrize("name", NAMES)
def test_the_digest_and_the_expression_are_those_of_tiktoken(name, monkeypatch):
    asked = {}

    def instead_of_the_network(url, expected_hash):
        asked["hash"] = expected_hash
        return {}

    monkeypatch.setattr(published, "load_tiktoken_bpe", instead_of_the_network)
    theirs = published.ENCODING_CONSTRUCTORS[name]()
    assert asked["hash"] == PUBLISHED[name].sha256
    assert theirs["pat_str"] == PUBLISHED[name].pattern


@pytest.mark.parametrize("name", NAMES)
def test_a_vocabulary_stands_in_the_order_of_its_ranks(name):
    lines = gzip.decompress(packed(name)).splitlines()
    assert [int(line.split()[1]) for line in lines] == list(range(len(lines)))


@pytest.mark.parametrize("vocabulary", [b"", b"no gzip", gzip.compress(b"IQ== 0\n", mtime=0)])
def test_a_wrong_vocabulary_is_refused(vocabulary):
    with pytest.raises(ConfigurationError):
        load(vocabulary)


def test_a_damaged_vocabulary_is_refused():
    with pytest.raises(ConfigurationError):
        load(packed()[:-100])


def test_one_vocabulary_is_not_taken_for_another():
    with pytest.raises(ConfigurationError):
        load(packed("cl100k_base"), "o200k_base")


# Ids as OpenAI's documentation, its cookbook and tiktoken's own tests print them.
@pytest.mark.parametrize(
    ("name", "text", "ids"),
    [
        ("o200k_base", "hello world", [24912, 2375]),
        ("o200k_base", "tiktoken is great!", [83, 8251, 2488, 382, 2212, 0]),
        ("cl100k_base", "hello world", [15339, 1917]),
        ("cl100k_base", "tiktoken is great!", [83, 1609, 5963, 374, 2294, 0]),
    ],
)
def test_published_vectors(name, text, ids):
    assert counter(name).encoder.encode_ordinary(text) == ids


CORPUS = [
    "def f(x):\n    return [x, 1, 22, 333, 4444]\n",
    "2026-11-22T04:40:00Z ERROR sqlite: disk I/O error (10) at 0x7ffdeadbeef\n",
    "Größe, Ærø, naïve café; 東京都の天気は? Привет, мир! مرحبا بالعالم नमस्ते\n",
    "👩‍👩‍👧‍👦 👍🏽 \u200b\u00a0\u2009x \ufffd",
    '{"a": [1, 2.5e-3, null], "b": "\\u0041\\n"}',
    "   \t\t\n\n\r\n   x   \n  ",
    "<|endoftext|><|im_start|>system",
    "I'LL DON'T we've  HTTPServer2XX __init__ aGVsbG8gd29ybGQ=",
]


@pytest.mark.parametrize("text", [*CORPUS, "".join(CORPUS) * 20])
def test_counts_are_those_of_tiktoken(reference, text):
    name, theirs = reference
    assert counter(name).text(text) == len(theirs.encode_ordinary(text))


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=200))
def test_counts_of_any_text_are_those_of_tiktoken(reference, text):
    name, theirs = reference
    assert counter(name).text(text) == len(theirs.encode_ordinary(text))


@settings(max_examples=100, deadline=None)
@given(encodings, st.text(max_size=100), st.text(max_size=100))
def test_a_text_in_two_halves_has_no_fewer_tokens_than_whole_but_for_a_few(name, first, second):
    """A cut can only miss merges across it; word boundaries it moves may save a token or two."""
    halves = counter(name).text(first) + counter(name).text(second)
    assert counter(name).text(first + second) <= halves + 4


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("role", ["system", "developer", "user", "assistant", "tool"])
def test_every_role_is_one_token(role, name):
    assert counter(name).text(role) == 1


@pytest.mark.parametrize("text", ["<|endoftext|>", "<|im_start|>system", "\x00\x01", "👩‍👩‍👧", ""])
def test_control_sequences_are_ordinary_text(text):
    assert 0 <= counter().text(text) <= upper_bound_tokens(text)


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        *(("o200k_base", unit) for unit in (" ", "\t", "\n", "\r\n", "\u00a0", "a", "!", "1", "漢", " \n")),
        *(("cl100k_base", unit) for unit in (" ", "a", "漢")),
    ],
)
def test_a_million_of_anything_is_counted_within_bounds(name, unit):
    text = unit * (1_000_000 // len(unit))
    started = time.process_time()
    tokens = counter(name).text(text)
    assert 1_000_000 // len(unit) // 128 <= tokens <= upper_bound_tokens(text)
    assert time.process_time() - started < 10


@settings(max_examples=50, deadline=None)
@given(encodings, st.text(max_size=300))
def test_bytes_bound_the_tokens(name, text):
    assert counter(name).text(text) <= upper_bound_tokens(text) == len(text.encode())


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


def test_a_vocabulary_is_read_when_it_is_first_asked_for_and_once():
    read = []

    def reading(name):
        read.append(name)
        return packed(name)

    lazy = Counters(reading)
    assert read == []
    assert "cl100k_base" not in lazy
    assert lazy["cl100k_base"].text("hello world") == 2
    assert lazy["cl100k_base"] is lazy["cl100k_base"]
    assert read == ["cl100k_base"]
    assert "cl100k_base" in lazy
    assert "o200k_base" not in lazy


def test_the_shared_counters_are_loaded_once():
    assert counter() is counters()["o200k_base"]
