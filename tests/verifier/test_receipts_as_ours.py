"""Every receipt of tests/tlog/test_receipt.py, good or forged, judged by the page too: one verdict."""

from collections.abc import Iterator
from typing import Any

import pytest
from tests.tlog import test_receipt
from tests.verifier.page import Page, PageRefusedError
from tests.verifier.twins import NotJudgedError, adopt, same_words, watched

from macroslow.tlog import receipt
from macroslow.tlog.checkpoint import LogPublicKey
from macroslow.tlog.policy import Policy

adopt(test_receipt, globals())


@pytest.fixture(scope="module", autouse=True)
def judged_by_both(page: Page) -> Iterator[None]:
    def ask(
        raw: bytes,
        *keys: LogPublicKey,
        answer: bytes | None = None,
        document: bytes | None = None,
        policy: Policy | None = None,
        dated: receipt.Dated | None = None,
    ) -> Any:
        if dated is not None:
            raise NotJudgedError
        results = [
            page.verify(
                receipt=raw,
                key=key.format().encode(),
                answer=answer,
                document=document,
                policy=None if policy is None else policy.format(),
            )
            for key in keys
        ]
        proved = [result for result in results if result["verdict"] == "proved"]
        if not proved:
            raise PageRefusedError(results[0]["detail"])
        return proved[0]

    def agree(ours: receipt.Verdict, theirs: Any) -> bool:
        said = {check["check"]: check for check in theirs["checks"]}
        return bool(
            theirs["statement"] == ours.statement
            and theirs["key"]["fingerprint"] == ours.key_fingerprint
            and said["logged"]["text"] == f"entry {ours.index} of {ours.size}"
            and (said.get("answer", {}).get("state") == "passed") == ours.checked_answer
            and (said.get("document", {}).get("state") == "passed") == ours.checked_document
            and ("timestamp" in said) == ours.carries_time_stamp
            and (said["witnessed"]["text"].startswith("not checked"))
            == (ours.witnessed is None and ours.carries_cosignatures)
            and (said["witnessed"]["state"] == "passed") == bool(ours.witnessed and ours.witnessed.of)
        )

    with watched(receipt, "verify", ask, agree, same_words):
        yield
