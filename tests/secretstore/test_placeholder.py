"""Placeholders are refused, and no key of a provider's making ever is."""

import hashlib
import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from macroslow.secretstore.placeholder import fault

BASE62 = string.ascii_letters + string.digits
FORMS = {
    "openai project": ("sk-proj-", BASE62 + "-_", 156),
    "openai": ("sk-", BASE62, 48),
    "anthropic": ("sk-ant-api03-", BASE62 + "-_", 95),
    "google": ("AIza", BASE62 + "-_", 35),
    "unsplash": ("", BASE62 + "-_", 43),
    "pixabay": ("41234567-", "0123456789abcdef", 25),
    "hexadecimal": ("", "0123456789abcdef", 32),
    "stripe test": ("sk_test_", BASE62, 24),
    "jwt": ("eyJhbGciOiJIUzI1NiJ9.", BASE62 + "-_", 43),
    "aws": ("AKIA", string.ascii_uppercase + "234567", 16),
}


def key_from(seed: int, form: str) -> str:
    """A key as a provider would draw it: uniform letters, here from a hash."""
    prefix, alphabet, length = FORMS[form]
    letters = hashlib.shake_256(str(seed).encode()).digest(length * 2)
    pairs = zip(letters[::2], letters[1::2], strict=True)
    return prefix + "".join(alphabet[(high * 256 + low) % len(alphabet)] for high, low in pairs)


@pytest.mark.parametrize("form", FORMS)
@given(seed=st.integers(0, 2**64))
def test_no_key_of_a_provider_is_refused(form, seed):
    assert fault(key_from(seed, form)) == ""


@pytest.mark.sweep
@pytest.mark.parametrize("form", FORMS)
def test_none_of_many_thousand_keys_is_refused(form):
    assert [key for seed in range(5_000) if fault(key := key_from(seed, form))] == []


@pytest.mark.parametrize(
    "text",
    [
        "your_api_key_here",
        "COMPROMISED_KEY_REPLACED",
        "your-secret-key",
        "your-new-openai-key",
        "your-pixabay-key",
        "changeme",
        "CHANGE_ME",
        "change-me-please",
        "sk-...",
        "sk-…",
        "sk-",
        "sk-proj-",
        "sk-xxxxxxxxxxxxxxxx",
        "sk-proj-XXXXXXXX",
        "sk-your-key-here",
        "sk-xxxx1234xxxx",
        "xxx",
        "aaaaaaaaaaaaaaaa",
        "0000000000",
        "********",
        "-",
        "<your key>",
        "<key>",
        "{{OPENAI_API_KEY}}",
        "${OPENAI_API_KEY}",
        "$OPENAI_API_KEY",
        "%OPENAI_API_KEY%",
        "[REDACTED]",
        "AKIAIOSFODNN7EXAMPLE",
        "sk-example-1234",
        "TODO",
        "todo",
        "FIXME",
        "none",
        "null",
        "undefined",
        "api_key",
        "API-KEY",
        "my_api_key",
        "the secret",
        "insert-your-key-here",
        "insert_key_here",
        "replace_me",
        "placeholder",
        "password",
        "secret",
        "1234567890",
    ],
)
def test_what_templates_leave_behind_is_a_placeholder(text):
    assert fault(text) == "holds a placeholder"


@pytest.mark.parametrize("text", ["", " ", "\t", "\n", "\r\n  "])
def test_nothing_is_called_empty(text):
    assert fault(text) == "is empty"


@pytest.mark.parametrize(
    "text", ["sk-4f9a 77c1", "sk-4f9a\n77c1", "sk-4f9a77c1\n", "clé-4f9a77c1", "sk-4f9a\x0077c1"]
)
def test_what_cannot_stand_in_a_header_is_refused(text):
    assert fault(text) == "holds spaces or characters that no key has"


def test_a_key_with_a_space_pasted_before_it_is_refused():
    assert fault(" sk-4f9a77c1b2") == "begins or ends with a space"


@pytest.mark.parametrize(
    "text", ["sk-emulator", "sk-test-123", "ollama", "EMPTY", "dev-key-1", "tok_4f9a77c1"]
)
def test_short_keys_of_local_servers_pass(text):
    assert fault(text) == ""


@given(st.text())
@example("sk-canary-7f3a\n")
def test_the_reason_never_quotes_the_text(text):
    assert fault(text) in {
        "",
        "is empty",
        "holds a placeholder",
        "holds spaces or characters that no key has",
        "begins or ends with a space",
    }
