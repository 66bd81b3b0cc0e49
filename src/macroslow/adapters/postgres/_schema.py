"""The tables are made by whichever process comes first; the rest find them so.

They stand in schemas of their own, so that the database may be shared with other programs. All of it is
one script, which either happens or does not, and no process waits for another's answer in the middle of it.
"""

from typing import Final

from macroslow.adapters.postgres._link import FAILURES, SCHEMA, Connection, connect
from macroslow.adapters.postgres._tables import SUBJECTS, TABLES, VERSION
from macroslow.errors import ConfigurationError

BATCHES: Final = 0x4D534C57_0000  # "MSLW"
"""The advisory lock that whoever writes holds for one transaction: batches come one after the other."""

LOCK: Final = f"SELECT pg_advisory_xact_lock({BATCHES})"
MINIMUM_SERVER: Final = 130_000

_PREPARE: Final = f"""
BEGIN;
{LOCK};
DO $prepare$ BEGIN
    IF to_regclass('store') IS NULL THEN
        CREATE SCHEMA IF NOT EXISTS {SCHEMA};
        CREATE SCHEMA IF NOT EXISTS macroslow_subjects;
        {TABLES}
    END IF;
    -- An empty schema says that the operator goes on without the keys that were lost.
    IF to_regnamespace('macroslow_subjects') IS NOT NULL AND to_regclass('macroslow_subjects.keys') IS NULL
    THEN
        {SUBJECTS}
    END IF;
END $prepare$;
COMMIT
"""
_FOUND: Final = "SELECT schema_version, size, to_regclass('macroslow_subjects.keys') IS NULL FROM store"

_FIX: Final = (
    "check that PostgreSQL runs, and the database's URL: postgresql://USER@HOST/DATABASE; its"
    " user must be allowed to create schemas there, or own macroslow and macroslow_subjects"
)


async def prepare(url: str) -> None:
    """See that the tables are there, in our version; make them in an empty database.

    ConfigurationError, with the repair, if the database cannot be reached or used.
    """
    try:
        connection = await connect(url)
        try:
            await _prepare(connection)
        finally:
            await connection.close()
    except ValueError:  # it quotes the URL, and with it a password that is not percent-encoded
        raise ConfigurationError("the URL of the database cannot be read", fix=_FIX) from None
    except FAILURES as error:
        raise ConfigurationError(f"the database cannot be used: {error}", fix=_FIX) from error


async def _prepare(connection: Connection) -> None:
    server = int(await connection.fetchval("SELECT current_setting('server_version_num')"))
    if server < MINIMUM_SERVER:
        raise ConfigurationError(
            f"the database server is PostgreSQL {server // 10_000}; 13 or newer is needed",
            fix="use a newer PostgreSQL",
        )
    await connection.execute(_PREPARE)
    for version, size, without_keys in await connection.fetch(_FOUND):
        if version != VERSION:
            raise ConfigurationError(
                f"the database has schema {version}; this version of Macroslow knows {VERSION}",
                fix="run the version of Macroslow that made it, or a newer one",
            )
        if without_keys:
            raise ConfigurationError(
                f"the subjects' keys of a log of {size} entries are missing: no schema macroslow_subjects",
                fix="restore that schema from its own backup; or, to go on without what those keys sealed,"
                " CREATE SCHEMA macroslow_subjects",
            )
