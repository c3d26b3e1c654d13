-- What became of the work for a key, which is to be done once. A row that isn't to be kept any longer is as good as none.
-- Times are UTC.
CREATE TABLE sqllock_outcomes (
    name       nvarchar(255)  COLLATE Latin1_General_100_BIN2 NOT NULL PRIMARY KEY,
    fence      bigint         NOT NULL, -- of the lock under which the work was done; 0: there was none
    failed     bit            NOT NULL, -- 1: result is what the error said
    result     varbinary(max) NOT NULL,
    done_at    datetime2(7)   NOT NULL,
    keep_until datetime2(7)   NOT NULL
);
CREATE INDEX sqllock_outcomes_keep_until ON sqllock_outcomes (keep_until);
