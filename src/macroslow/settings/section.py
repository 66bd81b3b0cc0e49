"""What every section of the configuration is, and what not every installation can act on."""

from importlib.util import find_spec
from typing import ClassVar

from pydantic import AfterValidator, BaseModel, ConfigDict

from macroslow.settings.fields import refuse


class Section(BaseModel):
    """One table of the file: frozen, strict about types, closed to unknown keys."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        extra="forbid", frozen=True, strict=True, validate_default=True, serialize_by_alias=True
    )


def only(available: str, *later: str) -> AfterValidator:
    """Refuse the values that only another version can act on."""

    def check(value: str) -> str:
        if value in later:
            raise refuse(f'"{value}" is not available in this version', f'write "{available}"')
        return value

    return AfterValidator(check)


def needs_extra(module: str, extra: str) -> AfterValidator:
    """Refuse a setting whose driver is not installed here, saying what installs it."""

    def check(value: object) -> object:
        if value is not None and find_spec(module) is None:
            raise refuse(
                f"needs the extra {extra}, which is not installed", f"pip install 'macroslow[{extra}]'"
            )
        return value

    return AfterValidator(check)
