"""All secrets, or everything that is wrong with them."""

import pytest

from macroslow.errors import ConfigurationError
from macroslow.secretstore.reference import Reference, Scheme
from macroslow.secretstore.resolve import Wanted, resolve
from macroslow.secretstore.secret import Secret

GOOD = "sk-4f9a77c1b2d3"


class Places:
    """A stateful stand-in for any source."""

    def __init__(self, **texts: str) -> None:
        self.texts = texts

    async def read(self, reference: Reference) -> Secret:
        if reference.name not in self.texts:
            raise ConfigurationError(f"{reference} is not there", fix="put it there")
        return Secret(self.texts[reference.name])


def wanted(setting: str, name: str, scheme: Scheme = Scheme.ENV) -> Wanted:
    return Wanted(setting, Reference(scheme, name), "macroslow.toml", 7)


async def test_each_setting_gets_its_secret():
    sources = {Scheme.ENV: Places(A=GOOD), Scheme.KEYSTORE: Places(a=GOOD + "e")}
    found = await resolve([wanted("one", "A"), wanted("two", "a", Scheme.KEYSTORE)], sources)
    assert found["one"].reveal() == GOOD
    assert found["two"].reveal() == GOOD + "e"


async def test_all_that_is_wrong_is_told_at_once_with_its_place():
    sources = {Scheme.ENV: Places(GOOD=GOOD, EMPTY="", LEFT="your_api_key_here", OURS="msk_4f9a77c1b2d3")}
    names = ["GOOD", "EMPTY", "LEFT", "OURS", "ABSENT"]
    with pytest.raises(ConfigurationError) as caught:
        await resolve([wanted(f"providers.{name}.key", name) for name in names], sources)
    told = {one.field: one.message for one in caught.value.problems}
    assert told == {
        "providers.EMPTY.key": "env:EMPTY is empty",
        "providers.LEFT.key": "env:LEFT holds a placeholder",
        "providers.OURS.key": "env:OURS holds a client key of this gateway, not a provider's key",
        "providers.ABSENT.key": "env:ABSENT is not there",
    }
    assert all(one.fix and one.file == "macroslow.toml" and one.line == 7 for one in caught.value.problems)


async def test_no_message_holds_what_was_found():
    sources = {Scheme.ENV: Places(A="canary 7f3a", B="msk_canary7f3a", C="example-canary7f3a")}
    with pytest.raises(ConfigurationError) as caught:
        await resolve([wanted(name, name) for name in "ABC"], sources)
    assert len(caught.value.problems) == 3
    assert "canary" not in repr(caught.value.problems) + repr(caught.value)
