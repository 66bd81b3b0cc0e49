"""The description as one HTML page: no script, no font, no image, nothing from elsewhere.

Its style stands in it and is allowed by its digest alone (CSP Level 3, section 2.3.1), so the page also reads
well when it was saved by a program that holds the key.
"""

import json
from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha256
from html import escape
from typing import Any, Final

STYLE: Final = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { margin-bottom: 0; } h2 { margin-top: 2.5rem; border-bottom: 1px solid var(--line); }
details { border: 1px solid var(--line); border-radius: .4rem; margin: .5rem 0; }
summary { padding: .5rem .8rem; cursor: pointer; } details > div { padding: 0 1rem 1rem; }
code, pre { font: 14px/1.4 ui-monospace, monospace; }
pre { background: var(--soft); padding: .6rem; overflow: auto; }
.method { display: inline-block; width: 3.5rem; font-weight: 700; } .path { margin-right: 1rem; }
table { border-collapse: collapse; width: 100%; } td, th { text-align: left; vertical-align: top;
padding: .2rem .8rem .2rem 0; border-bottom: 1px solid var(--line); } th { font-weight: 600; }
"""
POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{b64encode(sha256(STYLE.encode()).digest()).decode()}'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
).encode("ascii")


def page(description: dict[str, Any]) -> str:
    """The whole page."""
    return "".join(_page(description))


def _page(description: dict[str, Any]) -> Iterator[str]:
    info = description["info"]
    title = f"{info['title']} {info['version']}"
    yield f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
    yield '<meta name="viewport" content="width=device-width"><style>' + STYLE + "</style></head><body>"
    yield f"<h1>{escape(title)}</h1><p>{escape(info['summary'])}.</p><h2>Credentials</h2><table>"
    for scheme in description["components"]["securitySchemes"].values():
        header = scheme.get("name", "Authorization: Bearer")
        yield _row(f"<code>{escape(header)}</code>", _text(scheme["description"]))
    yield "</table><h2>Routes</h2>"
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            yield from _operation(path, method, operation)
    yield "<h2>Errors</h2>"
    for name, schema in description["components"]["schemas"].items():
        yield f"<details><summary><code>{escape(name)}</code></summary><div>{_json(schema)}</div></details>"
    yield "</body></html>\n"


def _operation(path: str, method: str, operation: dict[str, Any]) -> Iterator[str]:
    yield f'<details><summary><code class="method">{method.upper()}</code> '
    yield f'<code class="path">{escape(path)}</code>'
    yield f" {_text(operation['summary'])}</summary><div><table>"
    scopes = [scope for requirement in operation["security"] for scope in requirement.get("key", ())]
    named = " or ".join(f"<code>{escape(scope)}</code>" for scope in scopes)
    yield _row("scope", named or "none: public")
    for parameter in operation["parameters"]:
        yield _row(
            f"{parameter['in']} <code>{escape(parameter['name'])}</code>",
            _text(parameter.get("description", "")),
        )
    body = operation.get("requestBody", {"content": {}})["content"]
    if body:
        yield _row("body", f"at most {operation['x-max-body-bytes']:,} bytes")
    for media_type, content in body.items():
        yield _row(f"<code>{escape(media_type)}</code>", _json(content.get("example", {})))
    for status, response in operation["responses"].items():
        media_types = ", ".join(
            f"<code>{escape(media_type)}</code>" for media_type in response.get("content", ())
        )
        yield _row(status, f"{_text(response['description'])}<br>{media_types}")
    yield "</table></div></details>"


def _row(name: str, text: str) -> str:
    return f"<tr><th>{name}</th><td>{text}</td></tr>"


def _json(value: object) -> str:
    shown = value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
    return f"<pre>{escape(shown)}</pre>"


def _text(text: str) -> str:
    """Text in which words between backquotes are code."""
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if at % 2 else part for at, part in enumerate(parts))
