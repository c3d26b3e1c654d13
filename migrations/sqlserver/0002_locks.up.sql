-- A row changes only when its lock changes hands. Times are UTC, with all digits of the server's
-- clock: if they were rounded up, a released lock would become free a little later than now.
CREATE TABLE sqllock_locks (
    name        nvarchar(255) COLLATE Latin1_General_100_BIN2 NOT NULL,
    slot        int           NOT NULL CHECK (slot >= 0),
    fence       bigint        NOT NULL,
    lease_id    nvarchar(64)  COLLATE Latin1_General_100_BIN2 NULL, -- null: the lock is free, from free_at on
    owner       nvarchar(64)  COLLATE Latin1_General_100_BIN2 NULL, -- unique to each acquisition
    note        nvarchar(255) COLLATE Latin1_General_100_BIN2 NOT NULL,
    acquired_at datetime2(7)  NOT NULL,
    free_at     datetime2(7)  NOT NULL, -- the lock is not free before this
    lock_delay  bigint        NOT NULL, -- microseconds after the lease expires
    PRIMARY KEY (name, slot)
);
