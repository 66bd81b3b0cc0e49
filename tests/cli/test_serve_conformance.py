"""`serve --conformance` starts only where it can do no harm."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.cli.conftest import Ran

TAKES_NONE = "takes no configuration"


@pytest.mark.parametrize("listen", ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"])
def test_it_listens_on_loopback_alone(macroslow: Callable[..., Ran], listen: str) -> None:
    done = macroslow("serve", "--conformance", "--listen", listen)
    assert done.returncode == 78
    assert "lets everybody in" in done.stderr
    assert "--listen 127.0.0.1" in done.stderr


@pytest.mark.parametrize(
    "configuration",
    [
        '[providers.openai]\nbase_url = "http://127.0.0.1:9"\nkey = "env:OPENAI_API_KEY"\n',
        '[mcp.servers.other]\nurl = "http://127.0.0.1:9/mcp"\n',
        "[keys]\nrequests_per_minute = 1\n",
        "",
    ],
    ids=["provider", "other-server", "anything", "nothing"],
)
@pytest.mark.parametrize("named", [False, True], ids=["found", "named"])
def test_it_takes_no_configuration_file(
    macroslow: Callable[..., Ran], tmp_path: Path, configuration: str, named: bool
) -> None:
    file = tmp_path / ("other.toml" if named else "macroslow.toml")
    file.write_text(configuration)
    done = macroslow("serve", "--conformance", *(["--config", str(file)] if named else []))
    assert (done.returncode, TAKES_NONE in done.stderr) == (78, True)


@pytest.mark.parametrize(
    ("name", "value"), [("MACROSLOW__STATE__FOLDER", "elsewhere"), ("MACROSLOW__LOG__PUBLIC", "true")]
)
def test_it_takes_no_configuration_from_variables(
    macroslow: Callable[..., Ran], tmp_path: Path, name: str, value: str
) -> None:
    done = macroslow("serve", "--conformance", environ={name: value})
    assert (done.returncode, TAKES_NONE in done.stderr) == (78, True)
    assert not [*tmp_path.iterdir()]
