"""Trust policies: read strictly, judged as their own text says, and never fooled about who cosigned."""

import base64
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.tlog.logs import octets

from macroslow.crypto.note_keys import NotePrivateKey, NotePublicKey, NoteType
from macroslow.errors import BadRequestError, VerificationError
from macroslow.tlog import note, policy
from macroslow.tlog.policy import Group, KnownLog, KnownWitness, Policy

TEXT = "gateway.example/log\n5\n" + base64.b64encode(bytes(32)).decode() + "\n"
TIME_S = 1_800_000_000


def private(name: str, note_type: NoteType) -> NotePrivateKey:
    return NotePrivateKey(name, note_type, octets(f"{name} {note_type}", 32))


LOG = [private("gateway.example/log", kind) for kind in (NoteType.ED25519, NoteType.ML_DSA_44)]
OLD, NEW = NoteType.ED25519_COSIGNATURE, NoteType.ML_DSA_44
NAMES = ("X1", "X2", "X3", "Y1", "Y2", "Y3")
KEYS = {name: private(f"{name}.example", NEW if name.endswith("3") else OLD) for name in NAMES}
VKEYS = {name: key.public.vkey for name, key in KEYS.items()}

# The example of the standard, with keys.
EXAMPLE = f"""log {LOG[0].public.vkey}

witness X1 {VKEYS["X1"]}
witness X2 {VKEYS["X2"]}
witness X3 {VKEYS["X3"]}
group X-witnesses 2 X1 X2 X3

witness Y1 {VKEYS["Y1"]}
witness Y2 {VKEYS["Y2"]}
witness Y3 {VKEYS["Y3"]}
group Y-witnesses any Y1 Y2 Y3

group X-and-Y all X-witnesses Y-witnesses
quorum X-and-Y
""".encode()


def signed_by(*names: str, time_s: int = TIME_S) -> note.Note:
    return note.sign(TEXT, [*LOG, *(KEYS[name] for name in names)], time_s=time_s)


# Judging


def test_the_example_of_the_standard_holds_for_two_of_x_and_one_of_y_and_for_nothing_less() -> None:
    read = policy.parse(EXAMPLE)
    for size in range(len(NAMES) + 1):
        for names in itertools.combinations(NAMES, size):
            judged = read.judge(signed_by(*names))
            of_x, of_y = sum(name[0] == "X" for name in names), sum(name[0] == "Y" for name in names)
            assert judged.met == (of_x >= 2 and of_y >= 1)
            assert (judged.signed, judged.of) == (names, 6)
    assert read.needed == "2 of (2 of X1, X2, X3), (1 of Y1, Y2, Y3)"


def test_a_single_witness_can_be_the_quorum() -> None:
    read = policy.parse(f"witness w {VKEYS['X1']}\nquorum w\n".encode())
    assert read.judge(signed_by("X1")).met
    assert not read.judge(signed_by("X2", "Y3")).met
    assert read.needed == "w"


def test_a_quorum_of_none_needs_nobody_and_still_tells_who_cosigned() -> None:
    read = policy.parse(f"witness w {VKEYS['X1']}\nquorum none\n".encode())
    assert read.judge(signed_by()) == policy.Judged((), 1, "none", met=True)
    assert read.judge(signed_by("X1")) == policy.Judged(("w",), 1, "none", met=True)


def test_lines_of_strangers_count_for_nothing() -> None:
    read = policy.threshold([], [KnownWitness("w", KEYS["X1"].public)], 1)
    impostor = NotePrivateKey(KEYS["X1"].public.name, OLD, octets("impostor", 32))
    assert not read.judge(note.sign(TEXT, [impostor, KEYS["X2"]], time_s=TIME_S)).met


@pytest.mark.parametrize("name", ["X1", "X3"])
def test_a_line_of_a_known_witness_that_does_not_verify_is_an_error(name: str) -> None:
    read = policy.parse(EXAMPLE)
    public = KEYS[name].public
    other = note.sign(TEXT.replace("\n5\n", "\n6\n"), [KEYS[name]], time_s=TIME_S).lines
    for lines in (other, signed_by(name).lines * 2, [note.SignatureLine(public.name, public.key_id, b"xx")]):
        with pytest.raises(VerificationError):
            read.judge(note.Note(TEXT, tuple(lines)))


@pytest.mark.parametrize("name", ["X1", "X3"])
def test_a_cosignature_without_a_time_is_an_error(name: str) -> None:
    with pytest.raises(VerificationError, match=f"{name}.*no time"):
        policy.parse(EXAMPLE).judge(signed_by(name, time_s=0))


@settings(max_examples=60)
@given(st.integers(1, 6), st.sets(st.sampled_from(NAMES)))
def test_a_threshold_is_met_by_so_many_and_survives_its_text_form(needed: int, names: set[str]) -> None:
    witnesses = [KnownWitness(name, key.public, f"https://{name}.example/") for name, key in KEYS.items()]
    made = policy.threshold([key.public for key in LOG], witnesses, needed)
    assert made.judge(signed_by(*names)).met == (len(names) >= needed)
    assert policy.parse(made.format()) == made


def test_without_witnesses_a_threshold_needs_nobody() -> None:
    made = policy.threshold([key.public for key in LOG], [], 0)
    assert made.format().endswith(b"\nquorum none\n")
    assert made.judge(signed_by()).met


@pytest.mark.parametrize("needed", [0, 7, -1])
def test_a_threshold_that_nobody_could_meet_or_miss_is_refused(needed: int) -> None:
    with pytest.raises(ValueError):
        policy.threshold([], [KnownWitness(name, key.public) for name, key in KEYS.items()], needed)


# Reading


def test_what_a_policy_says_is_read_and_the_rest_is_ignored() -> None:
    raw = (
        f"# a comment\n\t # another \xff\n\n  log \t{LOG[0].public.vkey}  https://log.example/\t\n"
        f"quorum none\nwitness w {VKEYS['X1']} https://w.example/\nlog {LOG[1].public.vkey}\n \n"
    ).encode("latin-1")
    assert policy.parse(raw) == Policy(
        logs=(KnownLog(LOG[0].public, "https://log.example/"), KnownLog(LOG[1].public)),
        witnesses=(KnownWitness("w", KEYS["X1"].public, "https://w.example/"),),
        groups=(),
        quorum="none",
    )


def test_names_are_octets_neither_folded_nor_decoded() -> None:
    names = [b"K", "\u212a".encode(), b"\xff\xfe", "\u00e9".encode(), "e\u0301".encode(), b"a\xc2\xa0b", b"2"]
    lines = [
        b"witness %s %s\n" % (name, private(f"w{at}", OLD).public.vkey.encode())
        for at, name in enumerate(names)
    ]
    raw = b"".join(lines) + b"group all 7 " + b" ".join(names) + b"\nquorum all\n"
    read = policy.parse(raw)
    assert read.format() == raw
    assert read.groups == (Group("all", 7, read.groups[0].members),)
    cosigned = note.sign(TEXT, [private("w2", OLD)], time_s=TIME_S)
    assert read.judge(cosigned).signed == (r"\xff\xfe",)


def test_what_it_writes_about_the_example_reads_the_same() -> None:
    read = policy.parse(EXAMPLE)
    assert policy.parse(read.format()) == read


def lines_of(*lines: str) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape")


W1, W2 = f"witness a {VKEYS['X1']}", f"witness b {VKEYS['X3']}"
SAME_KEY = NotePublicKey("another.example", NoteType.ML_DSA_44, KEYS["X3"].public.raw).vkey
LOGS_KEY = NotePublicKey("gateway.example/log", OLD, LOG[0].public.raw).vkey


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "cut off"),
        (b"\n", "no quorum"),
        (b"quorum none", "cut off"),
        (lines_of(W1, "quorum a")[:-1], "cut off"),
        (lines_of("quorum none", "quorum none"), "line 2.*second quorum"),
        (lines_of(W1, "quorum b"), "line 2.*defines 'b'"),
        (lines_of("quorum a", W1), "line 1.*defines 'a'"),
        (lines_of("quorum"), "no line of a policy"),
        (lines_of("quorum none none"), "no line of a policy"),
        (lines_of("Quorum none"), "no line of a policy"),
        (lines_of("quorum none # comment"), "no line of a policy"),
        (lines_of("quorum None"), "defines 'None'"),
        (lines_of("extra"), "no line of a policy"),
        (lines_of("quorum\u00a0none"), "no line of a policy"),
        (b"quorum none\r\n", "control"),
        (b"quorum\vnone\n", "control"),
        (b"quorum none\n#\0\n", "line 2.*control"),
        (b"quorum none\n#\x7f\n", "control"),
        (lines_of("log", "quorum none"), "no line of a policy"),
        (lines_of("log x", "quorum none"), "line 1"),
        (lines_of(f"log {LOG[0].public.vkey} u v", "quorum none"), "no line of a policy"),
        (lines_of(f"log {VKEYS['X1']}", "quorum none"), "log's key"),
        (lines_of(f"log {LOG[0].public.vkey}", f"log {LOG[0].public.vkey} u", "quorum none"), "same public"),
        (lines_of("witness a", "quorum none"), "no line of a policy"),
        (lines_of(f"witness a {LOG[0].public.vkey}", "quorum none"), "witness's key"),
        (lines_of(W1, f"witness c {VKEYS['X1']}", "quorum none"), "line 2.*same public"),
        (lines_of(W2, f"witness c {SAME_KEY}", "quorum none"), "same public"),
        (lines_of(f"log {LOG[0].public.vkey}", f"witness c {LOGS_KEY}", "quorum none"), "same public"),
        (lines_of(W1, f"witness a {VKEYS['X3']}", "quorum none"), "'a' is taken"),
        (lines_of(f"witness none {VKEYS['X3']}", "quorum none"), "'none' is taken"),
        (lines_of(W1, f"witness c {VKEYS['X3'][:-1]}\udcff", "quorum none"), "line 2"),
        (lines_of(W1, "group g all", "quorum g"), "line 2.*a group needs"),
        (lines_of(W1, "group g", "quorum g"), "no line of a policy"),
        (lines_of(W1, "group g any a c", "quorum g"), "defines 'c'"),
        (lines_of(W1, "group g any g", "quorum g"), "defines 'g'"),
        (lines_of(W1, "group g any none", "quorum g"), "defines 'none'"),
        (lines_of("group g any a", W1, "quorum g"), "line 1.*defines 'a'"),
        (lines_of(W1, "group a any a", "quorum a"), "'a' is taken"),
        (lines_of(W1, "group g any a a", "quorum g"), "member twice"),
        (lines_of(W1, W2, "group g any a", "group h any g a", "quorum h"), "line 4.*member twice"),
        (lines_of(W1, W2, "group g 0 a b", "quorum g"), "1 to 2"),
        (lines_of(W1, W2, "group g 3 a b", "quorum g"), "1 to 2"),
        (lines_of(W1, W2, "group g 01 a b", "quorum g"), "1 to 2"),
        (lines_of(W1, W2, "group g +1 a b", "quorum g"), "1 to 2"),
        (lines_of(W1, W2, "group g -1 a b", "quorum g"), "1 to 2"),
        (lines_of(W1, W2, "group g \u0661 a b", "quorum g"), "1 to 2"),
        (lines_of(W1, W2, f"group g {'9' * 5000} a b", "quorum g"), "1 to 2"),
        (lines_of(W1, W2, "group g ALL a b", "quorum g"), "1 to 2"),
        (b"#" * policy.MAX_POLICY_BYTES + b"\n", "at most"),
    ],
)
def test_what_is_no_policy_is_refused_and_the_line_is_named(raw: bytes, why: str) -> None:
    with pytest.raises(BadRequestError, match=f"(?s){why}"):
        policy.parse(raw)


@pytest.mark.parametrize("kind", ["log", "witness", "group"])
def test_there_are_32_of_each_kind_and_no_more(kind: str) -> None:
    def made(count: int) -> bytes:
        keys = [
            private(f"k{at}", NoteType.ED25519 if kind == "log" else OLD).public.vkey for at in range(count)
        ]
        if kind == "log":
            return lines_of(*(f"log {key}" for key in keys), "quorum none")
        if kind == "witness":
            return lines_of(*(f"witness w{at} {key}" for at, key in enumerate(keys)), "quorum none")
        chain = [f"group g{at} any {f'g{at - 1}' if at else 'a'}" for at in range(count)]
        return lines_of(W1, *chain, f"quorum g{count - 1}")

    assert policy.parse(made(32))
    with pytest.raises(BadRequestError, match="more than 32"):
        policy.parse(made(33))


def test_a_deep_chain_of_groups_is_judged() -> None:
    raw = lines_of(W1, *(f"group g{at} any {f'g{at - 1}' if at else 'a'}" for at in range(32)), "quorum g31")
    assert policy.parse(raw).judge(signed_by("X1")).met
    assert not policy.parse(raw).judge(signed_by("X2")).met


@settings(max_examples=300)
@given(st.data())
def test_cut_and_damaged_policies_raise_nothing_but_a_refusal(data: st.DataObject) -> None:
    raw = bytearray(EXAMPLE)
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at : at + data.draw(st.integers(0, 40))] = data.draw(st.binary(max_size=3))
    try:
        read = policy.parse(bytes(raw))
    except BadRequestError:
        return
    assert policy.parse(read.format()) == read
