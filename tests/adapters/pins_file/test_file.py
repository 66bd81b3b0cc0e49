"""Approved pins survive a restart whole, or stop the start."""

import json
import stat
from pathlib import Path

import pytest

from macroslow.adapters.pins_file import FILE_NAME, PinsFile
from macroslow.errors import ConfigurationError
from macroslow.mcp.pins import Kind, Place

PINS = {
    "s": {Place(Kind.SERVER, ""): '{"name":"s"}', Place(Kind.TOOL, "add"): '{"name":"add\\u200b"}'},
    "t": {Place(Kind.RESOURCE, "file:///\u00e4"): '{"uri":"file:///\u00e4"}'},
}


def test_pins_come_back_as_they_were_kept(tmp_path: Path) -> None:
    PinsFile(tmp_path).save(PINS)
    assert PinsFile(tmp_path).load() == PINS


def test_without_a_file_nothing_is_approved(tmp_path: Path) -> None:
    assert PinsFile(tmp_path).load() == {}


def test_the_file_is_its_owners_alone_and_replaced_as_a_whole(tmp_path: Path) -> None:
    store = PinsFile(tmp_path)
    store.save(PINS)
    store.save({"s": PINS["s"]})
    file = tmp_path / FILE_NAME
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == [FILE_NAME]
    assert set(store.load()) == {"s"}


def test_what_a_crash_left_half_written_is_in_nobodys_way(tmp_path: Path) -> None:
    (tmp_path / f"{FILE_NAME}.new").write_text("{")
    store = PinsFile(tmp_path)
    store.save(PINS)
    assert store.load() == PINS


DAMAGED = [
    b"",
    b"{",
    b"[]",
    b"\xff",
    b'{"format": 2, "servers": {}}',
    b'{"format": 1}',
    b'{"format": 1, "servers": []}',
    b'{"format": 1, "servers": {"s": [["tool", "x"]]}}',
    b'{"format": 1, "servers": {"s": [["nothing", "x", "{}"]]}}',
    b'{"format": 1, "servers": {"s": [["tool", 5, "{}"]]}}',
    b'{"format": 1, "servers": {"s": [["tool", "x", "[]"]]}}',
    b'{"format": 1, "servers": {"s": [["tool", "x", "no"]]}}',
    b"[" * 100_000,
]


@pytest.mark.parametrize("raw", DAMAGED, ids=range(len(DAMAGED)))
def test_a_damaged_file_stops_the_start_and_says_so(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(raw)
    with pytest.raises(ConfigurationError, match="pins"):
        PinsFile(tmp_path).load()


def test_a_disk_that_takes_nothing_leaves_the_old_pins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = PinsFile(tmp_path)
    store.save(PINS)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        store.save({})
    assert json.loads((tmp_path / FILE_NAME).read_text())["servers"].keys() == PINS.keys()
