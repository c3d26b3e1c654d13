-- One row a process (one more for each further TTL it uses). The only row a heartbeat touches. Times are UTC.
CREATE TABLE sqllock_leases (
    id         VARCHAR(64)  NOT NULL PRIMARY KEY,
    holder     VARCHAR(255) NOT NULL,
    ttl        BIGINT       NOT NULL COMMENT 'microseconds',
    created_at DATETIME(6)  NOT NULL,
    renewed_at DATETIME(6)  NOT NULL,
    expires_at DATETIME(6)  NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
