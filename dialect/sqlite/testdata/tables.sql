-- 0001_leases.up.sql of sqllock
-- One row per process, and one more for each further TTL that it uses. A heartbeat updates no other
-- row. Times are microseconds since 1970.
CREATE TABLE sqllock_leases (
    id         TEXT    NOT NULL PRIMARY KEY,
    holder     TEXT    NOT NULL,
    ttl        INTEGER NOT NULL CHECK (ttl > 0), -- microseconds
    created_at INTEGER NOT NULL,
    renewed_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
-- 0002_locks.up.sql of sqllock
-- A row changes only when its lock changes hands. Times are microseconds since 1970.
CREATE TABLE sqllock_locks (
    name        TEXT    NOT NULL,
    slot        INTEGER NOT NULL CHECK (slot >= 0),
    fence       INTEGER NOT NULL,
    lease_id    TEXT,             -- null: the lock is free, from free_at on
    owner       TEXT,             -- unique to each acquisition
    note        TEXT    NOT NULL,
    acquired_at INTEGER NOT NULL,
    free_at     INTEGER NOT NULL, -- the lock is not free before this
    lock_delay  INTEGER NOT NULL, -- microseconds after the lease expires
    PRIMARY KEY (name, slot)
) STRICT, WITHOUT ROWID;
-- 0003_waiters.up.sql of sqllock
-- The waiters of each lock, in the order of their tickets. A row here doesn't mean that the waiter
-- holds the lock. Times are microseconds since 1970. There is no AUTOINCREMENT: its table of
-- sequences can't be dropped, so golang-migrate's drop would fail for every user.
CREATE TABLE sqllock_waiters (
    ticket   INTEGER NOT NULL PRIMARY KEY,
    name     TEXT    NOT NULL,
    slot     INTEGER NOT NULL CHECK (slot >= 0),
    lease_id TEXT    NOT NULL,
    owner    TEXT    NOT NULL UNIQUE, -- unique to each acquisition
    note     TEXT    NOT NULL,
    since    INTEGER NOT NULL,
    holds    TEXT    NOT NULL -- owner tokens of the locks that the waiter holds
) STRICT;
CREATE INDEX sqllock_waiters_queue ON sqllock_waiters (name, slot, ticket);
-- 0004_outcomes.up.sql of sqllock
-- The outcomes of work that is to be done once per key. A row past its retention counts as missing.
-- Times are microseconds since 1970.
CREATE TABLE sqllock_outcomes (
    name       TEXT    NOT NULL PRIMARY KEY,
    fence      INTEGER NOT NULL, -- fence of the lock under which the work was done; 0 if there was none
    failed     INTEGER NOT NULL CHECK (failed IN (0, 1)), -- 1: result is the text of the error
    result     BLOB    NOT NULL,
    done_at    INTEGER NOT NULL,
    keep_until INTEGER NOT NULL
) STRICT;
CREATE INDEX sqllock_outcomes_keep_until ON sqllock_outcomes (keep_until);
-- 0005_schema.up.sql of sqllock
-- The oldest schema version whose programs may use these tables. Newer ones may use them as well.
-- COMPATIBILITY.md has the policy.
CREATE TABLE sqllock_schema (
    compatible_from INTEGER NOT NULL PRIMARY KEY
) STRICT;
-- 0006_compatible.up.sql of sqllock
-- Programs of version 4 accept newer tables that say so, and their statements run on these tables.
INSERT INTO sqllock_schema (compatible_from) VALUES (4);
-- 0007_breaks.up.sql of sqllock
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
