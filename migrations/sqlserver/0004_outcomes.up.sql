-- The outcomes of work that is to be done once per key. A row past its retention counts as missing.
-- Times are UTC.
CREATE TABLE sqllock_outcomes (
    name       nvarchar(255)  COLLATE Latin1_General_100_BIN2 NOT NULL PRIMARY KEY,
    fence      bigint         NOT NULL, -- fence of the lock under which the work was done; 0 if there was none
    failed     bit            NOT NULL, -- 1: result is the text of the error
    result     varbinary(max) NOT NULL,
    done_at    datetime2(7)   NOT NULL,
    keep_until datetime2(7)   NOT NULL
);
CREATE INDEX sqllock_outcomes_keep_until ON sqllock_outcomes (keep_until);
