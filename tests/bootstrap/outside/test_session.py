"""The one client of what is called beside models: shared, closed, and not there before it is asked for."""

import subprocess
import sys

from macroslow.bootstrap.outside.session import Outward


async def test_all_share_one_client_and_it_is_closed_with_its_owner() -> None:
    outward = Outward()
    session = outward()
    assert outward() is session
    await outward.close()
    assert session.closed


async def test_closing_what_nobody_asked_for_does_nothing() -> None:
    await Outward().close()


def test_a_gateway_that_calls_models_alone_imports_no_client_but_theirs_and_no_mcp() -> None:
    code = "import sys, macroslow.cli._serving; print({'aiohttp', 'mcp', 'mcp_types'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
