"""A path that is none is told which one was meant, in our words and never in the caller's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from macroslow.errors import NotFoundError
from macroslow.web.router import Router
from macroslow.web.routes import ROUTES

ROUTER = Router(ROUTES)


def fix_of(raw_path: bytes) -> str:
    with pytest.raises(NotFoundError) as caught:
        ROUTER.find(raw_path)
    return caught.value.fix


@pytest.mark.parametrize(
    ("raw_path", "meant"),
    [
        (b"/chat/completions", "/v1/chat/completions"),
        (b"/chat/completions/", "/v1/chat/completions"),
        (b"//v1/chat/completions", "/v1/chat/completions"),
        (b"/messages", "/v1/messages"),
        (b"/v1/v1/messages", "/v1/messages"),
        (b"/v1/execute", "/execute"),
        (b"/models", "/v1/models"),
    ],
)
def test_a_version_that_is_missing_or_there_twice_is_told(raw_path: bytes, meant: str) -> None:
    assert fix_of(raw_path).startswith(f"did you mean {meant}? the base URL of OpenAI's clients ends in /v1")


@pytest.mark.parametrize("raw_path", [b"/", b"", b"/v1", b"/v1/completions", b"/v1/images/generations"])
def test_any_other_path_is_told_what_there_is(raw_path: bytes) -> None:
    assert "models are called at /v1/chat/completions, /v1/responses, /v1/embeddings" in fix_of(raw_path)


@given(st.binary(max_size=40).map(lambda tail: b"/nowhere/canary" + tail))
def test_nothing_of_the_path_comes_back(raw_path: bytes) -> None:
    assert "canary" not in fix_of(raw_path)
