"""The page in a real browser, from a file, with real files: what an auditor sees, and that nothing leaves."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from tests.tlog import test_receipt as made
from tests.tlog.logs import small_log
from tests.verifier.chromium import Browser, running_browser
from tests.verifier.page import HTML

from macroslow.tlog.checkpoint import LogPrivateKey
from macroslow.tlog.event import Event

SEEN: Final = """({
  verdict: document.querySelector("#verdict").className,
  text: document.querySelector("#verdict").innerText,
  more: document.querySelector("#more").innerText,
  checks: Object.fromEntries(
    [...document.querySelectorAll("[data-check]")].map((li) => [li.dataset.check, li.className])),
})"""
UNTIL: Final = """new Promise((go) => {
  const look = () => { if (%s) { watch.disconnect(); go(); } };
  const watch = new MutationObserver(look);
  watch.observe(document.body, { subtree: true, childList: true, attributes: true, characterData: true });
  look();
})"""
NOTHING, PROVED, NOT_PROVED, UNDECIDED = (
    "verdict",
    "verdict proved",
    "verdict not-proved",
    "verdict cannot-decide",
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with running_browser(tmp_path_factory.mktemp("profile")) as running:
        yield running


@pytest.fixture
def opened(browser: Browser) -> Iterator[Browser]:
    """The page, fresh. Afterwards: it asked for nothing but itself, and nothing in it went wrong."""
    browser.requests.clear()
    browser.complaints.clear()
    browser.open(HTML)
    yield browser
    assert set(browser.requests) == {HTML.as_uri()}
    assert browser.complaints == []


@pytest.fixture(scope="module")
def files(
    tmp_path_factory: pytest.TempPathFactory, log_key: LogPrivateKey, other_log_key: LogPrivateKey
) -> Path:
    """What people bring."""
    folder = tmp_path_factory.mktemp("files")
    books = small_log(log_key, [made.RUN, made.CHAT, made.STARTED])
    mine = made.receipt_of(books, 0)
    written: dict[str, bytes] = {
        "receipt.json": as_bytes(mine),
        "answer.json": as_bytes({**made.ANSWER, "receipt": mine}),
        "forged-answer.json": as_bytes({**made.ANSWER, "status": "failed", "receipt": mine}),
        "forged.json": as_bytes({**mine, "statement": {**mine["statement"], "who": "mallory"}}),
        "key-inside.json": as_bytes({**mine, "key": log_key.public.format()}),
        "foreign.json": as_bytes(foreign(other_log_key)),
        "hostile.json": as_bytes(hostile(log_key)),
        "cosigned.json": as_bytes(made.cosigned(books, made.FIRST)),
        "chat.receipt.json": as_bytes(made.receipt_of(books, 1)),
        "chat.json": made.CHAT_ANSWER,
        "document.maml.md": made.DOCUMENT,
        "other.maml.md": made.DOCUMENT + b"\n",
        "log.pub": log_key.public.format().encode(),
        "other.pub": other_log_key.public.format().encode(),
        "one-of-two": made.wanted(1, made.FIRST, made.SECOND).format(),
        "two-of-two": made.wanted(2, made.FIRST, made.SECOND).format(),
    }
    for name, content in written.items():
        (folder / name).write_bytes(content)
    return folder


def as_bytes(value: object) -> bytes:
    return json.dumps(value, indent=1).encode()


def foreign(key: LogPrivateKey) -> dict[str, Any]:
    """A good receipt of somebody else's log of the same name."""
    return made.receipt_of(small_log(key, [made.RUN]), 0)


MARKUP: Final = "<img src=https://evil.example/x onerror=alert(1)>"
TURNED: Final = "ann\u202egro.elpmaxe\u2066\n\x00"


def hostile(key: LogPrivateKey) -> dict[str, Any]:
    """A good receipt whose words, an agent's own, are markup and signs that turn text around."""
    fields = {"principal": TURNED, "tag": MARKUP, MARKUP: {"usd_micros": 1_234_567}}
    return made.receipt_of(small_log(key, [Event(made.CHAT.type, made.NOW_NS, "x", fields)]), 0)


def give(page: Browser, folder: Path, **named: str) -> dict[str, Any]:
    """Choose the named files, one a slot; return what is seen then."""
    for slot, name in named.items():
        page.give(f"#file-{slot}", folder / name)
        page.value(UNTIL % f'document.querySelector("#state-{slot}").textContent.startsWith("{name} ")')
    return seen(page)


def seen(page: Browser) -> dict[str, Any]:
    shown = page.value(SEEN)
    assert isinstance(shown, dict)
    return shown


def test_nothing_is_said_before_anything_is_given(opened: Browser) -> None:
    assert seen(opened)["verdict"] == NOTHING


def test_a_receipt_without_a_key_is_never_green_and_no_word_of_it_is_shown(
    opened: Browser, files: Path
) -> None:
    shown = give(opened, files, receipt="receipt.json")
    assert shown["verdict"] == UNDECIDED
    assert "anybody could have made this receipt" in shown["text"]
    assert "alice" not in shown["text"] + shown["more"]


def test_a_key_alone_decides_nothing(opened: Browser, files: Path) -> None:
    assert give(opened, files, key="log.pub")["verdict"] == NOTHING


def test_a_good_receipt_is_proved_and_read_in_plain_words(
    opened: Browser, files: Path, log_key: LogPrivateKey
) -> None:
    shown = give(opened, files, key="log.pub", receipt="answer.json", document="document.maml.md")
    assert shown["verdict"] == PROVED
    assert "a document was run, by alice, at 2027-01-15T08:00:00.123456789Z" in shown["text"].replace(
        "A d", "a d"
    )
    assert "answer compared · document compared" in shown["text"]
    assert log_key.public.fingerprint in shown["more"].replace("\n", "")
    passed = {"file", "entry", "signed", "logged", "statement", "answer", "document"}
    assert shown["checks"] == dict.fromkeys(passed, "passed") | {"witnessed": "open"}


@pytest.mark.parametrize(
    ("named", "failed", "words"),
    [
        ({"receipt": "forged.json"}, "statement", "the readable text was altered"),
        ({"receipt": "key-inside.json"}, "file", "A key inside the file is never believed"),
        ({"receipt": "foreign.json"}, "signed", "it was signed by another key"),
        ({"receipt": "log.pub"}, "file", "is not a receipt"),
        ({"receipt": "forged-answer.json"}, "answer", "is not the one that was logged"),
        ({"receipt": "receipt.json", "answer": "forged-answer.json"}, "answer", "its digest differs"),
        ({"receipt": "receipt.json", "document": "other.maml.md"}, "document", "its digest differs"),
        ({"receipt": "chat.receipt.json", "document": "other.maml.md"}, "document", "names no document"),
        ({"receipt": "cosigned.json", "policy": "two-of-two"}, "witnessed", "quorum is not met"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value.values()),
)
def test_what_is_not_proved_says_which_check_failed_and_shows_no_word_of_the_file(
    opened: Browser, files: Path, named: dict[str, str], failed: str, words: str
) -> None:
    shown = give(opened, files, key="log.pub", **named)
    assert shown["verdict"] == NOT_PROVED
    assert words in shown["text"]
    assert [check for check, state in shown["checks"].items() if state == "failed"] == [failed]
    assert "alice" not in shown["text"] + shown["more"]
    assert "mallory" not in shown["text"] + shown["more"]


@pytest.mark.parametrize("slot", ["key", "policy"])
def test_a_key_or_policy_that_is_none_leaves_it_undecided(slot: str, opened: Browser, files: Path) -> None:
    named = {"key": "log.pub", "receipt": "receipt.json", slot: "document.maml.md"}
    assert give(opened, files, **named)["verdict"] == UNDECIDED


def test_another_key_and_then_the_right_one_and_then_none(opened: Browser, files: Path) -> None:
    assert give(opened, files, receipt="receipt.json", key="other.pub")["verdict"] == NOT_PROVED
    assert give(opened, files, key="log.pub")["verdict"] == PROVED
    opened.value('document.querySelector("#slot-key button").click()')
    assert seen(opened)["verdict"] == UNDECIDED
    assert opened.value("document.activeElement.id") == "file-key"
    assert give(opened, files, key="log.pub")["verdict"] == PROVED


def test_witnesses_are_counted_as_the_policy_asks(opened: Browser, files: Path) -> None:
    shown = give(opened, files, key="log.pub", receipt="cosigned.json", policy="one-of-two")
    assert shown["verdict"] == PROVED
    assert "witnessed 1 of 2 (1 of w1, w2 needed)" in shown["text"]


def test_the_words_of_others_are_text_and_cannot_turn_or_hide_any(opened: Browser, files: Path) -> None:
    shown = give(opened, files, key="log.pub", receipt="hostile.json")
    assert shown["verdict"] == PROVED
    assert r"by ann\u{202e}gro.elpmaxe\u{2066}\u{a}\u{0}, at" in shown["text"]
    assert MARKUP in shown["more"]
    assert "1234567 ($1.234567)" in shown["more"]
    assert opened.value('document.querySelectorAll("img, a, iframe, object").length') == 0


DROPS = [
    (["receipt.json", "log.pub"], {"answer": "open", "document": "open", "witnessed": "open"}),
    (["log.pub", "answer.json"], {"answer": "passed", "document": "open", "witnessed": "open"}),
    (
        ["document.maml.md", "one-of-two", "cosigned.json", "log.pub"],
        {"answer": "open", "document": "passed", "witnessed": "passed"},
    ),
    (["chat.json", "log.pub", "chat.receipt.json"], {"answer": "passed", "witnessed": "open"}),
]


@pytest.mark.parametrize(("names", "checks"), DROPS, ids=[" ".join(names) for names, _ in DROPS])
def test_files_dropped_together_go_where_they_belong(
    names: list[str], checks: dict[str, str], opened: Browser, files: Path
) -> None:
    opened.drop(700, 40, *(files / name for name in names))
    opened.value(UNTIL % f'document.querySelector("#verdict").className === "{PROVED}"')
    shown = seen(opened)["checks"]
    assert {check: shown.get(check) for check in checks} == checks
    assert set(shown) == {"file", "entry", "signed", "logged", "statement", *checks}


def test_a_file_that_belongs_nowhere_is_asked_about_and_put_nowhere(opened: Browser, files: Path) -> None:
    opened.drop(700, 40, files / "receipt.json", files / "log.pub", files / "other.maml.md")
    opened.value(UNTIL % 'document.querySelector("#said").textContent.includes("other.maml.md")')
    assert seen(opened)["verdict"] == PROVED
    assert opened.value('document.querySelectorAll(".slot.filled").length') == 2


def test_a_file_dropped_on_a_field_is_taken_as_what_the_field_asks_for(opened: Browser, files: Path) -> None:
    give(opened, files, key="log.pub", receipt="receipt.json")
    opened.drop(*center(opened, "document"), files / "other.maml.md")
    opened.value(UNTIL % f'document.querySelector("#verdict").className === "{NOT_PROVED}"')
    assert seen(opened)["checks"]["document"] == "failed"


def filled(page: Browser) -> list[str]:
    """The fields that hold a file."""
    found = page.value('[...document.querySelectorAll(".slot.filled")].map((slot) => slot.dataset.slot)')
    assert isinstance(found, list)
    return found


def center(page: Browser, slot: str) -> tuple[float, float]:
    box = f'document.querySelector("#slot-{slot}").getBoundingClientRect()'
    x, y = page.value(f"(({{ x, y }}) => [x + 20, y + 20])({box})")
    return x, y


SAID: Final = 'document.querySelector("#said").textContent'
THEIRS: Final = ("foreign.json", "other.pub")


@pytest.mark.parametrize("at", ["beside", "receipt", "key"])
def test_a_key_that_was_given_is_not_replaced_by_one_that_is_dropped_with_a_receipt(
    at: str, opened: Browser, files: Path
) -> None:
    give(opened, files, key="log.pub")
    x, y = (700, 40) if at == "beside" else center(opened, at)
    opened.drop(x, y, *(files / name for name in THEIRS))
    opened.value(UNTIL % f'{SAID}.includes("other.pub was not taken")')
    assert "Key of the log\u201d is filled" in opened.value(SAID)
    shown = seen(opened)
    assert (shown["verdict"], shown["checks"]["signed"]) == (NOT_PROVED, "failed")
    opened.value('document.querySelector("#slot-key button").click()')
    opened.drop(700, 40, files / "other.pub")
    opened.value(UNTIL % f'document.querySelector("#verdict").className === "{PROVED}"')


def test_of_two_keys_that_are_dropped_together_none_is_believed(opened: Browser, files: Path) -> None:
    opened.drop(700, 40, files / "other.pub", files / "log.pub", files / "foreign.json")
    opened.value(UNTIL % f'{SAID}.includes("log.pub was not taken")')
    assert "other.pub was not taken: several are for" in opened.value(SAID)
    assert filled(opened) == ["receipt"]
    assert seen(opened)["verdict"] == UNDECIDED


def test_a_policy_that_was_given_is_not_replaced_by_a_milder_one(opened: Browser, files: Path) -> None:
    give(opened, files, key="log.pub", policy="two-of-two")
    opened.drop(700, 40, files / "cosigned.json", files / "one-of-two")
    opened.value(UNTIL % f'{SAID}.includes("one-of-two was not taken")')
    assert seen(opened)["checks"]["witnessed"] == "failed"


def test_a_key_that_is_put_on_its_own_field_alone_is_taken(opened: Browser, files: Path) -> None:
    give(opened, files, key="log.pub", receipt="foreign.json")
    opened.drop(*center(opened, "key"), files / "other.pub")
    opened.value(UNTIL % f'document.querySelector("#verdict").className === "{PROVED}"')
    assert opened.value(SAID) == ""


def test_every_field_is_reached_by_keyboard_and_named_to_a_screen_reader(
    opened: Browser, files: Path
) -> None:
    give(opened, files, key="log.pub", receipt="receipt.json")
    opened.value("document.activeElement.blur()")
    reached = []
    for _ in range(7):
        opened.press("Tab", windowsVirtualKeyCode=9)
        reached.append(
            opened.value(
                "document.activeElement.labels?.[0]?.firstChild.data.trim()"
                ' ?? document.activeElement.getAttribute("aria-label")'
            )
        )
    assert reached == [
        "Receipt", "Remove: Receipt", "Key of the log", "Remove: Key of the log",
        "Answer", "Document", "Witness policy",
    ]  # fmt: skip
    tree = opened.ask("Accessibility.getFullAXTree")["nodes"]
    status = [node for node in tree if node.get("role", {}).get("value") == "status"]
    assert len(status) == 2


ATTEMPTS: Final = """async (address) => {
  const stopped = [];
  const load = (tag, name) => new Promise((go) => {
    const made = document.createElement(tag);
    made.onload = go;
    made.onerror = go;
    try { made[name] = `${address}/${tag}`; document.body.append(made); } catch { go(); }
  });
  await fetch(address, { mode: "no-cors" }).catch(() => stopped.push("fetch"));
  try { navigator.sendBeacon(address) || stopped.push("beacon"); } catch { stopped.push("beacon"); }
  try { document.body.insertAdjacentHTML("beforeend", "<b>markup</b>"); } catch { stopped.push("markup"); }
  try { eval("1"); } catch { stopped.push("eval"); }
  await load("img", "src");
  await load("script", "src");
  return stopped;
}"""


def test_whatever_stood_in_the_page_could_not_reach_the_network(browser: Browser, tmp_path: Path) -> None:
    """Its own policy forbids it, and the browser holds it to that. A page without one gets through."""
    free = tmp_path / "free.html"
    free.write_text("<!doctype html><title>free</title><body>")
    with socket.create_server(("127.0.0.1", 0)) as server, server.dup() as listener:
        listener.setblocking(False)
        attempts = f'({ATTEMPTS})("http://127.0.0.1:{server.getsockname()[1]}")'
        browser.open(HTML)
        assert set(browser.value(attempts)) >= {"fetch", "markup", "eval"}
        with pytest.raises(BlockingIOError):
            listener.accept()
        browser.open(free)
        browser.ask("Runtime.evaluate", expression=attempts)
        server.settimeout(60)
        server.accept()[0].close()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_pictures_of_each_verdict_and_nothing_sticks_out(
    width: int, *, dark: bool, browser: Browser, files: Path, tmp_path: Path
) -> None:
    browser.open(HTML, width=width, height=844, dark=dark)
    named = {"receipt": "receipt.json"}, {"key": "log.pub"}, {"document": "other.maml.md"}
    for number, each in enumerate([{}, *named]):
        give(browser, files, **each)
        browser.picture(tmp_path / f"{number}.png")
        assert (tmp_path / f"{number}.png").read_bytes().startswith(b"\x89PNG")
        assert browser.value("document.documentElement.scrollWidth") <= width
