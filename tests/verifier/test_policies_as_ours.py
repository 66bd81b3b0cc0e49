"""Every policy of tests/tlog/test_policy.py, read and judged by the page as by ours."""

from collections.abc import Iterator
from typing import Any

import pytest
from tests.tlog import test_policy
from tests.verifier.page import Page
from tests.verifier.twins import adopt, watched

from macroslow.tlog import policy
from macroslow.tlog.note import Note
from macroslow.tlog.policy import Judged, Policy

adopt(test_policy, globals())

JUDGE = """(policy, text) => {
  const read = parsePolicy(policy);
  return { ...judge(read, parseNote(text)), needed: quorumInWords(read) };
}"""


@pytest.fixture(scope="module", autouse=True)
def judged_by_both(page: Page) -> Iterator[None]:
    def read_by_page(raw: bytes) -> Any:
        return page.call("parsePolicy", raw)

    def same_policy(ours: Policy, theirs: Any) -> bool:
        witnesses = [(one["name"], one["key"]["vkey"]) for one in theirs["witnesses"]]
        groups = [(one["name"], one["needed"], one["members"]) for one in theirs["groups"]]
        return (witnesses, groups, theirs["quorum"]) == (
            [(octets(one.name), one.key.vkey) for one in ours.witnesses],
            [(octets(one.name), one.needed, list(map(octets, one.members))) for one in ours.groups],
            octets(ours.quorum),
        ) and [one["key"]["vkey"] for one in theirs["logs"]] == [one.key.vkey for one in ours.logs]

    def judged_by_page(ours: Policy, note: Note) -> Any:
        return page.call(JUDGE, ours.format(), note.format().decode())

    def same_judgement(ours: Judged, theirs: Any) -> bool:
        told = (theirs["names"], theirs["of"], theirs["met"], theirs["needed"])
        return told == (list(ours.signed), ours.of, ours.met, ours.needed)

    with (
        watched(policy, "parse", read_by_page, same_policy),
        watched(Policy, "judge", judged_by_page, same_judgement),
    ):
        yield


def octets(name: str) -> str:
    """The page has a name's octets as characters."""
    return name.encode("utf-8", "surrogateescape").decode("latin-1")
