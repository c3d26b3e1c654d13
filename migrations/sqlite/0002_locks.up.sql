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
