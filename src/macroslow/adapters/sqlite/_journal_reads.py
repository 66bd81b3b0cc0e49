"""What readers ask about runs. Every function reads one snapshot."""

import sqlite3
from typing import Final

from macroslow.workflow.journal import Run, RunState

_RUNS: Final = """
SELECT i.name, p.name, r.state, r.accepted_ns, r.finished_ns, r.document_sha256, r.document_bytes,
    r.origin, r.signer, r.accepted_index, r.finished_index, o.name
FROM runs r JOIN names i ON i.n = r.n JOIN names p ON p.n = r.principal JOIN names o ON o.n = r.owner
"""
_OF_PRINCIPAL: Final = "WHERE r.principal = (SELECT n FROM names WHERE name = ?)"
_NEWEST: Final = "ORDER BY r.accepted_index DESC LIMIT ?"
_OBJECT: Final = """
SELECT s.name, o.sealed FROM objects o JOIN names s ON s.n = o.subject
WHERE o.run = (SELECT n FROM names WHERE name = ?) AND o.kind = ? AND o.subject > 0
"""


def run(connection: sqlite3.Connection, run_id: str) -> Run | None:
    """Return the run, or None."""
    found = _runs(connection, "WHERE i.name = ?", run_id)
    return found[0] if found else None


def runs(connection: sqlite3.Connection, principal: str | None, limit: int) -> list[Run]:
    """Return the newest runs first, of one principal or of all."""
    if principal is None:
        return _runs(connection, _NEWEST, limit)
    return _runs(connection, f"{_OF_PRINCIPAL} {_NEWEST}", principal, limit)


def running(connection: sqlite3.Connection) -> list[Run]:
    """Return the runs under way, oldest first."""
    return _runs(connection, "WHERE r.state = 'running' ORDER BY r.accepted_index")


def sealed_object(connection: sqlite3.Connection, run_id: str, kind: str) -> tuple[str, bytes] | None:
    """Return subject and sealed bytes, or None."""
    row = connection.execute(_OBJECT, (run_id, kind)).fetchone()
    return None if row is None else (row[0], row[1])


def _runs(connection: sqlite3.Connection, where: str, *values: str | int) -> list[Run]:
    return [
        Run(run_id, principal, RunState(state), *facts)
        for run_id, principal, state, *facts in connection.execute(_RUNS + where, values)
    ]
