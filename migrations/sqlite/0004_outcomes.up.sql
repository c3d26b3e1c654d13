-- The outcomes of work that is to be done once per key. A row past its retention counts as missing.
-- Times are microseconds since 1970.
CREATE TABLE sqllock_outcomes (
    name       TEXT    NOT NULL PRIMARY KEY,
    fence      INTEGER NOT NULL, -- fence of the lock under which the work was done; 0 if there was none
    failed     INTEGER NOT NULL CHECK (failed IN (0, 1)), -- 1: result is the text of the error
    result     BLOB    NOT NULL,
    done_at    INTEGER NOT NULL,
    keep_until INTEGER NOT NULL
) STRICT;
CREATE INDEX sqllock_outcomes_keep_until ON sqllock_outcomes (keep_until);
