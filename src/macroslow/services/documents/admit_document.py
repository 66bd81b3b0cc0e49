"""From bytes to a document that may run: every check that comes before money and code.

The order is the stages of trust: size, signature over the exact bytes, document checks, rights,
inputs. Each stage is a type of its own, and a refusal names its step.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from macroslow.authn.principal import Principal
from macroslow.errors import Problem
from macroslow.maml import inputs as maml_inputs
from macroslow.maml import plan, rights, stages
from macroslow.ports import Clock
from macroslow.services.identity.manage_signers import ManageSigners


@dataclass(frozen=True, slots=True)
class Submission:
    """What a caller sends to be checked or run. `wants_receipt`: a run's is kept under its request's id."""

    raw: bytes
    inputs: Mapping[str, object] | None = None
    wants_signature: bool = False
    wants_receipt: bool = False


@dataclass(frozen=True, slots=True)
class Admitted:
    """A document that may run for this caller with these inputs, and how."""

    authorised: stages.Authorised
    inputs: Mapping[str, object]
    plan: plan.Plan
    wants_signature: bool
    wants_receipt: bool

    @property
    def document(self) -> stages.Document:
        return self.authorised.document

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """What the author should know, from every stage."""
        return (*self.document.parsed.warnings, *self.authorised.rights.warnings, *self.plan.warnings)


@dataclass(frozen=True, slots=True)
class DocumentRules:
    """The operator's part in admission."""

    signatures: stages.SignatureRule
    operator: rights.OperatorRights
    runtime: plan.Runtime


@dataclass(frozen=True, slots=True)
class AdmitDocument:
    """Takes up to a second of CPU on hostile input: call it off the event loop."""

    signers: ManageSigners
    rules: DocumentRules
    clock: Clock

    def __call__(self, principal: Principal, submission: Submission) -> Admitted:
        """Return the document ready to run.

        Raises TooLargeError, SignatureRefusedError, InvalidDocumentError, MissingRightError or
        InvalidInputsError: the first stage that refuses, with all of that stage's problems.
        """
        rules = self.rules
        received = stages.receive(submission.raw)
        attested = stages.attest(received, self.signers.trusted, self.clock.now_ns())
        document = stages.read(attested, rules.signatures)
        grants = [each.grants for each in principal.credentials()]
        authorised = stages.authorise(document, caller_grants=grants, operator=rules.operator)
        planned = plan.make(document, rules.runtime)
        signed = attested.signer is not None
        checked = maml_inputs.check_inputs(document.parsed, submission.inputs or {}, signed=signed)
        flagged = document.parsed.front.quantum_security_flag
        wants_signature = flagged or submission.wants_signature
        return Admitted(authorised, checked, planned, wants_signature, submission.wants_receipt)
