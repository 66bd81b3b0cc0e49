"""The gateway as its operator sets it up: a provider, a configuration, a trusted signer, a client."""

import asyncio
import os
import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from macroslow.cli.demo.stage import Stage
from macroslow.cli.demo.texts import configuration, document
from macroslow.metering.money import MICROS_PER_USD

BUDGET_USD_MICROS: Final = MICROS_PER_USD
PROVIDER_RPM: Final = 500
PROVIDER_TPM: Final = 100_000  # what the budget buys fits, what the agents ask for does not
LOG_ORIGIN: Final = "macroslow/local"
AGENT: Final = "agent://magpie"
_PROVIDER: Final = (
    f"--limits=rpm={PROVIDER_RPM},tpm={PROVIDER_TPM}",
    "--latency=first_ms=20,per_token_ms=0.5",
)
_PLAIN, _MAGPIE = "plain", "magpie"  # the agent's document where no sandbox works, and where one does
_ANY_PORT: Final = ("--listen=127.0.0.1:0", "--json")


@dataclass(frozen=True, slots=True)
class House:
    """A gateway that serves. `secret` is the provider's key, made at `key_made_s` (Unix time).

    `client_key` is alice's: both acts spend from its one budget.
    """

    stage: Stage
    folder: Path
    url: str
    provider_url: str
    sandbox: str
    secret: str
    key_made_s: int
    unsigned: bytes
    signed: bytes
    client_key: str
    server: asyncio.subprocess.Process
    provider: asyncio.subprocess.Process

    @property
    def state(self) -> Path:
        """The gateway's state folder."""
        return self.folder / ".macroslow"

    async def ask(self, *arguments: str) -> dict[str, Any]:
        """The object that an operator's command prints."""
        return await ask(self.stage, self.folder, *arguments)

    async def bill(self) -> dict[str, Any]:
        """What the provider has counted."""
        async with self.stage.http.get(f"{self.provider_url.removesuffix('/v1')}/emulator/stats") as answer:
            counted: dict[str, Any] = await answer.json()
        return counted


async def open_house(stage: Stage) -> House:
    """Start everything, at the same time what does not need the other."""
    folder = stage.sub("gateway")
    key_made_s, secret = int(time.time()), f"sk-emulator-{secrets.token_urlsafe(18)}"
    _write_private(folder / ".env", f"OPENAI_API_KEY={secret}\n")
    (public, signed), servers = await asyncio.gather(_agent(stage), _servers(stage, folder))
    provider, base_url, server, announced = servers
    name = _MAGPIE
    if announced["sandbox"] == "none":
        name, signed = _PLAIN, await _signed(stage, _PLAIN)
    budget = f"{BUDGET_USD_MICROS / MICROS_PER_USD:.2f}"
    client, _trusted = await asyncio.gather(
        ask(stage, folder, "keys", "create", "alice", "--budget", budget),
        ask(stage, folder, "signers", "trust", str(public), "--origin", AGENT),
    )
    return House(
        stage=stage,
        folder=folder,
        url=announced["url"],
        provider_url=base_url,
        sandbox=announced["sandbox"],
        secret=secret,
        key_made_s=key_made_s,
        unsigned=document(name),
        signed=signed,
        client_key=client["key"],
        server=server,
        provider=provider,
    )


async def ask(stage: Stage, folder: Path, *arguments: str) -> dict[str, Any]:
    """The object that a command prints."""
    return (await stage.command(*arguments, "--json", cwd=folder)).data()


async def _servers(
    stage: Stage, folder: Path
) -> tuple[asyncio.subprocess.Process, str, asyncio.subprocess.Process, dict[str, Any]]:
    """Start the provider, then the gateway before it; return what is known of both."""
    provider, offered = await stage.start("emulator", *_PROVIDER, *_ANY_PORT, cwd=folder)
    base_url = offered["base_url"]
    (folder / "macroslow.toml").write_text(configuration(base_url, PROVIDER_RPM, PROVIDER_TPM))
    server, announced = await stage.start("serve", *_ANY_PORT, cwd=folder)
    return provider, base_url, server, announced


async def _agent(stage: Stage) -> tuple[Path, bytes]:
    """Make the agent's key and sign its document; return the key's public part and the document."""
    folder = stage.sub("agent")
    await ask(stage, folder, "signers", "new", "magpie")
    return folder / "magpie.pub", await _signed(stage, _MAGPIE)


async def _signed(stage: Stage, name: str) -> bytes:
    path = stage.sub("agent") / f"{name}.maml.md"
    path.write_bytes(document(name))
    await ask(stage, path.parent, "maml", "sign", path.name, "--key", "magpie.key")
    return path.read_bytes()


def _write_private(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
