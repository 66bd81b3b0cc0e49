"""Counts that are remembered are the counts; each principal has his own, and no text is kept."""

import gc

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.metering.vocabulary import counter, counters

from macroslow.metering.encodings import Counter, Counters
from macroslow.metering.remembered import Remembered, RememberedCounters

NAME = "o200k_base"


class Listening:
    """An encoder of a token a character, that tells what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def encode_ordinary(self, text: str) -> list[int]:
        self.asked.append(text)
        return [0] * len(text)


def listening() -> tuple[Listening, Counters]:
    encoder, made = Listening(), Counters(lambda name: b"")
    made._loaded.update({NAME: Counter(encoder), "cl100k_base": Counter(encoder)})
    return encoder, made


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.lists(st.sampled_from(["", "a", "hello world", "Grüße", "a" * 50]) | st.text(), max_size=5),
        max_size=5,
    )
)
def test_what_is_remembered_is_what_would_be_counted(prompts):
    remembered = Remembered(most=3)
    for at, texts in enumerate(prompts):
        mine = RememberedCounters(counters(), remembered, "ab"[at % 2])
        assert mine.texts(NAME, texts) == counter().texts(texts)
        assert len(remembered) <= 6


def test_a_text_is_counted_once_for_each_principal_and_vocabulary():
    encoder, made = listening()
    remembered = Remembered()
    for principal in ("alice", "bob"):
        for encoding in (NAME, "cl100k_base"):
            one = RememberedCounters(made, remembered, principal)
            assert [one.texts(encoding, ["system", "turn"]) for _ in range(3)] == [10, 10, 10]
    assert encoder.asked == ["system", "turn"] * 4


def test_no_name_goes_on_in_a_text():
    encoder, made = listening()
    remembered = Remembered()
    RememberedCounters(made, remembered, "ann").texts(NAME, ["abc"])
    RememberedCounters(made, remembered, "anna").texts(NAME, ["bc"])
    assert encoder.asked == ["abc", "bc"]


def test_what_is_asked_for_stays_and_the_rest_is_forgotten():
    encoder, made = listening()
    mine = RememberedCounters(made, Remembered(most=2), "alice")
    for number in range(20):
        mine.texts(NAME, ["kept", str(number)])
    assert encoder.asked.count("kept") == 1
    mine.texts(NAME, ["0"])
    assert encoder.asked.count("0") == 2


def test_no_text_is_kept():
    _, made = listening()
    remembered = Remembered()
    text = "a prompt that nobody should find"
    RememberedCounters(made, remembered, "alice").texts(NAME, [text])
    kept = [held for found in (remembered._young, remembered._old) for held in gc.get_referents(found)]
    assert kept
    assert not any(isinstance(each, str) or (isinstance(each, bytes) and len(each) != 32) for each in kept)
