"""[images]: a table is enough, keys are referred to, an emulator is said to be one."""

from pathlib import Path

import pytest

from macroslow.errors import ConfigurationError
from macroslow.settings import Settings, load
from macroslow.settings.unlikely import unlikely


def loaded(tmp_path: Path, text: str) -> Settings:
    file = tmp_path / "macroslow.toml"
    file.write_text(text)
    return load(file, {})


def wanted(settings: Settings) -> dict[str, str]:
    return {one.setting: str(one.reference) for one in settings.secrets() if one.setting.startswith("images")}


def test_nothing_is_searched_unless_a_table_says_so(tmp_path: Path) -> None:
    settings = loaded(tmp_path, "")
    assert settings.images.named == {}
    assert wanted(settings) == {}


def test_empty_tables_read_the_keys_of_the_templates(tmp_path: Path) -> None:
    settings = loaded(tmp_path, "[images.pixabay]\n[images.unsplash]\n")
    assert list(settings.images.named) == ["unsplash", "pixabay"], "in the order in which they are asked"
    assert wanted(settings) == {
        "images.unsplash.key": "env:UNSPLASH_ACCESS_KEY",
        "images.pixabay.key": "env:PIXABAY_API_KEY",
    }


def test_variables_set_them_too(tmp_path: Path) -> None:
    settings = load(None, {"MACROSLOW__IMAGES__PIXABAY__KEY": "file:pixabay.key"})
    assert wanted(settings) == {"images.pixabay.key": "file:pixabay.key"}


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ('[images.unsplash]\nkey = "Zk3w9vX1r5pQ7sT2uY8a"', "images.unsplash.key"),
        ('[images.unsplash]\nsecret_key = "env:UNSPLASH_SECRET_ACCESS_KEY"', "images.unsplash.secret_key"),
        ('[images.unsplash]\napp = ""', "images.unsplash.app"),
        ('[images.pixabay]\nbase_url = "http://pixabay.com"', "images.pixabay"),
        ('[images.pixabay]\nbase_url = "https://pixabay.com/?key=1"', "images.pixabay.base_url"),
        ("[images.flickr]", "images.flickr"),
        (
            '[gateway]\nenvironment = "production"\n[images.pixabay]\nemulator = true',
            "images.pixabay.emulator",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused_where_it_stands(tmp_path: Path, text: str, field: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        loaded(tmp_path, text)
    assert [problem.field for problem in refused.value.problems] == [field]
    assert "Zk3w9vX1r5pQ7sT2uY8a" not in repr(refused.value.problems)


def test_unsplashs_secret_key_in_place_of_the_access_key_is_told_of(tmp_path: Path) -> None:
    settings = loaded(tmp_path, '[images.unsplash]\nkey = "env:UNSPLASH_SECRET_ACCESS_KEY"')
    (line,) = unlikely(settings)
    assert "macroslow.toml:2: images.unsplash.key: is the secret key" in line
    assert list(unlikely(loaded(tmp_path, "[images.unsplash]"))) == []
