"""References name places, and what is no reference is never quoted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from macroslow.errors import ConfigurationError
from macroslow.secretstore.reference import Reference, Scheme, is_entry_name, parse_reference


@pytest.mark.parametrize(
    ("text", "scheme", "name"),
    [
        ("env:OPENAI_API_KEY", Scheme.ENV, "OPENAI_API_KEY"),
        ("file:/run/secrets/openai", Scheme.FILE, "/run/secrets/openai"),
        ("file:C:/keys/a b", Scheme.FILE, "C:/keys/a b"),
        ("keystore:openai-1", Scheme.KEYSTORE, "openai-1"),
    ],
)
def test_a_reference_reads_back_as_it_was_written(text, scheme, name):
    assert parse_reference(text) == Reference(scheme, name)
    assert str(parse_reference(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "env:",
        "env:A-B",
        "env:1A",
        "env: A",
        "file:",
        "file: a",
        "file:a\nb",
        "keystore:../a",
        "keystore:" + "a" * 65,
    ],
)
def test_a_scheme_with_an_unusable_name_is_refused(text):
    with pytest.raises(ConfigurationError, match="not a usable name"):
        parse_reference(text)


@pytest.mark.parametrize("scheme", ["vault", "aws-sm", "gcp-sm"])
def test_a_secret_manager_that_this_version_cannot_ask_is_refused_by_name(scheme):
    with pytest.raises(ConfigurationError, match=f"{scheme}: references are not available in this version"):
        parse_reference(f"{scheme}:secret/openai")


@given(st.text(min_size=8).filter(lambda text: not text.startswith(("env:", "file:", "keystore:"))))
def test_a_secret_in_the_place_of_its_reference_is_refused_without_being_quoted(text):
    with pytest.raises(ConfigurationError) as caught:
        parse_reference(f"sk-canary{text}")
    assert "canary" not in f"{caught.value.detail}{caught.value.fix}{caught.value.reason}"


@given(st.text())
def test_an_entry_name_is_a_plain_file_name_at_most(name):
    if is_entry_name(name):
        assert name.isascii()
        assert not set(name) & set("/\\ \n\0")
        assert name not in {".", ".."}
