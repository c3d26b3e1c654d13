-- Which locks a person has taken away from their holders, and why. Rows are never updated. Times
-- are UTC.
CREATE TABLE sqllock_breaks (
    id          VARCHAR(64)   NOT NULL PRIMARY KEY,
    name        VARCHAR(255)  NOT NULL,
    slot        INT           NOT NULL,
    kind        VARCHAR(64)   NOT NULL,
    fence       BIGINT        NOT NULL,
    holder      VARCHAR(255)  NOT NULL COMMENT 'whose lease it was',
    note        VARCHAR(255)  NOT NULL COMMENT 'of the holder',
    acquired_at DATETIME(6)   NOT NULL,
    broken_at   DATETIME(6)   NOT NULL,
    broken_by   VARCHAR(255)  NOT NULL COMMENT 'the person, if known',
    broken_from VARCHAR(255)  NOT NULL COMMENT 'the process and its host',
    reason      VARCHAR(1000) NOT NULL,
    KEY sqllock_breaks_name (name, broken_at),
    KEY sqllock_breaks_broken_at (broken_at)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
