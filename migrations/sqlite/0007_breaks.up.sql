-- Which locks a person has taken away from their holders, and why. Rows are never updated. Times
-- are microseconds since 1970.
CREATE TABLE sqllock_breaks (
    id          TEXT    NOT NULL PRIMARY KEY,
    name        TEXT    NOT NULL,
    slot        INTEGER NOT NULL,
    kind        TEXT    NOT NULL,
    fence       INTEGER NOT NULL,
    holder      TEXT    NOT NULL, -- whose lease it was
    note        TEXT    NOT NULL, -- of the holder
    acquired_at INTEGER NOT NULL,
    broken_at   INTEGER NOT NULL,
    broken_by   TEXT    NOT NULL, -- the person, if known
    broken_from TEXT    NOT NULL, -- the process and its host
    reason      TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sqllock_breaks_name ON sqllock_breaks (name, broken_at);
CREATE INDEX sqllock_breaks_broken_at ON sqllock_breaks (broken_at);
