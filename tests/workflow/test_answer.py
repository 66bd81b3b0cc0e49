"""From what the code did to what callers see: a result is JSON that all readers share, or the run fails."""

import json
import math

import orjson
import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from macroslow.crypto import strict_json
from macroslow.errors import InvalidDocumentError, Problem
from macroslow.metering.ledger import UsageRow
from macroslow.tlog.receipt import MAX_ANSWER_BYTES, MAX_ANSWER_DEPTH, answer_sha256
from macroslow.workflow import answer
from macroslow.workflow.answer import MAX_RESULT_BYTES, MAX_RESULT_DEPTH, Conclusion, conclude, parse_result
from macroslow.workflow.sandbox import BlockOutcome, BlockStatus, Level, Outcome

LARGEST = 2**53 - 1


def outcome(result: bytes | None, *statuses: BlockStatus, error: str = "") -> Outcome:
    blocks = tuple(
        BlockOutcome("python", f"b{n}", status, 0, "", "", 1, error=error)
        for n, status in enumerate(statuses)
    )
    return Outcome(blocks, result, "fake", Level.FULL)


def anything(_: object) -> None:
    """An Output_Schema that everything fits."""


def test_a_result_is_the_value_that_the_code_gave() -> None:
    ended = conclude(outcome(b'{"a": [1, 2.5, "x", null, true]}', BlockStatus.OK), anything)
    assert ended == Conclusion(True, {"a": [1, 2.5, "x", None, True]})


def test_no_result_is_success_without_one() -> None:
    assert conclude(outcome(None, BlockStatus.OK), anything) == Conclusion(True, None)
    assert conclude(outcome(None), anything) == Conclusion(True, None)


@pytest.mark.parametrize("status", sorted(set(BlockStatus) - {BlockStatus.OK, BlockStatus.SKIPPED}))
def test_the_first_block_that_failed_is_the_reason_and_its_result_is_not_believed(
    status: BlockStatus,
) -> None:
    ended = conclude(outcome(b"1", BlockStatus.OK, status, BlockStatus.SKIPPED), anything)
    assert (ended.success, ended.result) == (False, None)
    assert ended.error == f"block 'b1' ended with {status}"
    assert conclude(outcome(b"1", status, error="it says why"), anything).error == "it says why"


@pytest.mark.parametrize(
    ("result", "why"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"not json", "not JSON"),
        (b"1 2", "not JSON"),
        (b"{'a': 1}", "not JSON"),
        (b"\xff", "not UTF-8"),
        (b'"\xed\xa0\x80"', "not UTF-8"),
        (rb'"\ud800"', "surrogate"),
        (rb'{"\udc00": 1}', "surrogate"),
        (b"NaN", "not an integer"),
        (b"[Infinity]", "not an integer"),
        (b'{"a": -Infinity}', "not an integer"),
        (b"1e400", "larger than"),
        (b'{"a": [-1e999]}', "larger than"),
        (str(2**53).encode(), "beyond 2"),
        (str(-(2**53)).encode(), "beyond 2"),
        (b'{"a": [%d]}' % 2**64, "beyond 2"),  # a reader may make a rounded float of it
        (b"1" * 4000, "beyond 2"),
        (b"1" * 100_000, "digits"),
        (b'{"a": 1, "a": 2}', "twice"),
        (b"[" * (MAX_RESULT_DEPTH + 1) + b"]" * (MAX_RESULT_DEPTH + 1), "nested"),
        (b"[" * 1_000_000, "nested"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "nested"),
        (b'"' + b"a" * MAX_RESULT_BYTES + b'"', "bytes"),
    ],
)  # fmt: skip
def test_what_readers_of_json_disagree_about_fails_the_run_and_says_why(result: bytes, why: str) -> None:
    ended = conclude(outcome(result, BlockStatus.OK), anything)
    assert (ended.success, ended.result) == (False, None)
    assert ended.error.startswith("the result is not usable: ")
    assert why in ended.error
    assert len(ended.error) < 300


@pytest.mark.parametrize(
    "value", [LARGEST, -LARGEST, 0, 1e308, -0.0, 5e-324, 0.1, 1e20, True, "\u2028\U0001f600"]
)
def test_the_largest_and_smallest_that_all_readers_hold_pass(value: object) -> None:
    assert parse_result(json.dumps(value).encode()) == value


def test_the_deepest_result_passes() -> None:
    assert conclude(outcome(b"[" * 64 + b"]" * 64, BlockStatus.OK), anything).success


def test_a_result_that_does_not_fit_output_schema_fails_with_all_that_is_wrong() -> None:
    def refuses(value: object) -> None:
        assert value == {"a": 1}
        raise InvalidDocumentError("it does not fit", [Problem("a is no text"), Problem("b is missing")])

    ended = conclude(outcome(b'{"a": 1}', BlockStatus.OK), refuses)
    assert ended == Conclusion(False, None, "it does not fit; a is no text; b is missing")


def test_a_defect_in_the_check_is_not_taken_for_a_bad_result() -> None:
    def broken(_: object) -> None:
        raise KeyError("a defect")

    with pytest.raises(KeyError):
        conclude(outcome(b"1", BlockStatus.OK), broken)


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-LARGEST, LARGEST)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)


@given(values)
def test_every_result_that_passes_is_hashed_alike_by_whoever_reads_the_answer(value: object) -> None:
    """What is logged is a digest of the answer; a stranger computes it from the bytes that were sent."""
    ended = conclude(outcome(json.dumps(value).encode(), BlockStatus.OK), anything)
    assert ended.success
    sent = orjson.dumps({"result": ended.result, "receipt": {}})
    read = strict_json.parse(sent, limit_bytes=MAX_ANSWER_BYTES, max_depth=MAX_ANSWER_DEPTH, floats=True)
    assert isinstance(read, dict)
    assert answer_sha256(read) == answer_sha256({"result": ended.result})
    assert rfc8785.dumps({"result": ended.result}) == rfc8785.dumps({"result": json.loads(json.dumps(value))})


@given(
    st.binary(max_size=40)
    | st.text('[]{}":,0123456789.eE+-nulltrefasINiy \\ud8', max_size=30).map(str.encode)
)
def test_no_bytes_do_anything_but_conclude(result: bytes) -> None:
    ended = conclude(outcome(result, BlockStatus.OK), anything)
    assert ended.success is not bool(ended.error)
    if isinstance(ended.result, float):
        assert math.isfinite(ended.result)


def test_outputs_show_a_limit_and_its_peak_only_where_one_was_hit() -> None:
    plain = BlockOutcome("python", "a", BlockStatus.OK, 0, "o", "e", 3)
    limited = BlockOutcome("bash", "b", BlockStatus.MEMORY, None, "", "", 9, "too much", "memory_bytes", 512)
    assert answer.outputs([plain, limited]) == [
        {
            "language": "python",
            "name": "a",
            "status": "ok",
            "exit_code": 0,
            "stdout": "o",
            "stderr": "e",
            "duration_ms": 3,
        },
        {
            "language": "bash",
            "name": "b",
            "status": "memory",
            "exit_code": None,
            "stdout": "",
            "stderr": "",
            "duration_ms": 9,
            "error": "too much",
            "limit": "memory_bytes",
            "peak": 512,
        },
    ]


def test_usage_is_the_sum_and_each_models_part() -> None:
    rows = [UsageRow("m1", 2, 10, 20, 300, 0, None), UsageRow("m2", 1, 1, 2, 3, 0, None)]
    used = answer.usage(rows)
    assert (used["input_tokens"], used["output_tokens"], used["usd_micros"]) == (11, 22, 303)
    assert used["by_model"] == {
        "m1": {"calls": 2, "input_tokens": 10, "output_tokens": 20, "usd_micros": 300},
        "m2": {"calls": 1, "input_tokens": 1, "output_tokens": 2, "usd_micros": 3},
    }
    assert answer.usage([])["by_model"] == {}
