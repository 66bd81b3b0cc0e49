"""`macroslow audit`: what happened, and whether the log that says so is whole."""

from typing import Final

from macroslow.cli._group import Lazy, LazyGroup

COMMANDS: Final = {
    "tail": Lazy("macroslow.cli.audit.entries:tail", "Show the newest entries."),
    "show": Lazy("macroslow.cli.audit.entries:show", "Show one entry whole."),
    "search": Lazy(
        "macroslow.cli.audit.search:search", "Find entries of somebody, a type, a time, a request."
    ),
    "prove": Lazy("macroslow.cli.audit.entries:prove", "Print the receipt of one entry."),
    "verify": Lazy("macroslow.cli.audit.verify:verify", "Verify the log: entries, tree, signatures, ledger."),
    "export": Lazy("macroslow.cli.audit.export:export", "Write the log as files, for mirrors."),
    "report": Lazy("macroslow.cli.audit.report:report", "Report what the log holds about a person."),
    "erase": Lazy("macroslow.cli.audit.erase:erase", "Erase a person from the log."),
    "checkpoint": Lazy("macroslow.cli.audit.verify:checkpoint", "Print the newest signed checkpoint."),
    "policy": Lazy("macroslow.cli.audit.witness:policy", "Print what to ask of the log's checkpoints."),
    "witnesses": Lazy("macroslow.cli.audit.witness:witnesses", "Show what each witness cosigned last."),
    "key": Lazy("macroslow.cli.audit.keys:key", "Print the log's public key."),
    "rotate-key": Lazy("macroslow.cli.audit.keys:rotate_key", "Give the log another key."),
    "fork": Lazy("macroslow.cli.audit.keys:fork", "Declare that the log was forked."),
}
audit = LazyGroup(COMMANDS, name="audit", help="Read, prove and verify the log.", no_args_is_help=True)
