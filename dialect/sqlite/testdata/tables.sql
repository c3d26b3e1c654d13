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
-- 0008_held.up.sql of sqllock
-- Who holds which lock, for people with sqlite3, also one that is older than SQLite 3.42. It may be
-- there if another tool has dropped the tables.
--
-- since is UTC. lease_left is in seconds, and 0 if the holder is dead. The slots are those of
-- sqllock/internal/request/slots.go.
DROP VIEW IF EXISTS sqllock_held;
CREATE VIEW sqllock_held AS
SELECT l.name,
       CASE WHEN l.slot = 0 THEN 'lock'
            WHEN l.slot BETWEEN 524288 AND 534287 THEN 'semaphore #' || (l.slot - 524288)
            WHEN l.slot = 1048576 THEN 'rwlock, writer'
            WHEN l.slot = 1048578 THEN 'once'
            WHEN l.slot = 1048579 THEN 'hand-over'
            WHEN l.slot = 1048580 THEN 'quorum'
            WHEN l.slot = 1048584 THEN 'election'
            WHEN l.slot >= 2097152 THEN 'rwlock, reader'
            ELSE 'slot ' || l.slot END AS kind,
       e.holder,
       strftime('%Y-%m-%d %H:%M:%f', l.acquired_at / 1000000.0, 'unixepoch') AS since,
       coalesce(round(max(e.expires_at / 1000000.0 - (julianday('now') - 2440587.5) * 86400.0, 0), 3), 0) AS lease_left,
       (SELECT count(*)
        FROM sqllock_waiters AS w
        JOIN sqllock_leases AS alive ON alive.id = w.lease_id
                                    AND alive.expires_at / 1000000.0 > (julianday('now') - 2440587.5) * 86400.0
        WHERE w.name = l.name
          AND w.slot = CASE WHEN l.slot BETWEEN 524288 AND 534287 THEN 524288
                            WHEN l.slot >= 2097152 THEN 1048576
                            ELSE l.slot END) AS waiters,
       l.fence,
       l.note
FROM sqllock_locks AS l
LEFT JOIN sqllock_leases AS e ON e.id = l.lease_id
WHERE l.lease_id IS NOT NULL;
