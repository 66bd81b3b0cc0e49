"""Programs of the configuration as servers (N27): nothing else names them, and nothing of ours is shown."""

import ast
from pathlib import Path
from typing import Any

import pytest

import macroslow
from macroslow.bootstrap.upstreams.boxes import BoxedPrograms, box_profiles, mount_problems
from macroslow.errors import ConfigurationError, SandboxUnavailableError
from macroslow.secretstore.secret import Secret
from macroslow.settings import load

SOURCES = Path(macroslow.__file__).parent
MAKERS = {
    "Program": {"settings/mcp_program.py"},
    "ServerProgram": set(),
    "Boxes": {"bootstrap/upstreams/boxes.py"},
    "BoxedPrograms": {"bootstrap/upstreams/boxes.py"},
    "StdioServer": {"bootstrap/upstreams/boxes.py"},
}


def written(tmp_path: Path, mounts: list[str]) -> Any:
    file = tmp_path / "gateway" / "macroslow.toml"
    for folder in ("gateway/.macroslow", "gateway/docs", "keys", "other"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "secret").write_text("x")
    file.write_text(f"""
[state]
folder = "{tmp_path / "gateway/.macroslow"}"
[log]
keys = "{tmp_path / "keys"}"
[mcp.servers.files]
command = ["server"]
mounts = {mounts}
secrets = {{ TOKEN = "file:{tmp_path / "secret"}" }}
""")
    return load(file, {})


@pytest.mark.parametrize(
    "shown", ["gateway/.macroslow", "gateway", "gateway/macroslow.toml", "keys", "keys/log", "secret", "."]
)
def test_n27_a_mount_that_would_show_what_is_the_gateways_own_stops_the_start(
    tmp_path: Path, shown: str
) -> None:
    settings = written(tmp_path, [f"{(tmp_path / shown).resolve()}:ro"])
    (tmp_path / "keys" / "log").mkdir()
    with pytest.raises(ConfigurationError) as refused:
        box_profiles(settings)
    (problem,) = refused.value.problems
    assert problem.message.endswith("which is the gateway's own")
    assert (problem.field, problem.line) == ("mcp.servers.files.mounts", 8)


def test_other_folders_may_be_shown_and_the_launcher_is_told_no_secret(tmp_path: Path) -> None:
    settings = written(tmp_path, [f"{tmp_path}/gateway/docs:ro", f"{tmp_path}/other:rw"])
    assert mount_problems(settings) == []
    profiles = box_profiles(settings)
    assert list(profiles) == ["mcp/files"]
    profile = profiles["mcp/files"]
    assert profile["command"] == ["server"]
    assert profile["mounts"] == {f"{tmp_path}/gateway/docs": False, f"{tmp_path}/other": True}
    assert profile["egress"] is False
    assert "TOKEN" not in str(profile)


@pytest.mark.parametrize(
    ("outer", "inner", "refused"),
    [
        ("other:rw", "other/b:ro", True),
        ("other:ro", "other/b:rw", False),
        ("other/b:rw", "other/b:ro", False),
    ],
)
def test_a_mount_within_what_another_server_may_change_stops_the_start(
    tmp_path: Path, outer: str, inner: str, refused: bool
) -> None:
    settings = written(tmp_path, [f"{tmp_path}/{outer}"])
    (tmp_path / "other" / "b").mkdir()
    file = settings.source.file
    more = f'[mcp.servers.reader]\ncommand = ["server"]\nmounts = ["{tmp_path}/{inner}"]\n'
    file.write_text(file.read_text() + more)
    problems = mount_problems(load(file, {}))
    said = f"{tmp_path}/other/b lies in {tmp_path}/other, which the MCP server files may change"
    assert [(each.message, each.field) for each in problems] == (
        [(said, "mcp.servers.reader.mounts")] if refused else []
    )


@pytest.mark.parametrize("backend", ["landlock", "none"])
async def test_n27_where_no_full_sandbox_may_be_used_no_program_is_started(backend: str) -> None:
    class NoBoxes:
        async def start(self, environment: Any) -> Any:
            raise AssertionError("started")

    boxed = BoxedPrograms(NoBoxes(), backend, {}, {})  # type: ignore[arg-type]
    with pytest.raises(SandboxUnavailableError, match="needs a full sandbox"):
        await boxed.start()


async def test_a_program_gets_its_plain_and_its_secret_values_and_no_others() -> None:
    given: list[Any] = []

    class Noting:
        async def start(self, environment: Any) -> Any:
            given.append(environment)

    await BoxedPrograms(Noting(), "auto", {"LEVEL": "info"}, {"TOKEN": Secret("t0p")}).start()  # type: ignore[arg-type]
    assert given == [{"LEVEL": "info", "TOKEN": "t0p"}]


def test_n27_programs_are_made_of_the_configuration_and_nowhere_else() -> None:
    made: dict[str, set[str]] = {name: set() for name in MAKERS}
    for file in SOURCES.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call):
                called = (
                    node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                )
                if called in made:
                    made[called].add(str(file.relative_to(SOURCES)))
    assert made == MAKERS
