"""The operator's verb that runs a document."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from macroslow.authn.principal import THE_OPERATOR
from macroslow.authz.uri import Pattern
from macroslow.errors import BadRequestError, MissingRightError, OverloadedError
from macroslow.services.signing.log_health import LogHealth
from macroslow.services.verbs import OPERATOR, Texts

if TYPE_CHECKING:
    from macroslow.services.documents.execute_document import ExecuteDocument


@dataclass(frozen=True, slots=True)
class RunVerb:
    """It takes JSON and returns JSON. `execute` is absent where no server is assembled."""

    health: LogHealth
    execute: "ExecuteDocument | None" = None

    async def run(
        self, document: str, inputs: Mapping[str, object] | None = None, allow: Texts = ()
    ) -> object:
        """Run a document (base64) as the local operator, who grants it the URIs in `allow`."""
        if self.execute is None:
            raise BadRequestError("this gateway runs no documents", fix="start it with `macroslow serve`")
        if reasons := self.health.reasons():
            raise OverloadedError(f"no new work is taken just now: {'; '.join(reasons)}")
        from macroslow.services.documents.admit_document import Submission  # here: no other verb needs it

        try:
            submission = Submission(base64.b64decode(document, validate=True), inputs)
        except ValueError as error:
            raise BadRequestError(
                f"the document is not base64: {error}", fix="send its bytes in base64 (RFC 4648, section 4)"
            ) from None
        for uri in allow:
            Pattern.parse(uri)  # or it would be reported as a grant of a key
        caller = replace(OPERATOR, grants=("gateway://*", *allow))
        try:
            return await self.execute(caller, submission, request_id=THE_OPERATOR)
        except MissingRightError as error:
            # The one grant that is the operator's to give here; what this gateway does not have is not.
            if error.uri in allow or not error.uri.startswith("api://") or "caller" not in error.detail:
                raise
            fix = f"allow it: --allow {error.uri}"
            raise MissingRightError(error.detail, uri=error.uri, fix=fix) from None
