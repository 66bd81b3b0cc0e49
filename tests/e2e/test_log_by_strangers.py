"""The log as strangers check it: an export, read by Go's code for logs, by aics-tlog, by a library from npm.

They share no line with us. Each must find a whole log sound, and none may accept one that is not; what a
verifier does not know (Go and aics-tlog: the ML-DSA line; the one from npm: the tiles) it must pass over.
"""

import asyncio
import http.client
import json
import shutil
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.conftest import ROOT
from tests.docs.page import read_blocks
from tests.e2e.conftest import Site, make_site
from tests.log_tools import AICS, aics, built_with_go
from tests.node import SDKS, commands_of
from tests.static_logs import FOREIGN_KEY, KEY, StaticLog

from macroslow.bootstrap.state.core import open_core
from macroslow.settings.load import load
from macroslow.tlog.event import Event, EventType
from macroslow.tlog.ports import Append

SIZES = [1, 255, 256, 257]
LARGE = 65_536
PAGE = ROOT / "docs" / "how-to" / "mirror-the-log.md"
Ran = subprocess.CompletedProcess[str]
Stranger = Callable[..., Ran]
"""Checks (key file, mirror, older checkpoints…); 0 if all is sound."""


@pytest.fixture(scope="session")
def go_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built_with_go(SDKS / "go" / "checklog.go", tmp_path_factory.mktemp("go"))


@pytest.fixture
def by_go(go_program: Path) -> Stranger:
    return lambda *arguments: ran(go_program, *arguments)


@pytest.fixture
def by_aics() -> Stranger:
    aics("aics-tlog")  # or skip
    return lambda *arguments: ran(AICS / ".venv/bin/python", SDKS / "audit_log.py", *arguments)


@pytest.fixture
def by_npm() -> Stranger:
    commands_of(SDKS)  # or skip
    return lambda key, mirror, *_: ran("node", SDKS / "checkpoint.mjs", key, mirror / "checkpoint")


@pytest.fixture(params=["go", "aics"])
def stranger(request: pytest.FixtureRequest) -> Stranger:
    """One of those who read the whole log."""
    found: Stranger = request.getfixturevalue(f"by_{request.param}")
    return found


def ran(*command: object) -> Ran:
    words = [str(word) for word in command]
    return subprocess.run(words, capture_output=True, text=True, timeout=100, check=False)


def grow(configuration: Path, entries: int) -> None:
    """Make the log of a gateway that does not run so long."""

    async def append() -> None:
        async with open_core(load(configuration, {})) as core:
            size = (await core.books.head()).size
            for start in range(size, entries, 4096):
                numbers = range(start, min(start + 4096, entries))
                events = [Event(EventType.CHAT_COMPLETED, n, f"person {n % 9}", {"n": n}) for n in numbers]
                await core.books.commit(*map(Append, events))

    asyncio.run(append())


class House:
    """A gateway's state in a folder of its own; no server runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.configuration = folder / "macroslow.toml"
        self.configuration.write_text('[sandbox]\nbackend = "none"\n')

    def command(self, *arguments: object) -> Ran:
        return ran(sys.executable, "-m", "macroslow", *arguments, "--config", self.configuration)

    def export(self, name: str) -> Path:
        mirror = self.folder / name
        done = self.command("audit", "export", mirror)
        assert done.returncode == 0, done.stderr
        return mirror

    def key(self) -> Path:
        file = self.folder / "log.pub"
        file.write_text(self.command("audit", "key").stdout)
        return file


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where marks of signed trees are kept, instead of in this machine's own home."""
    folder = tmp_path_factory.mktemp("outside")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(folder))
        yield folder


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, outside: Path) -> House:
    """A log that grew through SIZES, and its mirror, which grew with it and is kept as it was at each."""
    made = House(tmp_path_factory.mktemp("house"))
    for size in SIZES:
        grow(made.configuration, size)
        shutil.copytree(made.export("grown"), made.folder / f"at-{size}")
    made.export("new")
    made.key()
    return made


def test_the_program_that_strangers_are_shown_is_the_one_that_is_run_here() -> None:
    (shown,) = [block.text for block in read_blocks(PAGE) if block.kind == "go"]
    assert shown == (SDKS / "go" / "checklog.go").read_text()


@pytest.mark.parametrize("size", SIZES)
def test_who_reads_the_whole_log_finds_it_sound(size: int, house: House, stranger: Stranger) -> None:
    older = [house.folder / f"at-{before}" / "checkpoint" for before in SIZES if before <= size]
    for before in older:
        done = stranger(house.folder / "log.pub", house.folder / f"at-{size}", before)
        assert done.returncode == 0, done.stderr
        assert str(size) in done.stdout


def test_a_new_mirror_is_as_sound_as_one_that_grew_with_the_log(house: House, stranger: Stranger) -> None:
    done = stranger(house.folder / "log.pub", house.folder / "new", house.folder / "at-1" / "checkpoint")
    assert done.returncode == 0, done.stderr


def test_a_checkpoint_from_before_the_log_had_another_key_is_read_with_the_older_key(
    tmp_path: Path, outside: Path, by_go: Stranger
) -> None:
    rotated = House(tmp_path)
    grow(rotated.configuration, 3)
    kept = rotated.export("before") / "checkpoint"
    older = rotated.key().rename(tmp_path / "older.pub")
    assert rotated.command("audit", "rotate-key", "--reason", "a test").returncode == 0
    mirror, newer = rotated.export("after"), rotated.key()
    done = by_go(newer, mirror, kept, older)
    assert (done.returncode, "it extends the tree of 3 entries" in done.stdout) == (0, True), done.stderr
    unknown = tmp_path / "unknown.pub"
    unknown.write_text(FOREIGN_KEY.public.format())
    for arguments in ((newer, mirror, kept), (newer, mirror, kept, unknown), (older, mirror, kept, newer)):
        done = by_go(*arguments)
        assert done.returncode != 0
        assert "was the log given another key?" in done.stderr


@pytest.mark.parametrize("size", SIZES)
def test_the_post_quantum_line_verifies_from_the_standards_byte_layout(
    size: int, house: House, by_npm: Stranger
) -> None:
    done = by_npm(house.folder / "log.pub", house.folder / f"at-{size}")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["size"] == size


def test_a_log_of_nothing_is_sound_and_an_export_of_none_says_that_there_is_none(
    tmp_path: Path, outside: Path, stranger: Stranger, by_npm: Stranger
) -> None:
    mirror = written(StaticLog(0), tmp_path / "mirror")
    pinned = key_file(tmp_path)
    for check in (stranger, by_npm):
        done = check(pinned, mirror)
        assert done.returncode == 0, done.stderr
    empty = House(tmp_path)
    grow(empty.configuration, 0)
    done = empty.command("audit", "export", tmp_path / "none")
    assert done.returncode == 2
    assert "the log is empty" in done.stderr
    assert not (tmp_path / "none").exists()


FILES = [path for path in StaticLog(257).files() if path != "checkpoint"]


@pytest.mark.parametrize("path", FILES)
def test_a_flipped_bit_is_found_in_every_file(path: str, tmp_path: Path, stranger: Stranger) -> None:
    mirror = written(StaticLog(257), tmp_path / "mirror")
    assert stranger(key_file(tmp_path), mirror).returncode == 0
    flip(mirror / path)
    assert stranger(key_file(tmp_path), mirror).returncode != 0


def test_swapped_entries_are_found(tmp_path: Path, stranger: Stranger) -> None:
    log = StaticLog(257)
    mirror = written(log, tmp_path / "mirror")
    log.leaves[3], log.leaves[4] = log.leaves[4], log.leaves[3]
    (mirror / "tile/entries/000").write_bytes(log.file("tile/entries/000"))
    assert stranger(key_file(tmp_path), mirror).returncode != 0


@pytest.mark.parametrize("who", ["go", "aics", "npm"])
def test_a_log_that_another_key_signed_is_not_the_logs(
    who: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """The operator who signs anew with his own key, under the same name."""
    mirror = written(StaticLog(257, FOREIGN_KEY), tmp_path / "mirror")
    check = request.getfixturevalue(f"by_{who}")
    assert check(key_file(tmp_path), mirror).returncode != 0
    (tmp_path / "log.pub").write_text(FOREIGN_KEY.public.format())
    assert check(tmp_path / "log.pub", mirror).returncode == 0


def test_a_history_that_was_rewritten_does_not_extend_a_kept_checkpoint(
    tmp_path: Path, stranger: Stranger
) -> None:
    kept = written(StaticLog(200, name="what happened"), tmp_path / "kept")
    mirror = written(StaticLog(257, name="what is told"), tmp_path / "mirror")
    pinned = key_file(tmp_path)
    assert stranger(pinned, mirror).returncode == 0
    assert stranger(pinned, mirror, kept / "checkpoint").returncode != 0


def test_each_reader_heeds_the_line_of_its_own_kind_of_key(
    tmp_path: Path, stranger: Stranger, by_npm: Stranger
) -> None:
    """A bit of either signature is found by who knows that kind, and by nobody else."""
    mirror = written(StaticLog(257), tmp_path / "mirror")
    pinned, note = key_file(tmp_path), (mirror / "checkpoint").read_text()
    head, ed25519, ml_dsa_44 = note.rstrip("\n").rsplit("\n", 2)
    assert len(ed25519) < 200 < len(ml_dsa_44)
    (mirror / "checkpoint").write_text(f"{head}\n{other(ed25519)}\n{ml_dsa_44}\n")
    assert (stranger(pinned, mirror).returncode != 0, by_npm(pinned, mirror).returncode) == (True, 0)
    (mirror / "checkpoint").write_text(f"{head}\n{ed25519}\n{other(ml_dsa_44)}\n")
    assert (stranger(pinned, mirror).returncode, by_npm(pinned, mirror).returncode != 0) == (0, True)


@pytest.fixture(scope="module")
def public_site(
    tmp_path_factory: pytest.TempPathFactory, emulator_url: str, clean_environment: dict[str, str]
) -> Iterator[Site]:
    """A gateway whose log is public."""
    folder = tmp_path_factory.mktemp("public")
    site = make_site(folder, emulator_url, clean_environment, '[log]\npublic = true\nhigh_water = "off"\n')
    grow(folder / "macroslow.toml", 300)
    site.start()
    yield site
    site.stop()


def test_the_files_of_an_export_are_those_that_a_public_log_serves_to_everybody(
    public_site: Site, stranger: Stranger, tmp_path: Path
) -> None:
    mirror = tmp_path / "mirror"
    told = public_site.data("audit", "export", str(mirror))
    assert told["entries"] > 300
    (tmp_path / "log.pub").write_text(public_site.command("audit", "key").stdout)
    done = stranger(tmp_path / "log.pub", mirror)
    assert done.returncode == 0, done.stderr
    for file in (path for path in mirror.rglob("*") if path.is_file()):
        path = str(file.relative_to(mirror))
        with urllib.request.urlopen(f"{public_site.url}/log/{path}", timeout=60) as answer:
            content = answer.read()
            assert answer.headers["cache-control"].startswith("public, ")
        if path == "checkpoint":
            assert int(content.split(b"\n")[1]) >= told["entries"]
        else:
            assert content == file.read_bytes()


def test_a_reader_over_http_needs_the_key_and_nothing_else_of_ours(
    public_site: Site,
) -> None:
    """aics-tlog's own client for tlog-tiles, against the gateway itself."""
    lines = public_site.command("audit", "key").stdout.splitlines()
    vkey = next(line for line in lines if not line.startswith("#"))
    where = ("--tiles", f"{public_site.url}/log", "--log-key", vkey)
    for index in (0, 255, 256, 299):
        done = ran(aics("aics-tlog"), "verify-inclusion", "--index", index, *where)
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        assert (told["ok"], told["log_ok"], told["index"]) == (True, True, index)
    foreign = FOREIGN_KEY.public.ed25519.vkey
    assert ran(aics("aics-tlog"), "verify-checkpoint", *where[:3], foreign).returncode != 0


def test_one_connection_asks_again_looks_ahead_and_reads_on(public_site: Site) -> None:
    """304 and HEAD have no body: whoever miscounted would read the next answer wrongly."""
    where = urllib.parse.urlsplit(public_site.url)
    with closing(http.client.HTTPConnection(str(where.hostname), where.port, timeout=60)) as connection:

        def ask(method: str, path: str, tag: str = "") -> tuple[int, bytes, http.client.HTTPMessage]:
            connection.request(method, f"/log/{path}", headers={"if-none-match": tag} if tag else {})
            answer = connection.getresponse()
            return answer.status, answer.read(), answer.headers

        for _ in range(2):
            status, note, headers = ask("GET", "checkpoint")
            assert (status, headers["content-length"]) == (200, str(len(note)))
            status, nothing, again = ask("GET", "checkpoint", headers["etag"])
            assert (status, nothing, again["etag"]) == (304, b"", headers["etag"])
            status, nothing, ahead = ask("HEAD", "tile/entries/000")
            assert (status, nothing, ahead["content-length"]) == (200, b"", str(256 * 80))
            assert [ask("GET", f"tile/{path}")[0] for path in ("0/000", "0/999", "9/000", "0/0")] == [200] + [
                404
            ] * 3


@pytest.mark.sweep
@pytest.mark.timeout(600)
def test_a_log_of_two_full_levels_is_sound_to_every_stranger(
    tmp_path: Path, outside: Path, by_go: Stranger, by_aics: Stranger, by_npm: Stranger
) -> None:
    large = House(tmp_path)
    grow(large.configuration, 700)
    large.export("early")
    grow(large.configuration, LARGE)
    mirror = large.export("mirror")
    assert (mirror / "tile/2/000.p/1").is_file()
    for check in (by_go, by_aics, by_npm):
        done = check(large.key(), mirror, tmp_path / "early" / "checkpoint")
        assert done.returncode == 0, done.stderr
        assert str(LARGE) in done.stdout


def written(log: StaticLog, folder: Path) -> Path:
    """The files of a log, which no gateway has."""
    for path, content in log.files().items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return folder


def key_file(folder: Path) -> Path:
    file = folder / "static.pub"
    file.write_text(KEY.public.format())
    return file


def flip(file: Path) -> None:
    """Change one bit in the middle."""
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def other(line: str) -> str:
    """A signature line whose signature is another one, of the same key."""
    middle = line.index(" ", 2) + 30
    return f"{line[:middle]}{'A' if line[middle] != 'A' else 'B'}{line[middle + 1 :]}"
