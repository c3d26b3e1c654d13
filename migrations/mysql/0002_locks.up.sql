-- A row changes only when its lock changes hands. Times are UTC.
CREATE TABLE sqllock_locks (
    name        VARCHAR(255) NOT NULL,
    slot        INT          NOT NULL,
    fence       BIGINT       NOT NULL,
    lease_id    VARCHAR(64)  NULL COMMENT 'null: free, from free_at on',
    owner       VARCHAR(64)  NULL COMMENT 'unique to each acquisition',
    note        VARCHAR(255) NOT NULL,
    acquired_at DATETIME(6)  NOT NULL,
    free_at     DATETIME(6)  NOT NULL COMMENT 'never free before this',
    lock_delay  BIGINT       NOT NULL COMMENT 'microseconds after the lease expires',
    PRIMARY KEY (name, slot)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
