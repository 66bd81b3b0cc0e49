"""The commands: name, where it lives, and the first line of its help. Adding a command is adding a line."""

from typing import Final

from macroslow.cli._group import Lazy

COMMANDS: Final = {
    "demo": Lazy("macroslow.cli.demo.command:demo", "See it stop a thief, an overspender and a forger."),
    "init": Lazy("macroslow.cli.setup.init:init", "Write a configuration, ready to start."),
    "serve": Lazy("macroslow.cli.serve:serve", "Serve the gateway."),
    "emulator": Lazy("macroslow.cli.emulator:emulator", "Stand in for a provider, without its bill."),
    "maml": Lazy("macroslow.cli.documents.maml:group", "Write, check and sign workflow documents."),
    "run": Lazy("macroslow.cli.documents.run:run", "Run a workflow document on this machine."),
    "keys": Lazy("macroslow.cli.keys.command:keys", "Clients' API keys."),
    "install-client": Lazy(
        "macroslow.cli.install_client.command:install_client", "Tell an MCP client of this gateway."
    ),
    "jwt": Lazy("macroslow.cli.jwt:jwt", "Tokens of identity providers."),
    "emergency": Lazy("macroslow.cli.emergency:emergency", "When there is no time to look which."),
    "can": Lazy("macroslow.cli.can:can", "Say whether somebody may do something, and why."),
    "signers": Lazy("macroslow.cli.documents.signers:signers", "Keys that sign documents."),
    "mcp": Lazy("macroslow.cli.mcp:mcp", "Other MCP servers behind this gateway."),
    "secrets": Lazy("macroslow.cli.setup.secrets:secrets", "Keep and check providers' keys."),
    "usage": Lazy("macroslow.cli.usage:usage", "What was spent, what is left, and what the provider says."),
    "tokens": Lazy("macroslow.cli.tokens:tokens", "Count tokens and their price, offline."),
    "import": Lazy("macroslow.cli.setup.import_:import_", "Come from another gateway."),
    "receipt": Lazy("macroslow.cli.receipt.command:receipt", "Verify the proof of a single action, offline."),
    "signer": Lazy("macroslow.cli.signer:signer", "Sign for the gateway of another user."),
    "audit": Lazy("macroslow.cli.audit.group:audit", "Read, prove and verify the log."),
    "config": Lazy("macroslow.cli.setup.config:config", "Show and check the configuration."),
    "doctor": Lazy("macroslow.cli.setup.doctor:doctor", "What works on this machine, tried for real."),
}
