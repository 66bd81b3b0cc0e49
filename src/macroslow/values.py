"""Values that are made many times in every call: frozen for the type checkers, and cheap to make.

A frozen dataclass sets each of its fields by `object.__setattr__`, at a third of a microsecond apiece,
which for what one call makes adds up to a twentieth of its cost. These are as immutable to mypy and
pyright, which run over everything, and compare and hash by value; nothing stops an assignment at run time.
"""

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def value(cls: type[T]) -> type[T]:
    """Make `cls` a dataclass with slots that nobody may assign to."""
    return dataclass(slots=True, unsafe_hash=True)(cls)
