"""[log]: witnesses with sound keys, and a quorum that can be met."""

from pathlib import Path

import pytest
from tests.services.signing.witness_house import KEY, witnesses

from macroslow.crypto.note_keys import NotePublicKey, NoteType
from macroslow.errors import ConfigurationError
from macroslow.settings import Settings, load
from macroslow.tlog import policy

A, B, C = (one.vkey for one in witnesses("a", "b", "c-pq"))


def of(folder: Path, text: str) -> Settings:
    (folder / "macroslow.toml").write_text(text)
    return load(folder / "macroslow.toml", {})


def table(name: str, key: str, url: str = "https://witness.example/w1/") -> str:
    return f'[log.witnesses.{name}]\nurl = "{url}"\nkey = "{key}"\n'


@pytest.mark.parametrize(("keys", "needed"), [((A,), 1), ((A, B), 2), ((A, B, C), 2)])
def test_more_than_half_of_the_witnesses_are_needed_unless_the_operator_says_otherwise(
    tmp_path: Path, keys: tuple[str, ...], needed: int
) -> None:
    text = "".join(table(f"w{at}", key) for at, key in enumerate(keys))
    (group,) = of(tmp_path, text).log.policy(KEY.public).groups
    assert (group.needed, len(group.members)) == (needed, len(keys))
    (said,) = of(tmp_path, f"[log]\nquorum = 1\n{text}").log.policy(KEY.public).groups
    assert said.needed == 1


def test_the_policy_is_of_the_logs_own_keys_and_survives_its_file(tmp_path: Path) -> None:
    made = of(tmp_path, table("w1", A) + table("w2", C)).log.policy(KEY.public)
    assert [one.key for one in made.logs] == [KEY.public.ed25519, KEY.public.ml_dsa_44]
    assert [(one.name, one.url) for one in made.witnesses] == [
        ("w1", "https://witness.example/w1"),
        ("w2", "https://witness.example/w1"),
    ]
    assert policy.parse(made.format()) == made


def test_without_witnesses_the_policy_needs_none(tmp_path: Path) -> None:
    assert of(tmp_path, "").log.policy(KEY.public).quorum == policy.NONE


OWN = NotePublicKey("own", NoteType.ED25519_COSIGNATURE, KEY.public.ed25519.raw).vkey


def test_the_logs_own_key_is_no_witness(tmp_path: Path) -> None:
    settings = of(tmp_path, table("w1", OWN))
    with pytest.raises(ConfigurationError, match="same public key"):
        settings.log.policy(KEY.public)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[log]\nquorum = 0\n" + table("a", A), "quorum"),
        ("[log]\nquorum = 2\n" + table("a", A), "2 of 1 witnesses"),
        ("[log]\nquorum = 1\n", "1 of 0 witnesses"),
        ("[log]\nwitness_required = true\n", "without a witness"),
        (table("a", A) + table("b", A), "two witnesses have the same key"),
        (table("a", A[:-2]), "not a verifier key"),
        (table("a", KEY.public.ed25519.vkey), "a log's key"),
        (table("a", A, "http://witness.example"), "plain http"),
        (table("a", A, "ftp://witness.example"), "not an http"),
        (table("a", A, "https://witness.example/?q"), "no user, query"),
        (table("A", A), "not a usable name"),
        ('[log.witnesses.a]\nurl = "https://witness.example"\n', "key"),
        ("[log]\nwitness_timeout_ms = -1\n", "witness_timeout_ms"),
        ("[log]\ncheckpoint_window_ms = 0\n", "checkpoint_window_ms"),
    ],
)
def test_what_cannot_work_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        of(tmp_path, text)
    told = "\n".join(f"{one.field}: {one.message}" for one in refused.value.problems)
    assert said in told, told


def test_plain_http_is_allowed_to_this_machine_and_where_the_operator_says_so(tmp_path: Path) -> None:
    assert of(tmp_path, table("a", A, "http://127.0.0.1:7380/w")).log.witnesses
    assert of(tmp_path, table("a", A, "http://witness.example") + "plain_http = true\n").log.witnesses


@pytest.mark.parametrize(
    "written",
    ["/tmp/x", "unix:x", "unix:", "", "127.0.0.1:99", "unix:/a b", "unix:/" + 101 * "a", "unix:/a\\n"],
    ids=range(8),
)
def test_a_signer_that_is_no_socket_is_refused_with_what_to_write(tmp_path: Path, written: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        of(tmp_path, f'[log]\nsigner = "{written}"\n')
    (problem,) = refused.value.problems
    assert (problem.field, problem.line, "pattern" in problem.message) == ("log.signer", 2, False)
    assert 'write for example "unix:/run/' in problem.fix


def test_a_signer_is_the_socket_that_was_written(tmp_path: Path) -> None:
    longest = "unix:/" + 100 * "a"
    assert of(tmp_path, f'[log]\nsigner = "{longest}"\n').log.signer == longest
