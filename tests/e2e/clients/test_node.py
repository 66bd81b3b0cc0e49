"""The SDKs for Node, unmodified: one program each, which checks what it is told; here, what it cost."""

import pytest
from tests.e2e.clients.conftest import billed
from tests.node import SDKS, commands_of


@pytest.mark.parametrize(
    ("program", "model", "base"), [("openai", "gpt-4o-mini", "/v1"), ("anthropic", "claude-sonnet-5-5", "")]
)
def test_the_sdk_gets_what_it_asks_for(gateway, key, run, program, model, base):
    commands_of(SDKS)
    before = billed(gateway)
    name = program.upper()
    settings = {
        f"{name}_BASE_URL": gateway.url + base,
        f"{name}_API_KEY": key,
        "POOR_KEY": gateway.client("poor", budget_usd_micros=0),
    }
    done = run("node", SDKS / f"{program}.mjs", **settings)
    assert done.returncode == 0, done.stderr
    assert billed(gateway)[model] > before.get(model, (0, 0, 0))
