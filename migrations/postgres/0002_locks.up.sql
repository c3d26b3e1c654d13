-- A row changes only when its lock changes hands. There is no index but the primary key, and the
-- fillfactor leaves room on the page, so that acquire and release are heap-only updates.
CREATE TABLE sqllock_locks (
    name        text COLLATE "C" NOT NULL,
    slot        integer          NOT NULL CHECK (slot >= 0),
    fence       bigint           NOT NULL,
    lease_id    text COLLATE "C",           -- null: the lock is free, from free_at on
    owner       text COLLATE "C",           -- unique to each acquisition
    note        text             NOT NULL,
    acquired_at timestamptz      NOT NULL,
    free_at     timestamptz      NOT NULL,  -- the lock is not free before this
    lock_delay  bigint           NOT NULL,  -- microseconds after the lease expires
    PRIMARY KEY (name, slot)
) WITH (fillfactor = 70);
