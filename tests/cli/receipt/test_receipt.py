"""`receipt verify`: what is proved, what is not, and what nobody checked; with a file of anybody's."""

import contextlib
import hashlib
import io
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.cli.conftest import Ran
from tests.tlog.logs import NOW_NS, ORIGIN, SmallLog, octets, small_log
from tests.tsa import Authority, needs_openssl
from tests.web.fakes import FakeClock

from macroslow.cli._main import run
from macroslow.cli.receipt import command as receipt_command
from macroslow.crypto.note_keys import NotePrivateKey, NoteType
from macroslow.crypto.timestamps import query
from macroslow.ports import NS_PER_S
from macroslow.tlog import hand_over as hand_overs
from macroslow.tlog import note, policy, proof, receipt
from macroslow.tlog.checkpoint import LogPrivateKey
from macroslow.tlog.event import Event, EventType

Macroslow = Callable[..., Ran]

KEY = LogPrivateKey(ORIGIN, octets("ed25519", 32), octets("ml-dsa-44", 32))
NEXT_KEY = LogPrivateKey(ORIGIN, octets("next ed25519", 32), octets("next ml-dsa-44", 32))
STRANGER = LogPrivateKey(ORIGIN, octets("strange ed25519", 32), octets("strange ml-dsa-44", 32))
WITNESSES = [
    NotePrivateKey(f"witness.example/{n}", NoteType.ED25519_COSIGNATURE, bytes([n]) * 32) for n in (1, 2, 3)
]
ANSWER = b'{"choices": []}'
DOCUMENT = b"---\nmaml_version: 2.0.0\n---\n"
RUN_ANSWER = {"status": "success", "result": {"ratio": 0.25}, "run_id": "r1"}
CHAT = Event(
    EventType.CHAT_COMPLETED,
    NOW_NS,
    "alice",
    {
        "principal": "alice",
        "model": "m",
        "usd_micros": 3,
        "answer_sha256": hashlib.sha256(ANSWER).hexdigest(),
    },
)
RUN = Event(
    EventType.RUN_FINISHED,
    NOW_NS,
    "alice",
    {
        "principal": "alice",
        "answer_sha256": receipt.answer_sha256(RUN_ANSWER),
        "document_sha256": hashlib.sha256(DOCUMENT).hexdigest(),
    },
)
HANDED_OVER = Event(
    EventType.LOG_KEY_ROTATED,
    NOW_NS,
    "macroslow",
    {
        "old_fingerprint": KEY.public.fingerprint,
        "new_fingerprint": NEXT_KEY.public.fingerprint,
        "new_ed25519": NEXT_KEY.public.ed25519.vkey,
        "new_ml_dsa_44": NEXT_KEY.public.ml_dsa_44.vkey,
        "reason": "a test",
    },
)
EVENTS = [CHAT, RUN, HANDED_OVER]


def receipt_of(
    index: int = 0,
    key: LogPrivateKey = KEY,
    witnesses: list[NotePrivateKey] | None = None,
    stamp: Callable[[bytes], bytes] | None = None,
) -> dict[str, Any]:
    log: SmallLog = small_log(key, EVENTS)
    parsed = note.parse(log.checkpoint())
    more = note.sign(parsed.text, witnesses or [], time_s=1_800_000_000).lines
    signed = note.Note(parsed.text, (*parsed.lines, *more)).format()
    return receipt.build(log.entries[index], log.proof(index), signed, stamp and stamp(signed))


def hand_over(last_size: int, old: LogPrivateKey = KEY) -> dict[str, Any]:
    """From `old`, whose last tree had so many entries, to the next key."""
    fields = {**HANDED_OVER.fields, "old_fingerprint": old.public.fingerprint}
    log = small_log(old, [Event(HANDED_OVER.type, NOW_NS, "macroslow", fields)])
    said = json.dumps(receipt.build(log.entries[0], log.proof(0), log.checkpoint())).encode()
    made: dict[str, Any] = json.loads(hand_overs.make(old, NEXT_KEY, said, last_size))
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The auditor's: keys that he was given, an answer, a receipt of it, a policy."""
    (tmp_path / "log.pub").write_text(KEY.public.format())
    (tmp_path / "next.pub").write_text(NEXT_KEY.public.format())
    (tmp_path / "stranger.pub").write_text(STRANGER.public.format())
    (tmp_path / "answer").write_bytes(ANSWER)
    (tmp_path / "document").write_bytes(DOCUMENT)
    put(tmp_path, "receipt", receipt_of())
    known = [policy.KnownWitness(f"w{n}", key.public) for n, key in enumerate(WITNESSES, 1)]
    (tmp_path / "policy").write_bytes(policy.threshold([], known, 2).format())
    return tmp_path


def put(folder: Path, name: str, value: object) -> None:
    (folder / name).write_text(json.dumps(value))


def lines(ran: Ran) -> list[str]:
    return [" ".join(line.split()) for line in ran.stdout.splitlines()]


# What is proved


def test_a_model_call_is_proved_with_its_answer(folder: Path, macroslow: Macroslow) -> None:
    ran = macroslow("receipt", "verify", "receipt", "--answer", "answer", "--key", "log.pub")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert lines(ran) == [
        "PROVED: a model call was answered, by alice, at 2027-01-15T08:00:00.123456789Z",
        "model m",
        "cost $0.000003",
        "log gateway.example/log, entry 0 of 3",
        f"key {KEY.public.fingerprint} (compare it with its owner)",
        "strength signed (Ed25519 and ML-DSA-44)",
        "witnesses none: not witnessed by a third party",
        "answer is the one that was logged",
    ]


def test_it_says_what_nobody_checked_and_what_would(folder: Path, macroslow: Macroslow) -> None:
    put(folder, "run", receipt_of(1, witnesses=WITNESSES[:1], stamp=lambda _: b"token"))
    ran = macroslow("receipt", "verify", "run", "--key", "log.pub")
    assert ran.returncode == 0
    assert lines(ran)[3:] == [
        "strength signed (Ed25519 and ML-DSA-44)",
        "answer not checked: --answer FILE",
        "document not checked: --document FILE",
        "witnesses not checked: --policy FILE",
        "time stamp not checked: --tsa-roots FILE",
    ]
    told = json.loads(macroslow("receipt", "verify", "run", "--key", "log.pub", "--json").stdout)
    assert told["not_checked"] == {
        "answer": "--answer",
        "document": "--document",
        "witnesses": "--policy",
        "time stamp": "--tsa-roots",
    }
    assert (told["verified"], told["proved"], told["witnessed"], told["time_stamped"]) == (
        True,
        "signed",
        None,
        None,
    )


def test_an_answer_that_holds_its_receipt_is_checked_against_it(folder: Path, macroslow: Macroslow) -> None:
    put(folder, "whole", {**RUN_ANSWER, "receipt": receipt_of(1)})
    ran = macroslow("receipt", "verify", "whole", "--document", "document", "--key", "log.pub")
    assert ran.returncode == 0
    assert lines(ran)[-2:] == ["answer is the one that was logged", "document is the one that was logged"]
    put(folder, "whole", {**RUN_ANSWER, "status": "failed", "receipt": receipt_of(1)})
    assert macroslow("receipt", "verify", "whole", "--key", "log.pub").returncode == 1


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("said", "shown"), [("eve\x1b[2J", "\\x1b[2J"), ("eve\n  answer     is the one that was logged", "\\n")]
)
def test_a_name_paints_over_nothing(
    said: str, shown: str, folder: Path, macroslow: Macroslow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(io, "StringIO", Terminal)
    log = small_log(KEY, [Event(CHAT.type, NOW_NS, said, {})])
    put(folder, "receipt", receipt.build(log.entries[0], log.proof(0), log.checkpoint()))
    ran = macroslow("receipt", "verify", "receipt", "--key", "log.pub")
    assert ran.returncode == 0
    assert shown in ran.stdout
    assert "\x1b" not in ran.stdout
    assert len(lines(ran)) == 5


# Whose key it is


def test_without_a_key_nothing_is_ever_proved(folder: Path, macroslow: Macroslow) -> None:
    for more in ([], ["--json"], ["--policy", "policy"], ["--succession", "receipt"]):
        ran = macroslow("receipt", "verify", "receipt", *more)
        assert (ran.returncode, ran.stdout) == (2, "")
        assert "--key FILE" in ran.stderr


def test_another_key_proves_nothing(folder: Path, macroslow: Macroslow) -> None:
    ran = macroslow("receipt", "verify", "receipt", "--key", "stranger.pub")
    assert ran.returncode == 1
    assert "signed by another key" in ran.stdout


def test_whichever_of_several_keys_signed_is_named(folder: Path, macroslow: Macroslow) -> None:
    for order in (["stranger.pub", "log.pub"], ["log.pub", "stranger.pub"]):
        keys = [word for name in order for word in ("--key", name)]
        told = json.loads(macroslow("receipt", "verify", "receipt", *keys, "--json").stdout)
        assert (told["verified"], told["key_fingerprint"]) == (True, KEY.public.fingerprint)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"not a key", ANSWER, b"x" * 100_000], ids=range(5))
@pytest.mark.parametrize("option", ["--key", "--policy", "--succession"])
def test_a_file_that_is_something_else_is_named(
    option: str, content: bytes, folder: Path, macroslow: Macroslow
) -> None:
    (folder / "wrong").write_bytes(content)
    ran = macroslow("receipt", "verify", "receipt", "--key", "log.pub", option, "wrong")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "wrong: " in ran.stderr
    assert "fix: " in ran.stderr


def test_a_new_key_is_reached_from_the_old_one_by_the_logs_hand_overs(
    folder: Path, macroslow: Macroslow
) -> None:
    put(folder, "new", receipt_of(key=NEXT_KEY))
    put(folder, "succession", [hand_over(3)])
    asked = ["receipt", "verify", "new", "--key", "log.pub", "--json"]
    unreached = macroslow(*asked)
    assert unreached.returncode == 1
    assert "was the log's key changed?" in json.loads(unreached.stdout)["fix"]
    assert "\n  fix: was the log's key changed? Ask" in macroslow(*asked[:-1]).stdout
    ran = macroslow(*asked, "--succession", "succession")
    assert ran.returncode == 0
    told = json.loads(ran.stdout)
    pinned, reached = KEY.public.fingerprint, NEXT_KEY.public.fingerprint
    assert (told["key_fingerprint"], told["pinned_fingerprint"], told["hand_overs"]) == (reached, pinned, 1)
    said = lines(macroslow(*asked[:-1], "--succession", "succession"))
    assert f"key {reached}" in said
    assert f"pinned {pinned}, 1 hand-over before (compare it with its owner)" in said
    direct = lines(macroslow(*asked[:-1], "--key", "next.pub", "--succession", "succession"))
    assert f"key {reached} (compare it with its owner)" in direct
    old = macroslow("receipt", "verify", "receipt", "--key", "log.pub", "--succession", "succession")
    assert old.returncode == 0


def test_hand_overs_of_another_key_lead_nowhere(folder: Path, macroslow: Macroslow) -> None:
    put(folder, "new", receipt_of(key=NEXT_KEY))
    for other in (hand_over(3, STRANGER), receipt_of(2), receipt_of(0), {"a": 1}):
        put(folder, "succession", [hand_over(3, STRANGER), other])
        ran = macroslow("receipt", "verify", "new", "--key", "log.pub", "--succession", "succession")
        assert ran.returncode == 1


def test_a_retired_key_proves_nothing_beyond_its_last_tree(folder: Path, macroslow: Macroslow) -> None:
    """Whoever stole it goes on signing: the receipt is of a tree of three entries, and it ended with two."""
    put(folder, "succession", [hand_over(2)])
    asked = ["receipt", "verify", "receipt", "--key", "log.pub"]
    assert macroslow(*asked).returncode == 0
    for pinned in ([], ["--key", "next.pub"]):
        ran = macroslow(*asked, *pinned, "--succession", "succession")
        assert ran.returncode == 1
        assert "was retired at 2 entries" in ran.stdout


# Witnesses and time stamps


def test_a_policy_must_be_met(folder: Path, macroslow: Macroslow) -> None:
    put(folder, "two", receipt_of(witnesses=WITNESSES[:2]))
    ran = macroslow("receipt", "verify", "two", "--key", "log.pub", "--policy", "policy")
    assert ran.returncode == 0
    assert "strength signed (Ed25519 and ML-DSA-44) · witnessed 2 of 3 (2 of w1, w2, w3 needed)" in lines(ran)
    assert "witnesses w1, w2" in lines(ran)
    put(folder, "one", receipt_of(witnesses=WITNESSES[:1]))
    ran = macroslow("receipt", "verify", "one", "--key", "log.pub", "--policy", "policy")
    assert ran.returncode == 1
    assert "1 of 3 witnesses cosigned" in ran.stdout


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tsa") / "ours")


@pytest.fixture(scope="module")
def other_authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tsa") / "strange")


@needs_openssl
def test_a_time_stamp_is_proved_under_the_authoritys_root(
    folder: Path, macroslow: Macroslow, authority: Authority, other_authority: Authority
) -> None:
    put(folder, "stamped", receipt_of(stamp=lambda signed: authority.reply(query(signed).der)))
    asked = ["receipt", "verify", "stamped", "--key", "log.pub", "--tsa-roots"]
    told = json.loads(macroslow(*asked, str(authority.root_file), "--json").stdout)
    assert told["proved"] == f"signed · time-stamped {told['time_stamped']}"
    assert "time stamp" not in told["not_checked"]
    foreign = macroslow(*asked, str(other_authority.root_file))
    assert (foreign.returncode, "time stamp does not verify" in foreign.stdout) == (1, True)


@needs_openssl
def test_a_time_stamp_from_the_future_is_said_to_be_one_and_proves_nothing(
    folder: Path, macroslow: Macroslow, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(folder, "stamped", receipt_of(stamp=lambda signed: authority.reply(query(signed).der)))
    clock = FakeClock()
    clock.ns = 1_700_000_000 * NS_PER_S
    monkeypatch.setattr(receipt_command, "clock", clock)
    asked = ["receipt", "verify", "stamped", "--key", "log.pub", "--tsa-roots", str(authority.root_file)]
    ran = macroslow(*asked)
    assert (ran.returncode, "the time stamp lies in the future" in ran.stdout) == (1, True)


@needs_openssl
def test_a_time_stamp_over_another_checkpoint_proves_nothing(
    folder: Path, macroslow: Macroslow, authority: Authority
) -> None:
    put(folder, "stamped", receipt_of(stamp=lambda signed: authority.reply(query(signed + b"\n").der)))
    roots = str(authority.root_file)
    assert macroslow("receipt", "verify", "stamped", "--key", "log.pub", "--tsa-roots", roots).returncode == 1


@needs_openssl
def test_a_time_stamp_that_was_taken_out_is_missed(
    folder: Path, macroslow: Macroslow, authority: Authority
) -> None:
    roots = str(authority.root_file)
    ran = macroslow("receipt", "verify", "receipt", "--key", "log.pub", "--tsa-roots", roots)
    assert (ran.returncode, "carries no time stamp" in ran.stdout) == (1, True)


def test_roots_that_are_none_are_named(folder: Path, macroslow: Macroslow) -> None:
    ran = macroslow("receipt", "verify", "receipt", "--key", "log.pub", "--tsa-roots", "answer")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "answer: this is not a file of root certificates" in ran.stderr


def test_without_the_extra_it_says_what_to_install(
    folder: Path, macroslow: Macroslow, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("macroslow.crypto.timestamps", "macroslow.crypto.hazmat.rfc3161"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "rfc3161_client", None)
    ran = macroslow("receipt", "verify", "receipt", "--key", "log.pub", "--tsa-roots", "answer")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "macroslow[timestamps]" in ran.stderr


# Anybody's file


GOOD = receipt_of(witnesses=WITNESSES[:2], stamp=lambda _: b"token")
RAW = json.dumps(GOOD).encode()
OTHERS = [receipt_of(1), receipt_of(2), receipt_of(key=STRANGER), receipt_of(witnesses=[WITNESSES[2]])]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)


def stripped(lost: int) -> bytes:
    """The receipt without one signature line."""
    head, separator, checkpoint = GOOD["proof"].partition("\n\n")
    parsed = note.parse(checkpoint.encode())
    kept = tuple(line for at, line in enumerate(parsed.lines) if at != lost)
    return json.dumps(
        {**GOOD, "proof": head + separator + note.Note(parsed.text, kept).format().decode()}
    ).encode()


def cosigned_by_another() -> bytes:
    """The receipt with the cosignature of another checkpoint."""
    taken = proof.parse(GOOD["proof"])
    parsed = note.parse(taken.checkpoint)
    foreign = note.sign(f"{ORIGIN}\n4\n{'A' * 43}=\n", WITNESSES[:2], time_s=1).lines
    whole = note.Note(parsed.text, (*parsed.lines[:2], *foreign)).format()
    return json.dumps({**GOOD, "proof": proof.format_proof(0, taken.hashes, whole)}).encode()


@st.composite
def hostile(draw: st.DrawFn) -> bytes:
    kind = draw(st.integers(0, 6))
    if kind == 0:  # some bytes flipped, cut out or put in
        at = draw(st.integers(0, len(RAW) - 1))
        length = draw(st.integers(0, 40))
        return RAW[:at] + draw(st.binary(max_size=8)) + RAW[at + length :]
    if kind == 1:  # a member of another receipt
        other = draw(st.sampled_from(OTHERS))
        return json.dumps({**GOOD, **{name: other[name] for name in draw(_names(other))}}).encode()
    if kind == 2:  # a member that is anything
        return json.dumps({**GOOD, draw(st.sampled_from([*GOOD, "others", "key"])): draw(VALUES)}).encode()
    if kind == 3:  # a member twice
        name = draw(st.sampled_from(list(GOOD)))
        return b"{" + json.dumps({name: draw(VALUES)}).encode()[1:-1] + b"," + RAW[1:]
    if kind == 4:  # lines of the proof lost, doubled or elsewhere
        parts = GOOD["proof"].split("\n")
        chosen = draw(st.lists(st.sampled_from(parts), max_size=len(parts)))
        return json.dumps({**GOOD, "proof": "\n".join(chosen)}).encode()
    if kind == 5:  # an answer around it, which is another
        return json.dumps({"receipt": GOOD, "more": draw(VALUES)}).encode()
    return draw(st.binary(max_size=200))


def _names(members: dict[str, Any]) -> st.SearchStrategy[set[str]]:
    return st.sets(st.sampled_from(sorted(members)), min_size=1, max_size=4)


def verified(raw: bytes, *options: str) -> tuple[int, str, str]:
    """Exit code and streams of `receipt verify` of a file of these bytes, under the right key."""
    out, err = io.StringIO(), io.StringIO()
    with (
        tempfile.TemporaryDirectory() as name,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        folder = Path(name)
        (folder / "receipt").write_bytes(raw)
        (folder / "log.pub").write_text(KEY.public.format())
        known = [policy.KnownWitness(f"w{n}", key.public) for n, key in enumerate(WITNESSES, 1)]
        (folder / "policy").write_bytes(policy.threshold([], known, 2).format())
        chosen = [str(folder / "policy") if word == "policy" else word for word in options]
        code = run(["receipt", "verify", str(folder / "receipt"), "--key", str(folder / "log.pub"), *chosen])
    return code, out.getvalue(), err.getvalue()


HONEST = verified(RAW, "--json", "--policy", "policy")


@settings(max_examples=150, deadline=None)
@given(raw=hostile())
def test_no_file_of_an_adversarys_says_another_word_or_ends_in_a_traceback(raw: bytes) -> None:
    code, out, err = verified(raw, "--json", "--policy", "policy")
    if code == 0:  # white space, a time stamp that nobody checks, or a member that is the same in another
        shown, honest = json.loads(out), json.loads(HONEST[1])
        for told in (shown, honest):
            told.pop("carries_time_stamp")
            told["not_checked"].pop("time stamp", None)
            told["not_checked"].pop("answer", None)
        assert shown == honest
    else:
        assert code in {1, 2}
        assert "PROVED: " not in out
    assert "Traceback" not in err + out


@pytest.mark.parametrize(
    "raw",
    [
        stripped(0),
        stripped(1),
        stripped(2),
        cosigned_by_another(),
        json.dumps({**GOOD, "key": KEY.public.format()}).encode(),
        json.dumps(receipt_of(key=STRANGER, witnesses=WITNESSES)).encode(),
        b"",
        b"null",
        b"[" * 100_000,
        b'{"receipt":' * 100_000,
        b'{"receipt": {"a": 1e999}}',
        b'{"receipt": {"a": NaN}}',
        b'{"receipt": {"a": 1' + b"0" * 5000 + b"}}",
        b'{"receipt": {"a": "\\ud800"}}',
        b'{"receipt": {}, "receipt": {}}',
        b'{"format":"' + b"x" * 2_000_000 + b'"}',
        b" " * 2_000_000,
    ],
    ids=range(17),
)
def test_what_is_hostile_is_refused(raw: bytes) -> None:
    code, out, err = verified(raw, "--policy", "policy")
    assert code == 1
    assert out.startswith("NOT PROVED: ")
    assert err == ""


def test_a_digest_of_other_bytes_is_refused(folder: Path, macroslow: Macroslow) -> None:
    for option, file in (("--answer", "document"), ("--document", "answer"), ("--answer", "receipt")):
        assert macroslow("receipt", "verify", "receipt", option, file, "--key", "log.pub").returncode == 1


def test_a_file_that_is_too_large_is_not_read_whole(folder: Path, macroslow: Macroslow) -> None:
    with (folder / "huge").open("wb") as file:
        file.truncate(200 * 1024 * 1024)
    ran = macroslow("receipt", "verify", "huge", "--key", "log.pub")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "larger than" in ran.stderr
