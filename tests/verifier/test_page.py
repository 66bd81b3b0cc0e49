"""The file itself: one file that runs only its own script, and says what our verifier says."""

import base64
import hashlib
import re
import subprocess
import sys
import zipfile
from html.parser import HTMLParser
from pathlib import Path

import pytest
from tests.conftest import ROOT
from tests.tlog.logs import octets
from tests.verifier.page import HTML, Page, PageRefusedError

from macroslow.crypto import note_keys
from macroslow.crypto.note_keys import NotePrivateKey, NotePublicKey, NoteType
from macroslow.errors import BadRequestError
from macroslow.tlog import canonical, leaf, note, policy, proof, receipt
from macroslow.tlog.checkpoint import KEY_TEXT_BYTES, OWN_LINES, LogPrivateKey, LogPublicKey

TEXT = HTML.read_text(encoding="utf-8")


def sha256_of(tag: str) -> str:
    (content,) = re.findall(f"<{tag}>(.*?)</{tag}>", TEXT, re.DOTALL)
    return base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()


@pytest.mark.parametrize("tag", ["script", "style"])
def test_its_policy_names_its_own_script_and_style_by_hash_and_allows_nothing_else(tag: str) -> None:
    (content,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', TEXT)
    rules = dict(rule.strip().split(" ", 1) for rule in content.split(";"))
    assert rules.pop(f"{tag}-src") == f"'sha256-{sha256_of(tag)}'"  # after a change: this is the right one
    other = {"script": "style-src", "style": "script-src"}[tag]
    del rules[other]
    assert rules == {
        "default-src": "'none'",
        "connect-src": "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }


class Elements(HTMLParser):
    """What the file consists of."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(TEXT)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_it_is_one_file_that_points_nowhere() -> None:
    for tag, attributes in Elements().found:
        assert tag not in {"link", "img", "iframe", "object", "embed", "base", "form", "a", "svg"}
        loading = {"src", "href", "srcset", "action", "data", "style"}
        assert not [name for name in attributes if name in loading or name.startswith("on")]
    assert "http://" not in TEXT
    assert "https://" not in TEXT
    assert "url(" not in TEXT
    assert "@import" not in TEXT


def test_its_script_makes_text_and_no_markup_and_asks_for_nothing() -> None:
    for word in (
        "innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function(", "import(",
        "fetch(", "XMLHttpRequest", "WebSocket", "sendBeacon", "crypto.", "localStorage", "sessionStorage",
        "indexedDB", "cookie", "postMessage", "location", "setTimeout", "JSON.parse",
    ):  # fmt: skip
        assert word not in TEXT, word


def test_it_has_the_words_and_bounds_of_our_verifier(page: Page) -> None:
    assert page.call("() => WHAT") == {str(int(kind)): words for kind, words in receipt.WHAT.items()}
    (answer,) = receipt.CANONICAL_ANSWERS
    ours = {
        "RUN_FINISHED": int(answer),
        "FORMAT": receipt.FORMAT,
        "MAX_RECEIPT_BYTES": receipt.MAX_RECEIPT_BYTES,
        "MAX_FILE_BYTES": receipt.MAX_ANSWER_BYTES,
        "MAX_ANSWER_DEPTH": receipt.MAX_ANSWER_DEPTH,
        "MAX_EVENT_BYTES": canonical.MAX_EVENT_BYTES,
        "FIELDS_DEPTH": canonical.MAX_FIELDS_DEPTH,
        "LEAF_BYTES": leaf.LEAF_BYTES,
        "SALT_BYTES": leaf.SALT_BYTES,
        "MAX_PARTS": canonical.MAX_PARTS,
        "MAX_NOTE_BYTES": note.MAX_NOTE_BYTES,
        "OWN_LINES": OWN_LINES,
        "MAX_SIGNATURES": note.MAX_SIGNATURES,
        "MAX_SIZE": str(note.MAX_SIZE),
        "MAX_PROOF_BYTES": proof.MAX_PROOF_BYTES,
        "MAX_HASHES": proof.MAX_HASHES,
        "MAX_KEY_CHARACTERS": KEY_TEXT_BYTES,
        "MAX_VKEY_CHARACTERS": note_keys.MAX_VKEY_CHARACTERS,
        "MAX_POLICY_BYTES": policy.MAX_POLICY_BYTES,
        "MAX_DEFINITIONS": policy.MAX_DEFINITIONS,
    }
    assert page.call(f"() => ({{ {', '.join(ours)} }})") == ours


# The log's key


def test_it_reads_the_key_file_and_computes_its_fingerprint(log_key: LogPrivateKey, page: Page) -> None:
    public = log_key.public
    for text in (
        public.format(),
        public.format().replace("\n", "\r\n"),
        f"\n # note\n{public.format()} \t\n",
    ):
        read = page.call("parseLogKey", text.encode())
        assert (read["origin"], read["fingerprint"]) == (public.origin, public.fingerprint)


def test_what_is_no_key_of_a_log_is_none_here(log_key: LogPrivateKey, page: Page) -> None:
    first, second = log_key.public.ed25519.vkey, log_key.public.ml_dsa_44.vkey
    foreign = LogPrivateKey("other.example", bytes([7]) * 32, bytes([7]) * 32).public.ml_dsa_44.vkey
    cosigner = NotePrivateKey(
        log_key.public.origin, NoteType.ED25519_COSIGNATURE, octets("c", 32)
    ).public.vkey
    for text in (
        "", first, second, f"{first}\n{first}", f"{second}\n{second}", f"{first}\n{second}\n{first}",
        f"{first}\n{foreign}", f"{first} {second}", f"{cosigner}\n{second}", "x\n" * 5000,
        f"\ufeff{log_key.public.format()}", log_key.public.format() + "#" * 9000, log_key.to_json(),
        f"{first[:-1]}\n{second}", f"{first}\n{second.replace('+', '+0', 1)}", f"{first}\n{second}=",
    ):  # fmt: skip
        with pytest.raises(BadRequestError):
            LogPublicKey.parse(text)
        with pytest.raises(PageRefusedError):
            page.call("parseLogKey", text.encode())


def test_a_key_of_small_order_is_refused_here_before_anything_is_verified_with_it(page: Page) -> None:
    material = bytes([NoteType.ED25519]) + (1).to_bytes(32, "little")
    key_id = hashlib.sha256(b"gateway.example/log\n" + material).digest()[:4].hex()
    weak = f"gateway.example/log+{key_id}+{base64.b64encode(material).decode()}"
    with pytest.raises(PageRefusedError, match="no key can have"):
        page.call("parseVkey", weak)
    with pytest.raises(ValueError, match="no key can have"):
        NotePublicKey.from_vkey(weak)


NAMED = """() => {
  const edges = [];
  for (let at = 0, was = false; at <= 0x10ffff; at++) {
    const is = isName(`a${String.fromCodePoint(at)}`);
    if (is !== was) edges.push(at);
    was = is;
  }
  return edges;
}"""


def test_names_of_keys_have_the_same_signs_here_and_there_whatever_unicode_comes_next(page: Page) -> None:
    edges, was = [], False
    for code_point in range(sys.maxunicode + 1):
        try:
            note_keys.check_name(f"a{chr(code_point)}")
        except ValueError:
            named = False
        else:
            named = True
        if named != was:
            edges.append(code_point)
        was = named
    assert page.call(NAMED) == edges
    taken = [chr(code_point) for code_point in (0x378, 0x1CCFA, 0x1FAE9, 0xE0000 - 1)]  # not yet assigned
    assert [page.call("isName", sign) for sign in taken] == [True] * 4
    refused = [
        *"\0\t\n\x1c +\x7f\x85\xa0\u061c\u200b\u200f\u2028\u202e\u2066\u3000\ufeff\ue000\U000e0041",
        "",
    ]
    assert [page.call("isName", sign) for sign in refused] == [False] * len(refused)


# The package


def test_it_comes_with_the_wheel(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        assert packed.read("macroslow/verifier/verify.html") == HTML.read_bytes()
