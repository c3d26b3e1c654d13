-- A row changes only when its lock changes hands. No index but the key, and room on the page: acquire and release
-- stay heap-only updates.
CREATE TABLE sqllock_locks (
    name        text COLLATE "C" NOT NULL,
    slot        integer          NOT NULL CHECK (slot >= 0),
    fence       bigint           NOT NULL,
    lease_id    text COLLATE "C",           -- null: free, from free_at on
    owner       text COLLATE "C",           -- unique to each acquisition
    note        text             NOT NULL,
    acquired_at timestamptz      NOT NULL,
    free_at     timestamptz      NOT NULL,  -- never free before this
    lock_delay  bigint           NOT NULL,  -- microseconds after the lease ran out
    PRIMARY KEY (name, slot)
) WITH (fillfactor = 70);
