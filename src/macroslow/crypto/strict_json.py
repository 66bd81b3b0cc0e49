"""JSON with one reading and one writing (RFC 8259, RFC 8785).

`parse` refuses what readers understand differently: duplicate members, NaN, invalid UTF-8, lone
surrogates, and floats unless they are asked for. `canonical` writes the profile of signed and
logged objects: ASCII keys; strings, booleans, null, integers within plus or minus 2**53 - 1,
lists and objects of these. Within that profile its output equals RFC 8785.
"""

import json
from typing import Final, NoReturn

import orjson

MAX_SAFE_INTEGER: Final = 2**53 - 1
_SCALARS: Final = (str, int, type(None))
_PLAIN: Final = frozenset({*_SCALARS, bool})


def parse(raw: bytes, *, limit_bytes: int, max_depth: int, floats: bool = False) -> object:
    """Return the value; ValueError says in one sentence what is wrong with `raw` (from an adversary)."""
    if len(raw) > limit_bytes:
        raise ValueError(f"it has {len(raw)} bytes, more than {limit_bytes}")
    try:
        value: object = json.loads(
            raw.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_float=float if floats else _refuse_number,
            parse_constant=_refuse_number,
        )
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"it is not JSON ({error.msg}, line {error.lineno})") from None
    except RecursionError:
        raise ValueError(f"it is nested deeper than {max_depth} levels") from None
    _check_parsed(value, max_depth)
    return value


def candidate(raw: bytes, *, limit_bytes: int) -> object:
    """Return the only value that `raw` can be the canonical form of; whoever asks encodes it and compares.

    Nothing that `parse` refuses is left then: what stands twice, floats and half surrogates are not written
    as they were read. At a tenth of the cost of `parse`. ValueError if `raw` is not JSON.
    """
    if len(raw) > limit_bytes:
        raise ValueError(f"it has {len(raw)} bytes, more than {limit_bytes}")
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"it is not JSON ({error})") from None


def canonical(value: object, *, limit_bytes: int, max_depth: int) -> bytes:
    """Return the one encoding of `value`; ValueError if it is outside the profile or a limit."""
    _check(value, max_depth)
    try:
        encoded = orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER)
    except TypeError as error:  # a key that is no text, a lone surrogate, an integer beyond MAX_SAFE_INTEGER
        raise ValueError(f"it cannot be written as JSON ({error})") from None
    if not encoded.isascii():  # else its keys are
        _check_keys(value)
    if len(encoded) > limit_bytes:
        raise ValueError(f"it has {len(encoded)} bytes, more than {limit_bytes}")
    return encoded


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("an object has a member twice")
    return members


def _refuse_number(text: str) -> NoReturn:
    raise ValueError(f"the number {text[:32]} is not an integer")


def _check_parsed(value: object, depth: int) -> None:
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, (dict, list)):
        if depth == 0:
            raise ValueError("it is nested too deeply")
        for member in value.values() if isinstance(value, dict) else value:
            _check_parsed(member, depth - 1)
        if isinstance(value, dict):
            for key in value:
                _check_text(key)


def _check_text(text: str) -> None:
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("a string has half of a surrogate pair")


def _check(value: object, depth: int) -> None:
    """Kinds and depth; how large an integer may be is the encoder's to check."""
    if not isinstance(value, (dict, list, tuple)):
        if not isinstance(value, _SCALARS):
            _refuse_type(value)
        return
    if depth == 0:
        raise ValueError("it is nested too deeply")
    members = value.values() if isinstance(value, dict) else value
    if not _PLAIN.issuperset(map(type, members)):  # mostly it is: this keeps a log entry cheap
        for member in members:
            if not isinstance(member, _SCALARS):
                _check(member, depth - 1)


def _check_keys(value: object) -> None:
    """Of what was encoded, and so has keys of text."""
    if isinstance(value, dict):
        if not "".join(value).isascii():
            raise ValueError("a key is not ASCII text")
        value = [*value.values()]
    if isinstance(value, (list, tuple)):
        for member in value:
            _check_keys(member)


def _refuse_type(value: object) -> NoReturn:
    raise ValueError(f"a value of type {type(value).__name__} has no place in canonical JSON")
