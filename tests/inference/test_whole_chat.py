"""A streamed answer put together again is the answer that would have come in one piece."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from macroslow.inference.whole_chat import WholeChat

HEAD = {"id": "chatcmpl-1", "created": 7, "model": "gpt-4o-2024-08-06", "system_fingerprint": "fp_1"}
USAGE = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}


def event(**members: object) -> bytes:
    return b"data: " + orjson.dumps({**HEAD, "object": "chat.completion.chunk", **members}) + b"\n\n"


def choice(index: int, **delta: object) -> dict[str, object]:
    return {"index": index, "delta": delta, "finish_reason": None}


def put_together(*events: bytes) -> dict[str, object]:
    whole = WholeChat()
    for each in events:
        whole.feed(each)
    return whole.answer()


@given(st.lists(st.lists(st.text(max_size=5), max_size=6), min_size=1, max_size=3), st.data())
def test_the_pieces_of_every_choice_come_together_in_any_grouping(texts, data) -> None:
    events = [event(choices=[choice(index, role="assistant", content="")]) for index in range(len(texts))]
    pieces = [(index, piece) for index, written in enumerate(texts) for piece in written]
    order = data.draw(st.permutations(range(len(texts))))
    events += [
        event(choices=[choice(index, content=piece)])
        for at in order
        for index, piece in pieces
        if index == at
    ]
    events += [
        event(choices=[{"index": index, "delta": {}, "finish_reason": "stop"}]) for index in range(len(texts))
    ]
    events += [event(choices=[], usage=USAGE), b"data: [DONE]\n\n"]
    cut = data.draw(st.integers(0, len(events)))
    told = put_together(b"".join(events[:cut]), b"".join(events[cut:]))
    assert told == {
        **HEAD,
        "object": "chat.completion",
        "usage": USAGE,
        "choices": [
            {
                "index": index,
                "message": {"role": "assistant", "content": "".join(written)},
                "finish_reason": "stop",
            }
            for index, written in enumerate(texts)
        ],
    }


def test_other_texts_of_a_message_are_put_together_too() -> None:
    told = put_together(
        event(choices=[choice(0, refusal="I ")]), event(choices=[choice(0, refusal="cannot", role="tool")])
    )
    assert told["choices"][0]["message"] == {"role": "assistant", "content": None, "refusal": "I cannot"}
    assert told["usage"] is None


@pytest.mark.parametrize(
    "odd",
    [
        b"",
        b": a comment\n\n",
        b"data: {\n\n",
        b"data: null\n\n",
        b"data: []\n\n",
        b'data: {"choices": {}}\n\n',
        b'data: {"choices": [null, 7, {}, {"index": "0", "delta": {}}, {"index": 0, "delta": []}]}\n\n',
        b'data: {"choices": [{"index": 0, "delta": {"content": 7, "x": null, "y": [1]}}]}\n\n',
    ],
    ids=range(8),
)
def test_what_says_nothing_changes_nothing(odd: bytes) -> None:
    plain = event(choices=[choice(0, content="a")])
    assert put_together(plain, odd, plain) == put_together(plain, plain)


def test_pieces_are_counted_where_there_is_text() -> None:
    whole = WholeChat()
    for text in ("a", "", "b", "c"):
        whole.feed(event(choices=[choice(0, content=text)]))
    assert whole.pieces == 3
