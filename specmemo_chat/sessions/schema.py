"""The tables of sessions.db, and how an older file becomes a current one.

`PRAGMA user_version` counts the migrations that a file has been through; `application_id` tells it from other files.
"""

from __future__ import annotations

import sqlite3

# "spmo": marks the file as ours.
APPLICATION_ID = 0x73706D6F

# One entry takes the file one version further. An entry that was released never changes.
MIGRATIONS = (
    """
    CREATE TABLE sessions (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT UNIQUE,
        title TEXT NOT NULL,
        model TEXT NOT NULL,
        created REAL NOT NULL,
        updated REAL NOT NULL,
        head INTEGER REFERENCES turns (id) ON DELETE SET NULL
    );
    CREATE TABLE turns (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        session INTEGER NOT NULL REFERENCES sessions (id),
        parent INTEGER REFERENCES turns (id) DEFERRABLE INITIALLY DEFERRED,
        system TEXT,
        user TEXT NOT NULL,
        reply TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('complete', 'interrupted', 'partial')),
        finish_reason TEXT,
        statistics TEXT,
        created REAL NOT NULL,
        updated REAL NOT NULL
    );
    CREATE INDEX turns_of_session ON turns (session, parent);
    """,
)


class NewerSchemaError(Exception):
    """The file was written by a later version of specmemo; `found` is its schema version."""

    def __init__(self, found: int) -> None:
        super().__init__(f"schema version {found}")
        self.found = found


class ForeignFileError(Exception):
    """The file is a SQLite database of another program."""


def version_of(db: sqlite3.Connection) -> int:
    """The schema version of an opened file: 0 for a new one."""
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def migrate(db: sqlite3.Connection) -> None:
    """Bring the file to the current version: all of it or nothing, also where two programs start at once.

    Raises NewerSchemaError and ForeignFileError before anything is written, sqlite3.Error where the file fails.
    """
    check(db)
    if version_of(db) == len(MIGRATIONS):
        return
    db.execute("BEGIN IMMEDIATE")
    try:
        # Read again under the lock: another program may have come first.
        for script in MIGRATIONS[version_of(db) :]:
            for statement in script.split(";"):
                if statement.strip():
                    db.execute(statement)
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        db.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def check(db: sqlite3.Connection) -> None:
    """Raise NewerSchemaError or ForeignFileError where this version must not touch the file."""
    # One snapshot: another program may be making the tables at this moment.
    db.execute("BEGIN")
    try:
        tables = int(db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])
        owner = int(db.execute("PRAGMA application_id").fetchone()[0])
        found = version_of(db)
    finally:
        db.execute("COMMIT")
    if owner != APPLICATION_ID and (owner or tables):
        raise ForeignFileError
    if found > len(MIGRATIONS):
        raise NewerSchemaError(found)
