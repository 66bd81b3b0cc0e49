"""What a reader is told of each route: a sentence, what it answers, examples. One entry a route."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from macroslow.web.media_types import BYTES, EVENTS, JSON, MARKDOWN, TEXT


@dataclass(frozen=True, slots=True)
class Page:
    """What a reader is told of one route: a sentence, what it answers, and an example of each body."""

    summary: str
    media_types: tuple[str, ...] = (JSON,)
    status: int = 200
    example: Mapping[str, object] = field(default_factory=dict)
    answer: Mapping[str, object] = field(default_factory=dict)
    headers: tuple[str, ...] = ()
    query: Mapping[str, str] = field(default_factory=dict)
    errors: tuple[int, ...] = ()


_PAID: Final = (402, 409, 422, 502)
_CALL: Final = ("Idempotency-Key", "x-macroslow-tag", "x-macroslow-receipt", "traceparent")
_DOCUMENT: Final = {"document": "---\nmaml_version: …\n---\n## Intent\n…", "inputs": {"n": 3}}
_ASKED: Final = {"model": "gpt-5-mini", "messages": [{"role": "user", "content": "Hello"}]}
_RUN: Final = {"run_id": "r1", "state": "success"}
_METADATA: Final = Page(
    "Who issues tokens for /mcp (RFC 9728); 404 without an issuer",
    answer={"resource": "https://gateway.example/mcp", "authorization_servers": ["https://id.example"]},
    errors=(404,),
)

PAGES: Final[Mapping[tuple[str, str], Page]] = {
    ("POST", "/execute"): Page(
        "Run a document; a document that fails while running is an answer with status `failed`",
        example=_DOCUMENT,
        answer={"status": "success", "run_id": "r1", "result": {"sum": 6}, "outputs": []},
        headers=("Idempotency-Key", "x-macroslow-sign", "x-macroslow-receipt"),
        errors=_PAID,
    ),
    ("POST", "/validate"): Page(
        "Check a document and run nothing", example=_DOCUMENT, answer={"valid": True}
    ),
    ("GET", "/runs"): Page("Own runs, newest first", answer={"runs": [_RUN]}),
    ("GET", "/runs/{id}"): Page("One run, with its answer once there is one", answer=_RUN),
    ("GET", "/runs/{id}/events"): Page("A run's changes, until it has ended", (EVENTS,)),
    ("GET", "/runs/{id}/document"): Page("The bytes that were submitted", (MARKDOWN,)),
    ("GET", "/runs/{id}/history"): Page(
        "The gateway's signed statement about a run", ("application/jose+json",)
    ),
    ("GET", "/runs/{id}/receipt"): Page("A run's receipt"),
    ("POST", "/runs/{id}/cancel"): Page("Stop a run; what it spent stays spent", status=202, answer=_RUN),
    ("GET", "/receipts/{id}"): Page("The receipt that a request asked for, by the request's id"),
    ("POST", "/v1/chat/completions"): Page(
        "OpenAI's chat completions", (JSON, EVENTS), 200, _ASKED, {"choices": []}, _CALL, errors=_PAID
    ),
    ("POST", "/v1/responses"): Page(
        "OpenAI's responses",
        (JSON, EVENTS),
        200,
        {"model": "gpt-5-mini", "input": "Hello"},
        {"output": []},
        _CALL,
        errors=_PAID,
    ),
    ("POST", "/v1/embeddings"): Page(
        "OpenAI's embeddings",
        example={"model": "text-embedding-3-small", "input": "Hello"},
        answer={"data": []},
        headers=_CALL,
        errors=_PAID,
    ),
    ("POST", "/v1/messages"): Page(
        "Anthropic's messages",
        (JSON, EVENTS),
        200,
        {**_ASKED, "model": "claude-sonnet-4-5", "max_tokens": 100},
        {"content": []},
        (*_CALL, "anthropic-version", "anthropic-beta"),
        errors=_PAID,
    ),
    ("POST", "/v1/messages/count_tokens"): Page(
        "How many tokens a message would take in, by our own count",
        example={**_ASKED, "model": "claude-sonnet-4-5"},
        answer={"input_tokens": 8},
        errors=(422,),
    ),
    ("GET", "/v1/models"): Page("Models that have a price and a provider", headers=("anthropic-version",)),
    ("GET", "/v1/models/{id}"): Page("One of them", headers=("anthropic-version",)),
    ("GET", "/v1/usage"): Page(
        "Own spending, and what is left of the budgets",
        answer={"principal": "ada", "usd_micros": 1200, "budgets": []},
        query={"from": "the first day, as 2026-01-31 (UTC)", "to": "the last one"},
    ),
    ("POST", "/mcp"): Page(
        "Model Context Protocol, Streamable HTTP",
        (JSON, EVENTS),
        example={"jsonrpc": "2.0", "id": 1, "method": "ping"},
        answer={"jsonrpc": "2.0", "id": 1, "result": {}},
        headers=("MCP-Protocol-Version", "x-macroslow-receipt"),
    ),
    ("GET", "/log/checkpoint"): Page(
        "The newest signed checkpoint of the log", (TEXT,), headers=("If-None-Match",)
    ),
    ("GET", "/log/tile/{path...}"): Page(
        "A tile of the log's tree, or a bundle of its entries; `path` has slashes, which stay as they are",
        (BYTES,),
    ),
    ("GET", "/health"): Page("Readiness with its reasons", answer={"status": "ready", "reasons": []}),
    ("GET", "/health/startup"): Page("Whether the start is over", answer={"phase": "serving"}),
    ("GET", "/info"): Page("Version, sandbox, providers, the log's fingerprint"),
    ("GET", "/metrics"): Page("Metrics in Prometheus' text format", (TEXT,)),
    ("GET", "/openapi.json"): Page("This description", ("application/openapi+json",)),
    ("GET", "/docs"): Page("This description as a page", ("text/html",)),
    ("GET", "/health/live"): Page("The process answers", answer={"status": "live"}),
    ("GET", "/health/ready"): Page("Whether new work is taken", answer={"status": "ready"}),
    ("GET", "/.well-known/oauth-protected-resource"): _METADATA,
    ("GET", "/.well-known/oauth-protected-resource/mcp"): _METADATA,
}

HEADERS: Final[Mapping[str, str]] = {
    "Idempotency-Key": "1 to 255 printable characters: do it once, however often it is sent",
    "x-macroslow-tag": "labels spending",
    "x-macroslow-sign": "`1` asks for a signed answer",
    "x-macroslow-receipt": "`true` asks for a receipt; the answer says under the same header where it is",
    "If-None-Match": "the ETag of what you have: 304 if there is nothing newer",
    "traceparent": "the call's place in a trace (W3C Trace Context)",
    "anthropic-version": "the version of Anthropic's API; asks for its shapes",
    "anthropic-beta": "goes to the provider, except betas with a price of their own",
    "MCP-Protocol-Version": "the version that was agreed",
}
