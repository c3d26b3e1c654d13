-- Who waits for which lock, in the order of their tickets. Nobody has a lock by this table. Times are microseconds since
-- 1970. No AUTOINCREMENT: its table of sequences can't be dropped, so golang-migrate's drop would fail for everybody.
CREATE TABLE sqllock_waiters (
    ticket   INTEGER NOT NULL PRIMARY KEY,
    name     TEXT    NOT NULL,
    slot     INTEGER NOT NULL CHECK (slot >= 0),
    lease_id TEXT    NOT NULL,
    owner    TEXT    NOT NULL UNIQUE, -- unique to each acquisition
    note     TEXT    NOT NULL,
    since    INTEGER NOT NULL,
    holds    TEXT    NOT NULL -- owners of the locks that it holds meanwhile
) STRICT;
CREATE INDEX sqllock_waiters_queue ON sqllock_waiters (name, slot, ticket);
