"""Canaries in all that is secret or private, driven through every path: none is where it does not belong."""

import base64
import json
import signal
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.e2e.canaries import canary, holds, secret_of, unpacked
from tests.e2e.conftest import PROVIDER_KEY, Answered, Site, make_site
from tests.e2e.documents import document, with_schema
from tests.e2e.upstream import Asked, Said, serving

MARKDOWN, JSON = {"content-type": "text/markdown"}, {"content-type": "application/json"}


DOCUMENT, INPUT, OUTPUT, RESULT, PROMPT, ANSWER, MISTAKE, PLANTED = (
    canary(kind)
    for kind in ("document", "input", "output", "result", "prompt", "answer", "mistake", "planted")
)
CONTENT = (DOCUMENT, INPUT, OUTPUT, RESULT, PROMPT, ANSWER, MISTAKE)

ECHO = """
[providers.echo]
base_url = "{url}"
key = "env:OPENAI_API_KEY"
models = ["echo"]
[models.echo]
input_usd = 1
output_usd = 1
[documents]
signatures = "optional"
"""

# The needles come reversed, or the search would find itself.
SEARCH = """
import os, socket
needles = [needle[::-1].encode() for needle in inputs["reversed"]]
found, searched, refused = [], 0, 0

def look(name, content):
    if any(needle in content for needle in needles):
        found.append(name)

look("environment", "".join(f"{k}={v}" for k, v in os.environ.items()).encode())
with open("control", "wb") as file:  # what there is, the search must find
    file.write(needles[0])
readable = ("environ", "cmdline", "maps", "mounts", "status")
skipped = ("/usr", "/lib", "/lib64", "/sys", os.path.realpath(os.__file__).rpartition("/lib/")[0])
for folder, folders, files in os.walk("/", followlinks=False):
    folders[:] = [one for one in folders if not os.path.join(folder, one).startswith(skipped)]
    for file in files:
        path = os.path.join(folder, file)
        if path.startswith("/proc/") and not path.endswith(readable):
            continue
        try:
            with open(path, "rb") as opened:
                content = opened.read(1 << 20)
        except OSError:
            refused += 1
            continue
        searched += 1
        look(path, content)
for path in inputs["paths"]:
    try:
        os.stat(path)
        found.append(path)
    except OSError:
        refused += 1
with socket.socket(socket.AF_UNIX) as control:
    try:
        control.connect(inputs["paths"][0])
        found.append("control socket")
    except OSError:
        refused += 1
result = {"found": found, "searched": searched, "refused": refused}
"""


@dataclass
class Seen:
    """A gateway after all of it: every answer with a name, and what the process itself said."""

    site: Site
    key: str
    answers: dict[str, Answered] = field(default_factory=dict)
    said: str = ""
    state: dict[str, bytes] = field(default_factory=dict)

    def send(self, name: str, method: str, path: str, body: bytes | None = None, **headers: str) -> Answered:
        sent = {"x-api-key": self.key} | {key.replace("_", "-"): value for key, value in headers.items()}
        self.answers[name] = self.site.call(method, path, body, sent)
        return self.answers[name]

    def execute(self, name: str, raw: bytes, inputs: object = None) -> Answered:
        body = json.dumps({"document": raw.decode(), "inputs": inputs or {}}).encode()
        return self.send(name, "POST", "/execute", body, **_JSON)

    def chat(self, name: str, **members: object) -> Answered:
        asked = [{"role": "user", "content": f"{PROMPT} Answer with exactly: {ANSWER}"}]
        body = {"model": "gpt-4o-mini", "messages": asked} | members
        return self.send(name, "POST", "/v1/chat/completions", json.dumps(body).encode(), **_JSON)

    def read_state(self) -> None:
        """Keep the bytes of every file in the state folder, write-ahead log included."""
        for path in self.site.state.rglob("*"):
            if path.is_file() and PLANTED not in path.name:
                self.state[f"{path.name} {len(self.state)}"] = path.read_bytes()


_JSON = {"content_type": "application/json"}


def indiscreet(asked: Asked) -> Said:
    """A provider that fails and quotes the whole request, key and all."""
    status = int(json.loads(asked.body)["max_tokens"])
    quoted = {"error": {"message": json.dumps(dict(asked.headers)), "your_request": asked.body.decode()}}
    headers = {"content-type": "application/json", "x-your-key": asked.headers["authorization"]}
    return Said(status, json.dumps(quoted).encode(), headers)


@pytest.fixture(scope="module")
def seen(tmp_path_factory, emulator_url, clean_environment) -> Iterator[Seen]:
    with serving(indiscreet) as upstream:
        more = ECHO.format(url=upstream.url)
        site = make_site(tmp_path_factory.mktemp("canary"), emulator_url, clean_environment, more)
        site.start()
        seen = Seen(site, site.client("ada"))
        succeed(seen)
        fail(seen)
        refuse(seen)
        read(seen)
        seen.read_state()
        assert any("wal" in name for name in seen.state)
        seen.said = end(site)
        seen.read_state()
        yield seen


def succeed(seen: Seen) -> None:
    """A run with inputs, output, result and a model call, and chats plain and streamed."""
    code = f"""
# {DOCUMENT}
import openai
print("{OUTPUT}", name)
asked = [{{"role": "user", "content": "{PROMPT} Answer with exactly: {ANSWER}"}}]
said = openai.OpenAI().chat.completions.create(model="gpt-4o-mini", messages=asked, max_tokens=60)
result = ["{RESULT}", said.choices[0].message.content]
"""
    schema = '{"type": "object", "properties": {"name": {"type": "string"}}}'
    raw = with_schema(document(code, execute='"gateway://local", "api://openai"'), schema)
    ran = seen.execute("run", raw, {"name": INPUT}).json
    assert ran["status"] == "success", ran
    assert ran["result"] == [RESULT, ANSWER]
    for kind in ("", "/events", "/document", "/history", "/receipt"):
        seen.send(f"run{kind}", "GET", f"/runs/{ran['run_id']}{kind}")
    assert ANSWER in seen.chat("chat").body.decode()
    assert seen.chat("stream", stream=True).status == 200


def fail(seen: Seen) -> None:
    """Runs that fail with what they hold in hand, and providers that quote the key."""
    raised = document(f"x = '{INPUT}'\nraise ValueError('{OUTPUT}')")
    assert seen.execute("raises", raised).json["status"] == "failed"
    exits = document("import os, sys\nsys.stderr.write('x')\nos._exit(7)")
    assert seen.execute("dies", exits).json["status"] == "failed"
    for status in (400, 401, 403, 404, 429, 500, 502, 503):
        answer = seen.chat(f"provider {status}", model="echo", max_tokens=status)
        assert answer.status >= 400


def refuse(seen: Seen) -> None:
    """Everything that is refused, with a canary wherever there is room for one."""
    broken = document("1").replace(b"type: workflow", f"type: [{MISTAKE}".encode())
    seen.send("broken document", "POST", "/execute", broken, content_type="text/markdown")
    seen.execute("bad inputs", with_schema(document("1"), '{"required": ["a"]}'), {"b": MISTAKE})
    seen.execute("missing right", document("1", execute=f'"gateway://local", "api://{MISTAKE}"'))
    seen.send("not json", "POST", "/execute", b'{"document": "' + MISTAKE.encode(), **_JSON)
    seen.send("unknown member", "POST", "/execute", json.dumps({MISTAKE: 1}).encode(), **_JSON)
    seen.chat("unknown chat member", **{MISTAKE: 1})
    seen.chat("unknown model", model=MISTAKE)
    seen.send("unknown run", "GET", f"/runs/{MISTAKE}")
    seen.send("unknown path", "GET", f"/{MISTAKE}")
    seen.send("foreign host", "GET", "/runs", host=MISTAKE)
    seen.send("foreign origin", "GET", "/runs", origin=f"https://{MISTAKE}")
    seen.send("odd type", "POST", "/execute", b"x", content_type=f"text/{MISTAKE}")
    seen.send("bad tag", "POST", "/v1/chat/completions", b"{}", x_macroslow_tag=f"?{MISTAKE}", **_JSON)
    seen.send("bad key", "GET", "/runs", x_api_key=f"msk_{MISTAKE}")
    seen.send("key in query", "GET", f"/runs?api_key={seen.key}")
    altered = seen.key[:-1] + ("A" if seen.key[-1] != "A" else "B")
    seen.send("altered key", "GET", "/runs", x_api_key=altered)
    for name in [*seen.answers][-16:]:
        assert 400 <= seen.answers[name].status < 500, name


def read(seen: Seen) -> None:
    """What operators and clients read afterwards."""
    scopes = ["operations:read", "audit:read", "runs:read", "inference:chat"]
    operator = seen.site.client("watcher", scopes=scopes)
    for path in ("/runs", "/health", "/info", "/metrics", "/log/checkpoint", "/v1/models"):
        seen.send(f"operator's {path}", "GET", path, x_api_key=operator)
        assert seen.answers[f"operator's {path}"].status == 200


def end(site: Site) -> str:
    """Stop the server; return all that it printed and said."""
    assert site.server is not None
    assert site.server.stdout is not None
    site.server.send_signal(signal.SIGTERM)
    printed = site.server.stdout.read()
    assert site.server.wait(30) == 0
    site.server.stdout.close()
    site.server = None
    return printed + site.said


def test_the_search_for_canaries_finds_what_is_there():
    packed = b"junk" + zlib.compress(b"..." + RESULT.encode()) + b"junk"
    assert any(holds(part, RESULT) for part in unpacked(packed))
    for pad in range(4):
        assert holds(base64.b64encode(b"y" * pad + RESULT.encode() + b"zz"), RESULT)
    assert not holds(packed, RESULT)


def test_no_canary_is_in_any_file_of_the_state_folder(seen):
    assert len(seen.state) > 8
    hidden = (PROVIDER_KEY, secret_of(seen.key), *CONTENT)
    found = [
        (name, text)
        for name, content in seen.state.items()
        for part in (content, *unpacked(content))
        for text in hidden
        if holds(part, text)
    ]
    assert found == []


def test_no_canary_is_in_what_the_server_prints(seen):
    for text in (PROVIDER_KEY, secret_of(seen.key), *CONTENT):
        assert not holds(seen.said.encode(), text)


def test_no_answer_whatever_holds_a_key(seen):
    for name, answer in seen.answers.items():
        whole = answer.body + json.dumps(answer.headers).encode()
        assert not holds(whole, PROVIDER_KEY), name
        assert not holds(whole, secret_of(seen.key)), name


def test_answers_hold_content_only_where_it_was_asked_for(seen):
    own = {"run", "run/document", "chat", "stream", "raises"}
    quoted = {name for name, answer in seen.answers.items() if any(holds(answer.body, c) for c in CONTENT)}
    # A refusal may repeat to its sender the name that was not understood; a provider's error is passed on.
    mistakes = {name for name in quoted if not any(holds(seen.answers[name].body, c) for c in CONTENT[:-1])}
    providers = {name for name in quoted if name.startswith("provider ")}
    assert quoted - mistakes - providers == own
    assert not any(name.startswith("operator") for name in quoted)
    assert not quoted & {"bad key", "foreign host", "foreign origin", "unknown path", "key in query"}


def test_the_log_tells_digests_and_never_content(seen):
    told = json.dumps(seen.site.entries()).encode()
    assert b"document_sha256" in told
    for text in (PROVIDER_KEY, secret_of(seen.key), *CONTENT):
        assert not holds(told, text)


def test_code_in_a_run_finds_no_key_and_nothing_of_the_state_folder(seen):
    site = seen.site
    (site.state / PLANTED).write_text(PLANTED)
    site.start()
    try:
        paths = [str(site.state / "control.sock"), str(site.state), str(site.folder / ".env")]
        inputs = {"reversed": [text[::-1] for text in (PROVIDER_KEY, PLANTED)], "paths": paths}
        body = json.dumps({"document": document(SEARCH).decode(), "inputs": inputs}).encode()
        answer = site.call("POST", "/execute", body, JSON | {"x-api-key": seen.key}).json
    finally:
        site.stop()
    assert answer["status"] == "success", answer
    assert {Path(path).name for path in answer["result"]["found"]} == {"control"}
    assert answer["result"]["searched"] > 10
