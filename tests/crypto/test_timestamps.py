"""Time stamps (RFC 3161) against an authority of our own: what verifies, and that nothing else does."""

import datetime as dt
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.tsa import OPENSSL, Authority, needs_openssl

from macroslow.crypto.timestamps import MAX_RESPONSE_BYTES, Authorities, query
from macroslow.errors import VerificationError

pytestmark = needs_openssl
MESSAGE = b"gateway.example/log\n3\nhash\n"
LATER_S = 4_000_000_000  # than any stamp that is made here


class Stamped:
    """An authority, and one stamp of it."""

    def __init__(self, folder: Path) -> None:
        self.authority = Authority(folder)
        self.believed = Authorities.from_pem(self.authority.root_file.read_bytes())
        self.query = query(MESSAGE)
        self.response = self.authority.reply(self.query.der)


@pytest.fixture(scope="module")
def stamped(tmp_path_factory: pytest.TempPathFactory) -> Stamped:
    return Stamped(tmp_path_factory.mktemp("tsa") / "ours")


def test_the_time_is_the_one_that_openssl_reads(stamped: Stamped, tmp_path: Path) -> None:
    assert OPENSSL is not None
    (tmp_path / "reply").write_bytes(stamped.response)
    shown = subprocess.run(
        [OPENSSL, "ts", "-reply", "-in", "reply", "-text"],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    said = next(line for line in shown.splitlines() if line.startswith("Time stamp: "))
    moment = dt.datetime.strptime(said, "Time stamp: %b %d %H:%M:%S %Y GMT").replace(tzinfo=dt.UTC)
    assert stamped.believed.verify(stamped.response, MESSAGE, now_s=LATER_S) == int(moment.timestamp())


def test_openssl_understands_the_request(stamped: Stamped, tmp_path: Path) -> None:
    assert OPENSSL is not None
    (tmp_path / "query").write_bytes(stamped.query.der)
    shown = subprocess.run(
        [OPENSSL, "ts", "-query", "-in", "query", "-text"],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert "Hash Algorithm: sha256" in shown
    assert "Certificate required: yes" in shown
    assert stamped.query.nonce != query(MESSAGE).nonce


def test_a_stamp_is_of_its_message_and_of_its_request(stamped: Stamped) -> None:
    believed = stamped.believed
    assert believed.verify(stamped.response, MESSAGE, stamped.query.nonce, now_s=LATER_S) == believed.verify(
        stamped.response, MESSAGE, now_s=LATER_S
    )
    for message, nonce in ((MESSAGE + b"\n", None), (b"", None), (MESSAGE, stamped.query.nonce + 1)):
        with pytest.raises(VerificationError, match="time stamp does not verify"):
            believed.verify(stamped.response, message, nonce, now_s=LATER_S)


def test_a_stamp_from_the_future_dates_nothing(stamped: Stamped) -> None:
    told_s = stamped.believed.verify(stamped.response, MESSAGE, now_s=LATER_S)
    for now_s in (told_s, told_s - 300):
        assert stamped.believed.verify(stamped.response, MESSAGE, now_s=now_s) == told_s
    for ahead_s in (301, 20 * 365 * 86400):
        with pytest.raises(VerificationError, match=f"future: {ahead_s:,} s ahead"):
            stamped.believed.verify(stamped.response, MESSAGE, now_s=told_s - ahead_s)


def test_whom_nobody_believes_dates_nothing(stamped: Stamped, tmp_path: Path) -> None:
    other = Stamped(tmp_path / "other")
    for believed, response in ((stamped.believed, other.response), (other.believed, stamped.response)):
        with pytest.raises(VerificationError):
            believed.verify(response, MESSAGE, now_s=LATER_S)
    both = other.authority.root_file.read_bytes() + stamped.authority.root_file.read_bytes()
    Authorities.from_pem(both).verify(stamped.response, MESSAGE, now_s=LATER_S)


def test_a_certificate_for_another_use_dates_nothing(stamped: Stamped) -> None:
    with pytest.raises(VerificationError, match="purpose"):
        stamped.believed.verify(stamped.authority.misused(stamped.query.der), MESSAGE, now_s=LATER_S)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_no_altered_response_tells_another_time(data: st.DataObject, stamped: Stamped) -> None:
    raw = stamped.response
    at, length = data.draw(st.integers(0, len(raw))), data.draw(st.integers(0, 20))
    altered = raw[:at] + data.draw(st.binary(max_size=20)) + raw[at + length :]
    try:
        told_s = stamped.believed.verify(altered, MESSAGE, now_s=LATER_S)
    except VerificationError:
        return
    assert told_s == stamped.believed.verify(raw, MESSAGE, now_s=LATER_S)  # what the signature does not cover


@settings(max_examples=200, deadline=None)
@given(raw=st.binary(max_size=300) | st.just(b"\x30\x80" * 5000) | st.just(bytes(MAX_RESPONSE_BYTES + 1)))
def test_what_is_no_response_is_refused(raw: bytes, stamped: Stamped) -> None:
    with pytest.raises(VerificationError):
        stamped.believed.verify(raw, MESSAGE, now_s=LATER_S)
