"""schemathesis makes thousands of requests out of the description, good and bad ones.

None may end in a fault of the gateway or in an answer that the description does not have; the gateway's
memory stays what it was, and others are served.
"""

import os
import subprocess
from pathlib import Path

import pytest
from tests.e2e.conftest import Site
from tests.e2e.test_flood import MIB, resident_bytes

ST = Path(__file__).parent.parent / "clients" / "schemathesis" / ".venv" / "bin" / "st"
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
RIGHTS = "documents:execute documents:validate runs:read inference:chat mcp:connect usage:read audit:read"

pytestmark = [
    pytest.mark.sweep,
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        not ST.exists() and "MACROSLOW_NO_SKIPS" not in os.environ, reason="tests/clients/install was not run"
    ),
]


def fuzz(site: Site, key: str, phases: str, seed: int) -> subprocess.CompletedProcess[str]:
    command = [ST, "run", f"{site.url}/openapi.json", "--header", f"x-api-key: {key}", "--checks", CHECKS]
    command += ["--phases", phases, "--max-examples", "10", "--seed", str(seed)]
    command += ["--request-timeout", "20", "--no-color"]
    return subprocess.run(
        command,
        cwd=site.folder,
        env=site.environment,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )


def test_no_request_out_of_the_description_is_a_fault_and_memory_stays(site: Site) -> None:
    key = site.client("fuzz", scopes=[*RIGHTS.split(), "operations:read"])
    assert site.chat(key).status == 200
    first = fuzz(site, key, "examples,coverage,fuzzing", 1)
    assert first.returncode == 0, first.stdout[-20_000:]
    resident = resident_bytes(site.server.pid)
    second = fuzz(site, key, "fuzzing", 2)
    assert second.returncode == 0, second.stdout[-20_000:]
    assert resident_bytes(site.server.pid) - resident < 20 * MIB
    assert site.chat(key).status == 200
    assert " ERROR " not in site.said
