-- What became of the work for a key, which is to be done once. A row that isn't to be kept any longer is as good as none.
-- Times are microseconds since 1970.
CREATE TABLE sqllock_outcomes (
    name       TEXT    NOT NULL PRIMARY KEY,
    fence      INTEGER NOT NULL, -- of the lock under which the work was done; 0: there was none
    failed     INTEGER NOT NULL CHECK (failed IN (0, 1)), -- 1: result is what the error said
    result     BLOB    NOT NULL,
    done_at    INTEGER NOT NULL,
    keep_until INTEGER NOT NULL
) STRICT;
CREATE INDEX sqllock_outcomes_keep_until ON sqllock_outcomes (keep_until);
