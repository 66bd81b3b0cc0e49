"""Which 32 bytes are a public key: held against the curve's own arithmetic, written out slowly."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from macroslow.crypto import jose
from macroslow.crypto.hazmat.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

P = 2**255 - 19
D = -121665 * pow(121666, -1, P) % P
ROOT_OF_MINUS_1 = pow(2, (P - 1) // 4, P)
Point = tuple[int, int]


def decoded(raw: bytes) -> Point | None:
    """RFC 8032, section 5.1.3, step by step."""
    whole = int.from_bytes(raw, "little")
    sign, y = whole >> 255, whole & (2**255 - 1)
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * ROOT_OF_MINUS_1 % P
    if x * x % P != square or (x == 0 and sign):
        return None
    return (x if x % 2 == sign else P - x), y


def doubled(point: Point) -> Point:
    x, y = point
    both = D * x * x * y * y % P
    return 2 * x * y * pow(1 + both, -1, P) % P, (y * y + x * x) * pow(1 - both, -1, P) % P


def is_key(raw: bytes) -> bool:
    point = decoded(raw)
    return point is not None and doubled(doubled(doubled(point))) != (0, 1)


def is_taken(raw: bytes) -> bool:
    try:
        Ed25519PublicKey(raw)
    except ValueError:
        return False
    return True


ORDER_8 = bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05")
Y = [0, 1, P - 1, int.from_bytes(ORDER_8, "little"), P - int.from_bytes(ORDER_8, "little")]
SMALL_ORDER = [1, P - 1, *(y | sign << 255 for y in (Y[0], *Y[3:]) for sign in (0, 1))]


@pytest.mark.parametrize("whole", SMALL_ORDER)
def test_the_eight_points_of_small_order_are_no_keys(whole: int) -> None:
    raw = whole.to_bytes(32, "little")
    point = decoded(raw)
    assert point is not None
    assert doubled(doubled(doubled(point))) == (0, 1)
    with pytest.raises(ValueError, match="no key can have"):
        Ed25519PublicKey(raw)


@pytest.mark.parametrize("sign", [0, 1])
@pytest.mark.parametrize("y", range(P, 2**255))
def test_a_second_encoding_of_a_point_is_no_key(y: int, sign: int) -> None:
    assert not is_taken((y | sign << 255).to_bytes(32, "little"))


@given(st.binary(min_size=32, max_size=32) | st.integers(0, 300).map(lambda y: y.to_bytes(32, "little")))
def test_all_other_bytes_are_a_key_if_they_are_a_point(raw: bytes) -> None:
    assert is_taken(raw) == is_key(raw)


@given(st.binary(min_size=32, max_size=32))
def test_every_seed_has_a_key(seed: bytes) -> None:
    assert is_key(Ed25519PrivateKey(seed).public.raw)


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_other_lengths_are_no_keys(length: int) -> None:
    assert not is_taken(bytes(length))


def test_an_issuer_cannot_bring_one_under_which_every_token_verifies() -> None:
    weak = {"kty": "OKP", "crv": "Ed25519", "x": "AQ" + "A" * 41}
    with pytest.raises(ValueError, match="no key can have"):
        jose.public_key(weak)
