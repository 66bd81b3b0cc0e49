"""The keystore: sealed as a whole, replaced in one step, safe for several processes."""

import stat
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from macroslow.adapters.keystore import Keystore
from macroslow.adapters.system import SystemEntropy
from macroslow.crypto.quad import KEY_ID_BYTES, LAYERS, ROOT_BYTES, Quad, Root
from macroslow.errors import ConfigurationError
from macroslow.secretstore.reference import Reference, Scheme
from macroslow.secretstore.secret import Secret

KEY = "sk-canary-4f9a77c1b2d3"


def quad() -> Quad:
    entropy = SystemEntropy()
    return Quad(
        [Root(entropy.random(KEY_ID_BYTES), 1, entropy.random(ROOT_BYTES)) for _ in range(LAYERS)], entropy
    )


@pytest.fixture
def keystore(tmp_path):
    return Keystore(tmp_path / "keystore.sealed", quad())


async def read(keystore: Keystore, name: str) -> str:
    return (await keystore.read(Reference(Scheme.KEYSTORE, name))).reveal()


async def test_what_is_put_is_read_back_and_replaced(keystore):
    keystore.put("openai", Secret("first-4f9a"), stored_ns=1)
    keystore.put("other", Secret("other-4f9a"), stored_ns=2)
    keystore.put("openai", Secret(KEY), stored_ns=3)
    again = Keystore(keystore.path, keystore.sealer)
    assert await read(again, "openai") == KEY
    assert await read(again, "other") == "other-4f9a"
    assert [(one.name, one.stored_ns) for one in again.entries()] == [("openai", 3), ("other", 2)]


async def test_an_empty_keystore_has_no_entries_and_says_how_to_make_one(keystore):
    assert keystore.entries() == ()
    with pytest.raises(ConfigurationError, match="keystore:openai is not in the keystore") as caught:
        await read(keystore, "openai")
    assert caught.value.fix == "macroslow secrets set openai"


def test_no_file_holds_the_text_or_the_names_and_only_the_owner_reads_them(keystore):
    keystore.put("openai-production", Secret(KEY), stored_ns=1)
    for path in keystore.path.parent.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert b"canary" not in path.read_bytes()
        assert b"openai" not in path.read_bytes()
    assert not keystore.path.with_name(f"{keystore.path.name}.new").exists()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, 10**6), flip=st.integers(1, 255))
async def test_an_altered_file_is_refused(keystore, at, flip):
    keystore.put("openai", Secret(KEY), stored_ns=1)
    raw = bytearray(keystore.path.read_bytes())
    raw[at % len(raw)] ^= flip
    altered = Keystore(keystore.path.with_name("altered"), keystore.sealer)
    altered.path.write_bytes(raw)
    with pytest.raises(ConfigurationError, match="does not open under this gateway's keys") as caught:
        await read(altered, "openai")
    assert "canary" not in repr(caught.value)


@pytest.mark.parametrize("content", [b"", b"{}", b"x" * (2 * 1024 * 1024)])
def test_what_is_no_sealed_file_is_refused_and_left_alone(keystore, content):
    keystore.path.write_bytes(content)
    with pytest.raises(ConfigurationError):
        keystore.put("openai", Secret(KEY), stored_ns=1)
    assert keystore.path.read_bytes() == content


def test_another_gateways_keystore_does_not_open(keystore):
    keystore.put("openai", Secret(KEY), stored_ns=1)
    with pytest.raises(ConfigurationError, match="belongs to another"):
        Keystore(keystore.path, quad()).entries()


def test_bytes_sealed_for_another_purpose_do_not_open(keystore):
    keystore.path.write_bytes(keystore.sealer.seal(b'{"a": ["b", 1]}', "gateway", purpose="object"))
    with pytest.raises(ConfigurationError):
        keystore.entries()


@pytest.mark.parametrize("name", ["", "../a", "a b", "a/b", "a" * 65, ".a"])
def test_a_name_that_no_reference_could_have_is_refused(keystore, name):
    with pytest.raises(ValueError, match="not the name"):
        keystore.put(name, Secret(KEY), stored_ns=1)


def test_it_is_full_before_it_is_unreadable(keystore):
    for number in range(5):
        keystore.put(f"big{number}", Secret("x" * 100_000), stored_ns=1)
    with pytest.raises(ConfigurationError, match="no room"):
        keystore.put("big5", Secret("x" * 100_000), stored_ns=1)
    assert len(keystore.entries()) == 5


def test_entries_put_at_the_same_time_are_all_kept(keystore):
    names = [f"name{number}" for number in range(12)]
    threads = [
        threading.Thread(target=keystore.put, args=(name, Secret(KEY)), kwargs={"stored_ns": 1})
        for name in names
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(one.name for one in keystore.entries()) == sorted(names)
