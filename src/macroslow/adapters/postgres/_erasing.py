"""Erasing a subject: what is decided, and the statement that does it.

A list that erases is a batch of its own and begins with it: the stored rows are erased first, and what its
other changes make, also of the same subject, is written after that.
"""

from typing import Final

from macroslow.adapters.postgres._link import Connection
from macroslow.adapters.postgres._state import Erasure, Tables
from macroslow.adapters.postgres._tables import NUMBER_OF_TYPE, TYPE
from macroslow.errors import ConflictError
from macroslow.tlog.event import CLASSES, EventClass, EventType
from macroslow.tlog.leaf import erased_bytes
from macroslow.tlog.ports import EraseSubject

ERASURE_S: Final = 3_600.0
"""Somebody may have millions of entries. Half a minute for each is the measure; the others' batches wait."""

_HELD: Final = f"""
SELECT held.name, held.type, count(*) FROM (
    SELECT s.name, {NUMBER_OF_TYPE}, e.n FROM names s JOIN entries e ON e.subject = s.n
    WHERE s.name = ANY($1::text[]) AND length(e.payload) > 8
    UNION ALL SELECT DISTINCT s.name, {NUMBER_OF_TYPE}, e.n
    FROM names s JOIN parts p ON p.subject = s.n JOIN entries e ON e.n = p.entry
    WHERE s.name = ANY($1::text[]) AND length(p.sealed) > 8 AND e.subject <> p.subject
) AS held (name, type, n) GROUP BY held.name, held.type
"""  # noqa: S608

_ERASE: Final = f"""
WITH entries_ AS (
    UPDATE entries e SET payload = $3
    WHERE e.subject = $1 AND length(e.payload) > 8 AND {TYPE} = ANY($2::bytea[]) RETURNING e.n
),
parts_of_them AS (
    DELETE FROM parts USING entries_ WHERE parts.entry = entries_.n AND length(parts.sealed) > 8
),
parts_ AS (
    UPDATE parts SET sealed = $3 FROM entries e
    WHERE parts.subject = $1 AND length(parts.sealed) > 8 AND e.n = parts.entry AND e.subject <> $1
        AND {TYPE} = ANY($2::bytea[])
),
keys_ AS (
    DELETE FROM macroslow_subjects.keys
    WHERE subject = $4 AND (class = ANY($5::smallint[]) OR $7::text IS NOT NULL) -- nothing may bear the name
),
objects_ AS (DELETE FROM objects WHERE $6 AND subject = $1),
replies_ AS (DELETE FROM replies WHERE $6 AND principal = $1),
bound_ids_ AS (DELETE FROM bound_ids WHERE $6 AND principal = $1),
receipts_ AS (DELETE FROM receipts WHERE $6 AND principal = $1),
names_ AS (UPDATE names SET name = $7 WHERE n = $1 AND $7::text IS NOT NULL)
UPDATE store SET erasures = erasures + 1
"""  # noqa: S608


async def look_held(connection: Connection, state: Tables, subjects: list[str]) -> None:
    """Have `state` know how many stored entries of each type hold something of these subjects."""
    for subject, kind, count in await connection.fetch(_HELD, subjects, timeout=ERASURE_S):
        state.held.learn((subject, EventType(kind)), count)


def erase(state: Tables, change: EraseSubject) -> None:
    """Decide on an erasure, the first change of its batch; the next entry of the log tells of it."""
    subject = change.subject
    held = {kind: state.held.get((subject, kind)) or 0 for kind in EventType}
    going = [kind for kind in EventType if CLASSES[kind] in change.classes]
    if sum(held[kind] for kind in going) != change.entries:
        raise ConflictError("the log holds another number of entries to erase by now")
    number = state.names.get(subject)
    is_left = any(held[kind] for kind in EventType if kind not in going)
    pseudonym = None if is_left else _rename(state, subject, number, change.pseudonym)
    for each in change.classes if is_left else EventClass:
        state.subject_keys.put((subject, each), None)
    state.erasures.put(subject, Erasure(subject, number, change.classes, state.next_index, pseudonym))


def _rename(state: Tables, subject: str, number: int | None, pseudonym: str) -> str:
    if subject == pseudonym or state.names.get(pseudonym) is not None:
        raise ConflictError(f"the pseudonym {pseudonym} is somebody's name")
    if number is not None:
        state.names.put(subject, None)  # seen again, the subject is somebody new
        state.names.learn(pseudonym, number)
    return pseudonym


async def carry_out(connection: Connection, state: Tables) -> None:
    """Do to the stored rows what was decided."""
    for _, erasure in state.erasures.written():
        types = [kind.to_bytes(2, "big") for kind in EventType if CLASSES[kind] in erasure.classes]
        await connection.execute(
            _ERASE,
            erasure.number,
            types,
            erased_bytes(erasure.index),
            erasure.subject,
            [int(each) for each in erasure.classes],
            EventClass.ACTIVITY in erasure.classes,
            erasure.pseudonym,
            timeout=ERASURE_S,
        )
