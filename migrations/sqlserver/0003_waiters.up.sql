-- The waiters of each lock, in the order of their tickets. A row here doesn't mean that the waiter
-- holds the lock. Times are UTC.
CREATE TABLE sqllock_waiters (
    ticket   bigint        IDENTITY NOT NULL PRIMARY KEY,
    name     nvarchar(255) COLLATE Latin1_General_100_BIN2 NOT NULL,
    slot     int           NOT NULL CHECK (slot >= 0),
    lease_id nvarchar(64)  COLLATE Latin1_General_100_BIN2 NOT NULL,
    owner    nvarchar(64)  COLLATE Latin1_General_100_BIN2 NOT NULL UNIQUE, -- unique to each acquisition
    note     nvarchar(255) COLLATE Latin1_General_100_BIN2 NOT NULL,
    since    datetime2(7)  NOT NULL,
    holds    nvarchar(max) COLLATE Latin1_General_100_BIN2 NOT NULL -- owner tokens of the locks that the waiter holds
);
CREATE INDEX sqllock_waiters_queue ON sqllock_waiters (name, slot, ticket);
