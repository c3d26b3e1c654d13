-- One row per process, and one more for each further TTL that it uses. A heartbeat updates no other
-- row. Times are UTC.
CREATE TABLE sqllock_leases (
    id         VARCHAR(64)  NOT NULL PRIMARY KEY,
    holder     VARCHAR(255) NOT NULL,
    ttl        BIGINT       NOT NULL COMMENT 'microseconds',
    created_at DATETIME(6)  NOT NULL,
    renewed_at DATETIME(6)  NOT NULL,
    expires_at DATETIME(6)  NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
