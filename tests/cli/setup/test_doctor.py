"""What the doctor says, for each thing that may be wrong; the probes themselves are the sandbox's tests."""

import json
from pathlib import Path

import pytest

from macroslow.adapters import sandbox
from macroslow.adapters.sandbox import BackendReport
from macroslow.workflow.sandbox import Level

WORKS = BackendReport("native", True, Level.FULL, "", "")
FAILS = BackendReport("landlock", False, Level.REDUCED, "the kernel is too old", "use Linux 5.13")


@pytest.fixture
def probing(monkeypatch: pytest.MonkeyPatch):
    def found(*reports: BackendReport) -> None:
        async def probe() -> list[BackendReport]:
            return list(reports)

        monkeypatch.setattr(sandbox, "probe", probe)

    return found


def test_all_is_well(macroslow, probing) -> None:
    probing(WORKS, FAILS)
    ran = macroslow("doctor")
    assert ran.returncode == 0
    assert "sandbox native     works, full" in ran.stdout
    assert ran.stdout.splitlines()[-1].startswith("configuration is good")
    assert ran.stdout.endswith("\n")


def test_without_a_sandbox_it_says_what_that_means_and_how_to_repair_it(macroslow, probing) -> None:
    probing(FAILS)
    ran = macroslow("doctor")
    assert ran.returncode == 1
    assert "the kernel is too old" in ran.stdout
    assert "fix: use Linux 5.13" in ran.stdout
    assert "code blocks are refused here" in ran.stdout


def test_a_disk_without_its_reserve_is_said_before_a_start_meets_it(
    macroslow, probing, tmp_path: Path
) -> None:
    probing(WORKS)
    (tmp_path / "macroslow.toml").write_text("[log]\ndisk_reserve_mib = 1048576\n")
    ran = macroslow("doctor")
    assert ran.returncode == 1
    assert "MiB free, less than the 1048576 MiB of [log] disk_reserve_mib" in ran.stdout
    assert "1048576 MiB" in json.loads(macroslow("doctor", "--json").stdout)["disk"]
    assert not (tmp_path / ".macroslow").exists()
    (tmp_path / "macroslow.toml").write_text("[log]\ndisk_reserve_mib = 0\n")
    told = macroslow("doctor", "--json")
    assert (told.returncode, json.loads(told.stdout)["disk"]) == (0, None)


def test_a_bad_configuration_is_78_with_the_place(macroslow, probing, tmp_path: Path) -> None:
    probing(WORKS)
    (tmp_path / "macroslow.toml").write_text(
        '[providers.openai]\nbase_url = "http://127.0.0.1:1"\nkey = "env:NO"\n'
    )
    ran = macroslow("doctor")
    assert ran.returncode == 78
    assert "macroslow.toml:3: providers.openai.key" in ran.stdout
    told = json.loads(macroslow("doctor", "--json").stdout)
    assert (told["ok"], len(told["problems"]) > 0, told["sandbox"][0]["works"]) == (False, True, True)
