"""Executing one page: consoles in one shell, files written where the reader stands and checked.

A page that says `BEGINS_SERVING` begins where the README's first console block ends: an emulator and a
gateway serve, and the reader stands in the gateway's folder.
"""

import ast
import json
from pathlib import Path
from typing import Final

from tests.conftest import ROOT
from tests.docs.page import Block, Command, PageError, read_blocks, read_commands
from tests.docs.session import Session

from macroslow.settings import load

README: Final = ROOT / "README.md"
BEGINS_SERVING: Final = "<!-- begins with a gateway that serves -->"


def execute_page(page: Path, folder: Path) -> None:
    """Live through the page in `folder`; PageError or SessionError where page and product differ."""
    blocks = read_blocks(page)
    if BEGINS_SERVING in page.read_text(encoding="utf-8"):
        start = next(block for block in read_blocks(README) if block.kind == "console")
        blocks = [start, *blocks]
    _require_programs_to_run(blocks)
    session = Session(folder)
    try:
        for block in blocks:
            _execute(session, block)
    finally:
        session.close()


def _execute(session: Session, block: Block) -> None:
    match block.kind:
        case "console":
            _converse(session, read_commands(block))
        case "toml":
            load(_written(session, block, "fragment/macroslow.toml"), {})
        case "json":
            json.loads(_written(session, block, "fragment/block.json").read_text(encoding="utf-8"))
        case "markdown":
            file = _written(session, block, "fragment/document.maml.md")
            session.run(
                Command(f"macroslow maml validate '{file}'", ("…: valid",), block.line), may_fail=False
            )
        case "python":
            _python(session, block)
        case "go":
            _written(session, block, "fragment/block.go")


def _converse(session: Session, commands: list[Command]) -> None:
    """A command that fails must be followed by `echo $?`, so that the reader sees it coming."""
    for command, after in zip(commands, [*commands[1:], None], strict=True):
        session.run(command, may_fail=after is not None and after.asks_exit_code)


def _python(session: Session, block: Block) -> None:
    file = _written(session, block, "fragment/block.py")
    ast.parse(file.read_text(encoding="utf-8"))
    if not block.title:
        session.run(Command(f"python '{file}'", (), block.line), may_fail=False)


def _written(session: Session, block: Block, unnamed: str) -> Path:
    file = session.folder / (block.title or unnamed)
    file.parent.mkdir(exist_ok=True)
    file.write_text(session.localized(block.text), encoding="utf-8")
    return file


def _require_programs_to_run(blocks: list[Block]) -> None:
    """A program that a page shows as a file is also started by it, and Go is shown as a file alone."""
    consoles = "".join(block.text for block in blocks if block.kind == "console")
    for block in blocks:
        starts = {"python": f"python {block.title}", "go": f"go build {block.title}"}.get(block.kind, "")
        if starts and (block.title or block.kind == "go") and (not block.title or starts not in consoles):
            raise PageError(f"line {block.line}: nothing runs {block.title or 'it'}")
