"""The error tree: codes are unique, and what a person can mend is raised with the repair."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import macroslow
from macroslow import errors
from macroslow.errors import MacroslowError, ProblemsError

SOURCE = Path(macroslow.__file__).parent
USER_FACING = ("services", "cli", "bootstrap", "settings")
MENDED_BY_WHO_ASKED = (
    errors.ProblemsError,
    errors.UnsupportedMediaTypeError,
    errors.TooLargeError,
    errors.NotFoundError,
    errors.ConflictError,
    errors.KeyReusedError,
    errors.ForbiddenError,
    errors.BudgetExhaustedError,
    errors.RateLimitedError,
    errors.SandboxUnavailableError,
)
FILES = sorted(path for package in USER_FACING for path in (SOURCE / package).rglob("*.py"))


def tree(root: type[MacroslowError] = MacroslowError) -> Iterator[type[MacroslowError]]:
    yield root
    for child in root.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from tree(child)


def made(path: Path) -> Iterator[tuple[str, type[MacroslowError], ast.Call]]:
    """Every place in a file that makes an error of the tree."""
    classes = {cls.__name__: cls for cls in tree()}
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in classes:
            yield f"{path.relative_to(SOURCE)}:{node.lineno}", classes[node.func.id], node


def says_how(cls: type[MacroslowError], node: ast.Call) -> bool:
    """With `fix`, or with problems, each of which has its own."""
    named = {keyword.arg for keyword in node.keywords}
    listed = issubclass(cls, ProblemsError) and (len(node.args) > 1 or "problems" in named)
    return listed or "fix" in named


def test_every_leaf_has_a_code_and_a_title_of_its_own() -> None:
    leaves = [cls for cls in tree() if not cls.__subclasses__()]
    assert len({cls.code for cls in leaves}) == len({cls.title for cls in leaves}) == len(leaves)


@pytest.mark.parametrize("package", USER_FACING)
def test_what_can_be_mended_says_how(package: str) -> None:
    files = [path for path in FILES if path.relative_to(SOURCE).parts[0] == package]
    silent = [
        where
        for path in files
        for where, cls, node in made(path)
        if issubclass(cls, MENDED_BY_WHO_ASKED) and not says_how(cls, node)
    ]
    assert silent == []


def test_the_search_finds_errors_at_all() -> None:
    found = [cls for path in FILES for _, cls, _ in made(path)]
    assert len(found) > 50
    assert {errors.ConfigurationError, errors.NotFoundError, errors.BadRequestError} <= set(found)
