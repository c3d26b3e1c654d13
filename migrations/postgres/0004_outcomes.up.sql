-- What became of the work for a key, which is to be done once. A row that isn't to be kept any longer is as good as none.
CREATE TABLE sqllock_outcomes (
    name       text COLLATE "C" NOT NULL PRIMARY KEY,
    fence      bigint           NOT NULL, -- of the lock under which the work was done; 0: there was none
    failed     boolean          NOT NULL, -- then result is what the error said
    result     bytea            NOT NULL,
    done_at    timestamptz      NOT NULL,
    keep_until timestamptz      NOT NULL
);
CREATE INDEX sqllock_outcomes_keep_until ON sqllock_outcomes (keep_until);
