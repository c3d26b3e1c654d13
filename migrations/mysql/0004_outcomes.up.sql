-- What became of the work for a key, which is to be done once. A row that isn't to be kept any longer is as good as none.
-- Times are UTC. No unique key but the first: with two, whoever puts a row there would lock gaps.
CREATE TABLE sqllock_outcomes (
    name       VARCHAR(255) NOT NULL PRIMARY KEY,
    fence      BIGINT       NOT NULL COMMENT 'of the lock under which the work was done, or 0',
    failed     BOOLEAN      NOT NULL COMMENT 'then result is what the error said',
    result     MEDIUMBLOB   NOT NULL,
    done_at    DATETIME(6)  NOT NULL,
    keep_until DATETIME(6)  NOT NULL,
    KEY sqllock_outcomes_keep_until (keep_until)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
