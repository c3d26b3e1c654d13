-- The waiters of each lock, one row per process and name, in the order of their tickets. The
-- primary key is the queue: every query starts there. A release passes owner and channel to
-- pg_notify, and must not fail because of what a waiter wrote. The checks therefore have the limits
-- of pg_notify.
CREATE TABLE sqllock_waiters (
    name       text COLLATE "C" NOT NULL,
    slot       integer          NOT NULL CHECK (slot >= 0),
    ticket     bigint           NOT NULL GENERATED ALWAYS AS IDENTITY,
    lease_id   text COLLATE "C" NOT NULL,
    owner      text COLLATE "C" NOT NULL UNIQUE CHECK (octet_length(owner) <= 1000),
    channel    text COLLATE "C" CHECK (octet_length(channel) BETWEEN 1 AND 63), -- null: the waiter polls, and gets no hand-off
    note       text             NOT NULL,
    hold       bigint           NOT NULL, -- microseconds
    lock_delay bigint           NOT NULL, -- microseconds
    since      timestamptz      NOT NULL,
    holds      text             NOT NULL, -- owner tokens of the locks that the waiter holds
    PRIMARY KEY (name, slot, ticket)
);
