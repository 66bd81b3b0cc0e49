"""Run in a process of its own: reads every hostile document under a limit of memory, and times each.

Prints one JSON object: the slowest case and its CPU time, and the names of cases that ended in anything
but a parsed document or InvalidDocumentError.
"""

import json
import random
import resource
import sys
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from macroslow.errors import InvalidDocumentError
from macroslow.maml.parse import MAX_DOCUMENT_BYTES, parse

EXTRA_BYTES = 200 * 1024 * 1024
MIB = MAX_DOCUMENT_BYTES

FRONT = b"""---
maml_version: "2.0.0"
id: urn:uuid:123e4567-e89b-12d3-a456-426614174000
type: workflow
origin: agent://tester
permissions:
  execute: ["gateway://local"]
"""
BODY = b"---\n## Intent\nx\n"

SEEDS = [
    "[", "{", "- ", "? ", "a: ", "a: 1\n", "- a\n", "#", "# \n", "## a\n", "\n", " ", "\t", "`", "```\n",
    "```x`\n", "~", "~~~\n", "<!--\n", "<!-- -->\n", "<pre>\n</pre>\n", "<div>\n", "> ", "> ```\n",
    "    ```\n", "1. ", "---\n", "[a, ", "{a: ", '"', "'", '"a" ', "&a ", "*a ", "!a ", "%TAG ! x\n",
    "|\n ", ">\n x\n\n", "a\n b\n", "- - ", "a: &x b\n", "a: *x\n", "\\", '"\\n"', "é", "\u202e", "😀",
    '{"a":', "[[", "1,", "1e9", "key: [a, b]\n", "## Code_Blocks\n```python\nx\n```\n",
    "## Input_Schema\n{}\n", "* ", "**", "://", "a://*\n", "Intent\n---\n", "```python name=a\n```\n",
    "```python name=a timeout=1 x=y\n```\n", "- `", "`` ", "\u2028", "```\n``\n",
]  # fmt: skip


def repeated() -> Iterator[tuple[str, bytes]]:
    """1 MiB of every seed: alone, as front matter, in a value, in a list, as body, as code and as schemas."""
    places = {
        "alone": (b"", b""),
        "front": (b"---\n", b"\n" + BODY),
        "value": (FRONT + b"description: ", b"\n" + BODY),
        "list": (FRONT + b"tags: [", b"]\n" + BODY),
        "unclosed": (FRONT, b""),
        "body": (FRONT + BODY, b""),
        "code": (FRONT + BODY + b"## Code_Blocks\n", b"\n"),
        "block": (FRONT + BODY + b"## Code_Blocks\n```python\n", b"\n```\n"),
        "schema": (FRONT + BODY + b"## Input_Schema\n", b""),
        "fenced": (FRONT + BODY + b"## Output_Schema\n```json\n", b"\n```\n"),
        "heading": (FRONT + BODY + b"## ", b"\n"),
        "info": (FRONT + BODY + b"## Code_Blocks\n```python ", b"\n```\n"),
    }
    for seed in SEEDS:
        for place, (before, after) in places.items():
            text = seed.encode()
            count = (MIB - len(before) - len(after)) // len(text)
            yield f"{seed!r} {place}", before + text * count + after


def grown() -> Iterator[tuple[str, bytes]]:
    """Hostile by structure rather than by one repeated word."""
    keys = "".join(f"verificatiom{i}: 1\n" for i in range(1_900))
    yield "misspelled keys", FRONT + keys.encode() + BODY
    headings = "".join(f"## Code_Block{i}\n" for i in range(4_900))
    yield "misspelled headings", FRONT + BODY + headings.encode()
    yield "growing fences", FRONT + BODY + b"".join(b"`" * n + b"\n" for n in range(3, 1_400))
    yield "shrinking fences", FRONT + BODY + b"".join(b"`" * n + b"\n" for n in range(1_400, 3, -1))
    patterns = ", ".join('"a://' + "*a" * 900 + '"' for _ in range(250))
    yield "many stars", FRONT.replace(b'["gateway://local"]', f"[{patterns}]".encode()) + BODY
    for name, schema in schemas():
        yield f"schema {name}", FRONT + BODY + b"## Input_Schema\n" + json.dumps(schema).encode() + b"\n"


def schemas() -> Iterator[tuple[str, object]]:
    def definitions(count: int, make: Callable[[str], object]) -> dict[str, object]:
        return {f"d{i}": make(f"#/$defs/d{i + 1}") for i in range(count)} | {f"d{count}": {}}

    for keyword in ("allOf", "anyOf", "oneOf"):
        twice = definitions(60, lambda ref, keyword=keyword: {keyword: [{"$ref": ref}, {"$ref": ref}]})
        yield f"doubling {keyword}", {"$defs": twice, "$ref": "#/$defs/d0"}
    yield "long chain", {"$defs": definitions(2_000, lambda ref: {"$ref": ref}), "$ref": "#/$defs/d0"}
    wide = definitions(300, lambda ref: {"properties": {"a": {"$ref": ref}, "b": {"$ref": ref}}})
    yield "wide graph", {"$defs": wide, "$ref": "#/$defs/d0"}
    yield "to itself", {"$ref": "#"}
    mutual = {"a": {"not": {"$ref": "#/$defs/b"}}, "b": {"not": {"$ref": "#/$defs/a"}}}
    yield "mutual", {"$defs": mutual, "$ref": "#/$defs/a"}
    yield "below itself", {"items": {"$ref": "#"}}
    yield "many errors", {"properties": {f"p{i}": {"type": "x", "minimum": "y"} for i in range(2_500)}}
    yield "big pattern", {"pattern": "((a{1000}){1000}){1000}"}
    yield "many patterns", {"allOf": [{"pattern": f"^(a|b{i}){{1,50}}$"} for i in range(900)]}
    yield "big enum", {"enum": list(range(9_000))}
    yield "flat allOf", {"allOf": [{}] * 9_000}
    yield "nested allOf", {"allOf": [{"allOf": [{} for _ in range(90)]} for _ in range(90)]}
    yield "remote", {"$ref": "http://127.0.0.1:9/schema"}


def mutated(folder: Path, count: int) -> Iterator[tuple[str, bytes]]:
    """Documents of the corpus with bytes cut, doubled, swapped and thrown in."""
    sources = [path.read_bytes() for path in sorted(folder.rglob("*.maml.md"))]
    chance = random.Random(20_251_017)
    words = [seed.encode() for seed in SEEDS] + [b"\x00", b"\r", b"\xff", b"\xef\xbb\xbf"]
    for number in range(count):
        raw = chance.choice(sources)
        for _ in range(chance.randint(1, 6)):
            at = chance.randint(0, len(raw))
            length = chance.choice((1, 8, 64, 400))
            word = chance.choice(words) * chance.choice((1, 3, 200))
            piece = chance.choice(sources)[at : at + length]
            new = chance.choice((b"", word, piece, raw[at : at + length]))
            raw = raw[:at] + new + raw[at + chance.choice((0, length)) :]
        yield f"mutation {number}", raw


def main(folder: Path, group: str, amount: int) -> None:
    """`amount` is the number of mutations, or for `repeated` to take every n-th case."""
    groups = {
        "repeated": lambda: islice(repeated(), None, None, amount),
        "grown": grown,
        "mutated": lambda: mutated(folder, amount),
    }
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + EXTRA_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    slowest, slowest_s, strange, cases = "", 0.0, [], 0
    for name, raw in groups[group]():
        cases += 1
        start = time.process_time()
        try:
            parse(raw)
        except InvalidDocumentError as error:
            if not error.problems or any(not problem.fix for problem in error.problems):
                strange.append(f"{name}: a problem without repair")
        except BaseException as error:
            strange.append(f"{name}: {type(error).__name__}: {error}"[:300])
        spent_s = time.process_time() - start
        if spent_s > slowest_s:
            slowest, slowest_s = name, spent_s
    print(json.dumps({"cases": cases, "slowest": slowest, "slowest_s": slowest_s, "strange": strange}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
