-- Who waits for which lock, one row a process and name, in the order of the tickets. The key is the queue: every look at
-- it starts there. What a release sends is owner and channel, and it must not fail for what a waiter wrote: hence the
-- checks, whose limits are those of pg_notify.
CREATE TABLE sqllock_waiters (
    name       text COLLATE "C" NOT NULL,
    slot       integer          NOT NULL CHECK (slot >= 0),
    ticket     bigint           NOT NULL GENERATED ALWAYS AS IDENTITY,
    lease_id   text COLLATE "C" NOT NULL,
    owner      text COLLATE "C" NOT NULL UNIQUE CHECK (octet_length(owner) <= 1000),
    channel    text COLLATE "C" CHECK (octet_length(channel) BETWEEN 1 AND 63), -- null: polls, and is handed nothing
    note       text             NOT NULL,
    hold       bigint           NOT NULL, -- microseconds
    lock_delay bigint           NOT NULL, -- microseconds
    since      timestamptz      NOT NULL,
    holds      text             NOT NULL, -- owners of the locks that it holds meanwhile
    PRIMARY KEY (name, slot, ticket)
);
