"""What would run: languages, limits, libraries and what can be verified."""

import pytest
from tests.maml.samples import FRONT, document

from macroslow.errors import InvalidDocumentError
from macroslow.maml import plan, stages
from macroslow.maml.requirements import check_libraries
from macroslow.maml.signers import TrustedSigners

RUNTIME = plan.Runtime({"numpy": "2.1.0", "Open_AI": "3.0"})


def make(runtime: plan.Runtime = RUNTIME, **changes: str) -> plan.Plan:
    attested = stages.attest(stages.receive(document(**changes)), TrustedSigners(()), 0)
    return plan.make(stages.read(attested, stages.SignatureRule.OPTIONAL), runtime)


def refused(runtime: plan.Runtime = RUNTIME, **changes: str) -> list[tuple[str, str]]:
    with pytest.raises(InvalidDocumentError) as caught:
        make(runtime, **changes)
    assert caught.value.step == "plan"
    assert all(problem.fix for problem in caught.value.problems)
    return [(problem.field, problem.message) for problem in caught.value.problems]


def test_a_document_can_only_lower_its_limits() -> None:
    body = "## Code_Blocks\n```python timeout=50\n```\n```bash timeout=5\n```\n```qiskit\n```\n"
    planned = make(front="timeout_s: 20\n", body=body)
    assert planned.timeout_s == 20
    assert [(block.language, block.timeout_s) for block in planned.blocks] == [
        ("python", 20),
        ("bash", 5),
        ("python", 20),
    ]


def test_languages_that_do_not_run_here_are_refused_all_at_once() -> None:
    body = "## Code_Blocks\n```sql\n```\n```javascript\n```\n```python\n```\n"
    assert refused(body=body) == [
        ("Code_Blocks", "sql does not run at this gateway"),
        ("Code_Blocks", "javascript does not run at this gateway"),
    ]
    assert make(plan.Runtime({}, frozenset({"sql", "javascript", "python"})), body=body).blocks
    with pytest.raises(InvalidDocumentError, match="cannot run") as caught:
        make(body=body)
    assert "bash, python, qiskit" in caught.value.problems[0].fix


def test_an_unknown_type_is_carried_and_not_run() -> None:
    assert refused(instead_of_front=FRONT.replace("type: workflow", "type: poem"))[0][0] == "type"


def test_without_contracts_there_is_nothing_more_to_check_and_the_answer_says_so() -> None:
    for method in ("schema", "ortac-runtime"):
        planned = make(front=f"verification: {{method: {method}, level: strict}}\n")
        assert planned.verification == {"method": method, "document": "checked", "contracts": "none"}


@pytest.mark.parametrize("level", ["strict", None, "warn"])
def test_contracts_that_cannot_be_checked_refuse_unless_warnings_are_enough(level: str | None) -> None:
    front = "verification:\n  method: ortac-runtime\n  spec_files: [a.mli]\n"
    front += f"  level: {level}\n" if level else ""
    if level == "warn":
        planned = make(front=front)
        assert planned.verification["contracts"] == "unavailable"
        assert [warning.field for warning in planned.warnings] == ["verification", "Code_Blocks"]
    else:
        assert refused(front=front) == [
            ("verification", "Gospel contracts cannot be checked at this gateway")
        ]


def test_what_is_required_must_be_here() -> None:
    assert refused(front="requires: {libs: [numpy, scipy, 'not a lib!'], resources: [cuda]}\n") == [
        ("requires.libs", "scipy is not installed here"),
        ("requires.libs", "'a lib!' is no version clause"),
        ("requires.resources", "the resource 'cuda' is not here"),
    ]
    make(
        plan.Runtime(RUNTIME.installed, resources=frozenset({"cuda"})),
        front="requires: {resources: [cuda]}\n",
    )


def test_another_version_warns_or_with_exact_refuses() -> None:
    front = "requires: {libs: ['numpy==1.26']}\n"
    assert "numpy==1.26 is asked for, 2.1.0 is here" in [
        warning.message for warning in make(front=front).warnings
    ]
    assert refused(plan.Runtime(RUNTIME.installed, exact=True), front=front)


def test_an_unknown_noise_model_warns() -> None:
    fields = [warning.field for warning in make(front="quantum_context_layer: other\n").warnings]
    assert "quantum_context_layer" in fields
    known = make(front="quantum_context_layer: q-noise-v3-enhanced\n").warnings
    assert "quantum_context_layer" not in [warning.field for warning in known]


@pytest.mark.parametrize(
    ("clause", "version", "fits"),
    [
        ("", "1", True),
        ("==1.0", "1.0.0", True),
        ("==1.0", "1.0.1", False),
        ("==1.*", "1.9", True),
        ("==1.*", "2.0", False),
        ("!=1.*", "2.0", True),
        (">=1.9", "1.10", True),
        (">1.9", "1.9", False),
        ("<2", "2.0rc1", True),
        ("~=1.4", "1.9", True),
        ("~=1.4", "2.0", False),
        ("~=1.4.2", "1.5", False),
        (">=1,<2", "1.5", True),
        (">=1,<2", "2.5", False),
        ("<=1", "1.0.0", True),
        ("===1.0", "1.0.0", False),
        (" [extra] >= 1", "1", True),
    ],
)
def test_version_clauses(clause: str, version: str, fits: bool) -> None:
    found, _ = check_libraries([f"Open.AI{clause}"], {"open_ai": version}, exact=True)
    assert (not found) is fits
