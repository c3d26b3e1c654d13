-- Which locks a person has taken away from their holders, and why. Rows are never updated. Times
-- are UTC. There is no CHECK and no foreign key: what OUTPUT INTO writes to may have none.
CREATE TABLE sqllock_breaks (
    id          nvarchar(64)   COLLATE Latin1_General_100_BIN2 NOT NULL PRIMARY KEY,
    name        nvarchar(255)  COLLATE Latin1_General_100_BIN2 NOT NULL,
    slot        int            NOT NULL,
    kind        nvarchar(64)   COLLATE Latin1_General_100_BIN2 NOT NULL,
    fence       bigint         NOT NULL,
    holder      nvarchar(255)  COLLATE Latin1_General_100_BIN2 NOT NULL, -- whose lease it was
    note        nvarchar(255)  COLLATE Latin1_General_100_BIN2 NOT NULL, -- of the holder
    acquired_at datetime2(7)   NOT NULL,
    broken_at   datetime2(7)   NOT NULL,
    broken_by   nvarchar(255)  COLLATE Latin1_General_100_BIN2 NOT NULL, -- the person, if known
    broken_from nvarchar(255)  COLLATE Latin1_General_100_BIN2 NOT NULL, -- the process and its host
    reason      nvarchar(1000) COLLATE Latin1_General_100_BIN2 NOT NULL
);
CREATE INDEX sqllock_breaks_name ON sqllock_breaks (name, broken_at);
CREATE INDEX sqllock_breaks_broken_at ON sqllock_breaks (broken_at);
