"""Names that are made of entropy."""

import os

from macroslow.ports import FreshNames


class Counted:
    """The system's generator, and how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def random(self, size_bytes: int) -> bytes:
        self.asked += 1
        return os.urandom(size_bytes)


def test_no_name_comes_twice_and_the_generator_is_hardly_asked():
    entropy = Counted()
    names = FreshNames(entropy, 8)
    made = [names.next() for _ in range(1000)]
    assert len({*made}) == 1000
    assert {len(bytes.fromhex(name)) for name in made} == {8}
    assert entropy.asked == 4
