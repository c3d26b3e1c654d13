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
