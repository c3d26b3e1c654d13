-- The outcomes of work that is to be done once per key. A row past its retention counts as missing.
-- Times are UTC. There is no second unique key: with two of them an INSERT would lock gaps.
CREATE TABLE sqllock_outcomes (
    name       VARCHAR(255) NOT NULL PRIMARY KEY,
    fence      BIGINT       NOT NULL COMMENT 'of the lock under which the work was done, or 0',
    failed     BOOLEAN      NOT NULL COMMENT 'then result is the text of the error',
    result     MEDIUMBLOB   NOT NULL,
    done_at    DATETIME(6)  NOT NULL,
    keep_until DATETIME(6)  NOT NULL,
    KEY sqllock_outcomes_keep_until (keep_until)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
