"""What readers ask about runs, replies and bound ids. Every function reads one snapshot."""

from typing import Final

from macroslow.adapters.postgres._link import Connection
from macroslow.adapters.postgres._subjects import SubjectKeys
from macroslow.errors import DecryptionFailedError
from macroslow.tlog.event import EventClass
from macroslow.workflow.journal import Run, RunState
from macroslow.workflow.replies import BindId, Reply, open_reply

_RUNS: Final = """
SELECT i.name, p.name, r.state, r.accepted_ns, r.finished_ns, r.document_sha256, r.document_bytes,
    r.origin, r.signer, r.accepted_index, r.finished_index, o.name
FROM runs r JOIN names i ON i.n = r.n JOIN names p ON p.n = r.principal JOIN names o ON o.n = r.owner
"""
_NEWEST: Final = """
WHERE $1::text IS NULL OR r.principal = (SELECT n FROM names WHERE name = $1)
ORDER BY r.accepted_index DESC LIMIT $2
"""
_OBJECT: Final = """
SELECT s.name, o.sealed FROM objects o JOIN names s ON s.n = o.subject
WHERE o.run = (SELECT n FROM names WHERE name = $1) AND o.kind = $2
"""
_REPLY: Final = f"""
SELECT r.request_sha256, r.created_ns, r.expires_ns, r.sealed, k.wrapped
FROM replies r JOIN names p ON p.n = r.principal
    LEFT JOIN macroslow_subjects.keys k ON k.subject = p.name AND k.class = {int(EventClass.ACTIVITY)}
WHERE p.name = $1 AND r.key = $2
"""  # noqa: S608
_BOUND: Final = """
SELECT b.id, b.kind, p.name, v.name, a.name, b.created_ns, b.tokens
FROM bound_ids b JOIN names p ON p.n = b.principal JOIN names v ON v.n = b.provider
    JOIN names a ON a.n = b.account
WHERE b.id = $1
"""


async def run(connection: Connection, run_id: str) -> Run | None:
    """Return the run, or None."""
    found = await _runs(connection, "WHERE i.name = $1", run_id)
    return found[0] if found else None


async def runs(connection: Connection, principal: str | None, limit: int) -> list[Run]:
    """Return the newest runs first, of one principal or of all."""
    return await _runs(connection, _NEWEST, principal, limit)


async def running(connection: Connection) -> list[Run]:
    """Return the runs under way, oldest first."""
    return await _runs(connection, "WHERE r.state = 'running' ORDER BY r.accepted_index")


async def sealed_object(connection: Connection, run_id: str, kind: str) -> tuple[str, bytes] | None:
    """Return subject and sealed bytes, or None."""
    row = await connection.fetchrow(_OBJECT, run_id, kind)
    return None if row is None else (row[0], row[1])


async def reply(connection: Connection, subjects: SubjectKeys, principal: str, key: str) -> Reply | None:
    """Return what is known of a key. DecryptionFailedError if the principal was erased since."""
    row = await connection.fetchrow(_REPLY, principal, key)
    if row is None:
        return None
    request_sha256, created_ns, expires_ns, sealed, wrapped = row
    claimed = Reply(request_sha256, created_ns, expires_ns)
    if sealed is None:
        return claimed
    if wrapped is None:
        raise DecryptionFailedError("a stored answer cannot be read: its principal was erased")
    return open_reply(claimed, sealed, subjects.unwrap(principal, wrapped), principal, key)


async def bound_id(connection: Connection, bound: str) -> BindId | None:
    """Return whose id it is, or None."""
    row = await connection.fetchrow(_BOUND, bound)
    return None if row is None else BindId(*row)


async def _runs(connection: Connection, where: str, *values: str | int | None) -> list[Run]:
    return [
        Run(run_id, principal, RunState(state), *facts)
        for run_id, principal, state, *facts in await connection.fetch(_RUNS + where, *values)
    ]
