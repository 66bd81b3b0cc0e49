"""Usage as providers report it, believed or not.

A provider may be wrong or hostile: a usage that this request could not have had (negative, fractions,
more output than was allowed, more input than the model takes) is treated as missing. Zero is a value.
What it says of parts of the input (read from a cache, written into one) is believed only as far as
the parts fit into the whole.

Sources: OpenAI API reference, "The chat completion object", "The response object"; Anthropic API
reference, "Messages", usage.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from macroslow.inference.operation import Possible
from macroslow.metering.prices import TokenCounts


def count(value: object, most: int) -> int | None:
    """A number of tokens that can be: whole, not negative, at most `most`."""
    return value if type(value) is int and 0 <= value <= most else None


def in_detail(
    input_tokens: object,
    output_tokens: object,
    cached: object,
    written: object,
    long: object,
    possible: Possible,
) -> TokenCounts | None:
    """The counts, unless the whole ones cannot be. `long` is the part of `written` that is kept longer."""
    whole_input = count(input_tokens, possible.input_tokens)
    whole_output = count(output_tokens, possible.output_tokens)
    if whole_input is None or whole_output is None:
        return None
    if not cached and not written and not long:
        return TokenCounts(whole_input, whole_output)
    read = count(cached, whole_input) or 0
    written_long = count(long, whole_input - read) or 0
    all_written = max(count(written, whole_input - read) or 0, written_long)
    return TokenCounts(whole_input, whole_output, read, all_written - written_long, written_long)


@dataclass(frozen=True, slots=True)
class Names:
    """What an API of OpenAI's calls the two counts, and the parts of the first."""

    input: str
    output: str
    details: str


def openai_usage(reported: object, possible: Possible, names: Names) -> TokenCounts | None:
    """The usage in OpenAI's shape, whose two counts have other names in each API."""
    if not isinstance(reported, dict):
        return None
    input_tokens, output_tokens = reported.get(names.input), reported.get(names.output)
    details = reported.get(names.details)
    if not isinstance(details, dict):
        return in_detail(input_tokens, output_tokens, 0, 0, 0, possible)
    written = _dict(details.get("cache_write_tokens_details"))
    return in_detail(
        input_tokens,
        output_tokens,
        details.get("cached_tokens"),
        details.get("cache_write_tokens"),
        written.get("ttl_12h_tokens"),
        possible,
    )


def anthropic_usage(reported: Mapping[str, Any], possible: Possible) -> TokenCounts | None:
    """The usage in Anthropic's shape, where cached input comes beside the rest."""
    parts = [
        count(reported.get(name) or 0, possible.input_tokens)
        for name in ("cache_read_input_tokens", "cache_creation_input_tokens")
    ]
    fresh = count(reported.get("input_tokens"), possible.input_tokens)
    if fresh is None or None in parts:
        return None
    read, written = parts
    long = _dict(reported.get("cache_creation")).get("ephemeral_1h_input_tokens")
    total = fresh + sum(part for part in parts if part is not None)
    return in_detail(total, reported.get("output_tokens"), read, written, long, possible)


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
