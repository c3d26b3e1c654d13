-- Which locks a person has taken away from their holders, and why. Rows are never updated.
CREATE TABLE sqllock_breaks (
    id          text COLLATE "C" NOT NULL PRIMARY KEY,
    name        text COLLATE "C" NOT NULL,
    slot        integer          NOT NULL,
    kind        text             NOT NULL,
    fence       bigint           NOT NULL,
    holder      text             NOT NULL, -- whose lease it was
    note        text             NOT NULL, -- of the holder
    acquired_at timestamptz      NOT NULL,
    broken_at   timestamptz      NOT NULL,
    broken_by   text             NOT NULL, -- the person, if known
    broken_from text             NOT NULL, -- the process and its host
    reason      text             NOT NULL
);
CREATE INDEX sqllock_breaks_name ON sqllock_breaks (name, broken_at);
CREATE INDEX sqllock_breaks_broken_at ON sqllock_breaks (broken_at);
