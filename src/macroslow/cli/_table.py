"""The commands: name, where it lives, and the first line of its help. Adding a command is adding a line."""

from typing import Final

from macroslow.cli._group import Lazy

COMMANDS: Final = {
    "init": Lazy("macroslow.cli.init:init", "Write a configuration, ready to start."),
    "config": Lazy("macroslow.cli.config:config", "Show and check the configuration."),
    "secrets": Lazy("macroslow.cli.secrets:secrets", "Keep and check providers' keys."),
}
