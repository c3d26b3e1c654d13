-- The outcomes of work that is to be done once per key. A row past its retention counts as missing.
CREATE TABLE sqllock_outcomes (
    name       text COLLATE "C" NOT NULL PRIMARY KEY,
    fence      bigint           NOT NULL, -- fence of the lock under which the work was done; 0 if there was none
    failed     boolean          NOT NULL, -- then result is the text of the error
    result     bytea            NOT NULL,
    done_at    timestamptz      NOT NULL,
    keep_until timestamptz      NOT NULL
);
CREATE INDEX sqllock_outcomes_keep_until ON sqllock_outcomes (keep_until);
